import { EventEmitter } from 'node:events';
import { createInterface } from 'node:readline';
import { PassThrough } from 'node:stream';
import type { Options, SpawnedProcess } from '@anthropic-ai/claude-agent-sdk';

/** What a tool use came to: the tool ran, or was not allowed to, and whether that ended the agent. */
export interface UseEnd {
  readonly end: 'ran' | 'denied';
  /** What the model is told. */
  readonly told: string;
  readonly stopReason?: string;
}

/** One step of the scripted agent. */
export interface ToolUse {
  readonly name: string;
  readonly input: Readonly<Record<string, unknown>>;
  readonly id: string;
  /** The tool itself, which gets what it is really called with. Default: it gives `'done'`. */
  readonly run?: (input: unknown) => unknown;
  /** Whether the user is asked for permission. */
  readonly asks?: boolean;
}

interface HookOutput {
  readonly continue?: boolean;
  readonly stopReason?: string;
  readonly hookSpecificOutput?: { readonly permissionDecision?: string; readonly permissionDecisionReason?: string };
}

interface Permission {
  readonly behavior: 'allow' | 'deny';
  readonly message?: string;
  readonly interrupt?: boolean;
  readonly updatedInput?: unknown;
}

type Registered = Readonly<Record<string, readonly { readonly hookCallbackIds: readonly string[] }[]>>;

/** Options of `query()` for an agent that does what the script says, in this process. */
export function claudeCode(script: Script, told: object = { hook_on_failure_supported: true }): Options {
  return {
    // Never started, and looked for all the same.
    pathToClaudeCodeExecutable: 'claude',
    spawnClaudeCodeProcess: () => new ClaudeCode(script, told).process,
  };
}

type Script = (agent: ClaudeCode) => Promise<void>;

/** Claude Code as far as its SDK sees it: JSON lines in both directions, hooks and permissions around each tool. */
export class ClaudeCode {
  readonly sessionId = 'session-1';
  readonly process: SpawnedProcess;
  /** What `initialize` has registered, by event. */
  hooks: Registered = {};
  readonly #out = new PassThrough();
  readonly #answers = new Map<string, (response: Record<string, unknown>) => void>();
  readonly #emitter = new EventEmitter();
  #exitCode: number | null = null;
  #requests = 0;

  /** @param told what the answer to `initialize` says of it. */
  constructor(script: Script, told: object) {
    const stdin = new PassThrough();
    const emitter = this.#emitter;
    const exitCode = (): number | null => this.#exitCode;
    this.process = Object.assign(emitter, {
      stdin,
      stdout: this.#out,
      killed: false,
      kill: () => {
        this.#exit();
        return true;
      },
      get exitCode() {
        return exitCode();
      },
    }) as unknown as SpawnedProcess;
    Object.defineProperty(this.process, 'exitCode', { get: exitCode });
    createInterface({ input: stdin })
      .on('line', (line) => this.#receive(JSON.parse(line), script, told))
      .on('close', () => this.#exit());
  }

  #receive(message: { readonly type: string }, script: Script, told: object): void {
    if (message.type === 'control_request') {
      const { request_id, request } = message as unknown as { request_id: string; request: Record<string, unknown> };
      if (request['subtype'] === 'initialize') this.hooks = (request['hooks'] ?? {}) as Registered;
      const response = { commands: [], models: [], account: {}, ...told };
      this.#send({ type: 'control_response', response: { subtype: 'success', request_id, response } });
    } else if (message.type === 'control_response') {
      const { response } = message as unknown as { response: { request_id: string } & Record<string, unknown> };
      this.#answers.get(response.request_id)?.(response);
    } else if (message.type === 'user') {
      this.#send({ type: 'system', subtype: 'init', session_id: this.sessionId, tools: [], uuid: 'u0' });
      void script(this).then(
        () => this.#result(),
        (error) => this.#result(error),
      );
    }
  }

  #send(message: object): void {
    this.#out.write(`${JSON.stringify(message)}\n`);
  }

  #result(error?: unknown): void {
    const counts = { duration_ms: 1, duration_api_ms: 1, num_turns: 1, total_cost_usd: 0, usage: {}, modelUsage: {} };
    const ids = { session_id: this.sessionId, uuid: 'u1', permission_denials: [] };
    const end =
      error === undefined
        ? { subtype: 'success', is_error: false, result: this.stopReason ?? 'done' }
        : { subtype: 'error_during_execution', is_error: true, errors: [String(error)] };
    this.#send({ type: 'result', ...end, ...counts, ...ids });
    this.#exit();
  }

  #exit(): void {
    if (this.#exitCode !== null) return;
    this.#exitCode = 0;
    this.#out.end();
    setImmediate(() => this.#emitter.emit('exit', 0, null));
  }

  /** Why a hook or a permission has ended the agent. */
  stopReason: string | undefined;

  async request(request: object): Promise<Record<string, unknown>> {
    const request_id = `cli-${++this.#requests}`;
    const answered = new Promise<Record<string, unknown>>((resolve) => this.#answers.set(request_id, resolve));
    this.#send({ type: 'control_request', request_id, request });
    return answered;
  }

  /** Calls every hook of an event, at once, as Claude Code does. One that fails is as good as none. */
  async hook(event: string, input: object, toolUseId?: string): Promise<HookOutput[]> {
    const common = { hook_event_name: event, session_id: this.sessionId, transcript_path: '/t', cwd: '/' };
    const ids = (this.hooks[event] ?? []).flatMap(({ hookCallbackIds }) => hookCallbackIds);
    const outputs = await Promise.all(
      ids.map(async (callback_id) => {
        const hook = { subtype: 'hook_callback', callback_id, input: { ...common, ...input } };
        const answer = await this.request(toolUseId === undefined ? hook : { ...hook, tool_use_id: toolUseId });
        return (answer['subtype'] === 'success' ? answer['response'] : {}) as HookOutput;
      }),
    );
    for (const output of outputs) if (output.continue === false) this.stopReason ??= output.stopReason ?? '';
    return outputs;
  }

  /** A message to an in-process MCP server. */
  async mcp(server_name: string, message: object): Promise<unknown> {
    const { response } = await this.request({ subtype: 'mcp_message', server_name, message });
    return (response as { readonly mcp_response: unknown }).mcp_response;
  }

  /** A tool use from its hooks to its end. */
  async use({ name, input, id, run = () => 'done', asks = false }: ToolUse): Promise<UseEnd> {
    const about = { tool_name: name, tool_input: input, tool_use_id: id };
    const stopped = (): object => (this.stopReason === undefined ? {} : { stopReason: this.stopReason });
    for (const { hookSpecificOutput: output } of await this.hook('PreToolUse', about, id)) {
      if (output?.permissionDecision !== 'deny') continue;
      return { end: 'denied', told: String(output.permissionDecisionReason), ...stopped() };
    }
    let given: unknown = input;
    if (asks) {
      const question = { subtype: 'can_use_tool', tool_name: name, input, tool_use_id: id, permission_suggestions: [] };
      const { subtype, response } = await this.request(question);
      const { behavior, message, interrupt, updatedInput } = (
        subtype === 'success' ? response : { behavior: 'deny', message: 'no answer' }
      ) as Permission;
      if (behavior !== 'allow') {
        if (interrupt === true) this.stopReason ??= String(message);
        return { end: 'denied', told: String(message), ...stopped() };
      }
      given = updatedInput ?? input;
    }
    try {
      const tool_response = await run(given);
      await this.hook('PostToolUse', { ...about, tool_input: given, tool_response }, id);
      return { end: 'ran', told: JSON.stringify(tool_response), ...stopped() };
    } catch (error) {
      await this.hook('PostToolUseFailure', { ...about, tool_input: given, error: String(error) }, id);
      return { end: 'ran', told: String(error), ...stopped() };
    }
  }

  /** Tool uses of one assistant message, at once; then the hooks of their batch. */
  async batch(uses: readonly ToolUse[]): Promise<UseEnd[]> {
    const ends = await Promise.all(uses.map((use) => this.use(use)));
    await this.hook('PostToolBatch', {
      tool_calls: uses.map(({ name, input, id }) => ({ tool_name: name, tool_input: input, tool_use_id: id })),
    });
    return ends;
  }
}
