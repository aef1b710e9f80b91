// A Claude Code that never stops listing files, under a leash in one line. Its process is a script that speaks the SDK's
// protocol: no network, no key, no binary. `npm run test:frameworks` installs what this needs.
import { EventEmitter } from 'node:events';
import { createInterface } from 'node:readline';
import { PassThrough } from 'node:stream';
import { query, type SpawnedProcess } from '@anthropic-ai/claude-agent-sdk';
import { callCap, createLeash, fileSink, verifyLog } from 'leashkit';
import { leashHooks } from 'leashkit/claude-agent-sdk';

// #region leash
const leash = createLeash({ guards: [callCap(3)], audit: fileSink('audit.jsonl') });
const options = { hooks: leashHooks(leash) };
// #endregion

const double = { pathToClaudeCodeExecutable: 'claude', spawnClaudeCodeProcess: scriptedClaudeCode };
for await (const message of query({ prompt: 'List all files.', options: { ...options, ...double } })) {
  if (message.type === 'result' && message.subtype === 'success') console.log(`stopped: ${message.result}`);
}

const { calls, denied } = await leash.close();
const { ok, state, events } = await verifyLog('audit.jsonl', { requireClosed: true });
console.log(`${calls} calls, ${denied} refused`);
console.log(`the log: ${events} events, ${state}, ${ok ? 'verified' : 'not verified'}`);

/** Uses `Bash` until a hook stops it, and asks the hooks before and after each use. */
function scriptedClaudeCode(): SpawnedProcess {
  const [stdin, stdout] = [new PassThrough(), new PassThrough()];
  const running = { exitCode: null as number | null, killed: false, kill: () => true };
  const process = Object.assign(new EventEmitter(), { stdin, stdout, ...running });
  const send = (message: object) => stdout.write(`${JSON.stringify(message)}\n`);
  const answers = new Map<string, (answer: { continue?: boolean; stopReason?: string }) => void>();
  let hooks: Record<string, [{ hookCallbackIds: [string] }]> = {};

  const ask = (hook_event_name: string, id: string) =>
    new Promise<{ continue?: boolean; stopReason?: string }>((resolve) => {
      answers.set(id + hook_event_name, resolve);
      const use = { tool_name: 'Bash', tool_input: { command: 'ls' }, tool_use_id: id };
      const callback_id = hooks[hook_event_name]?.[0].hookCallbackIds[0];
      const request = { subtype: 'hook_callback', callback_id, input: { hook_event_name, session_id: 's', ...use } };
      send({ type: 'control_request', request_id: id + hook_event_name, request });
    });
  const work = async () => {
    for (let i = 1; ; i++) {
      const { continue: goOn, stopReason } = await ask('PreToolUse', `use-${i}`);
      if (goOn === false) return stopReason;
      console.log(`ls, for the ${i}. time`);
      await ask('PostToolUse', `use-${i}`);
    }
  };
  createInterface({ input: stdin }).on('line', async (line) => {
    const { type, request_id, request, response } = JSON.parse(line);
    if (type === 'control_response') answers.get(response.request_id)?.(response.response);
    if (type === 'control_request') {
      hooks = request.hooks;
      const told = { commands: [], hook_on_failure_supported: true };
      send({ type: 'control_response', response: { subtype: 'success', request_id, response: told } });
    }
    if (type !== 'user') return;
    send({ type: 'result', subtype: 'success', is_error: false, result: await work(), session_id: 's' });
    stdout.end();
    process.exitCode = 0;
    process.emit('exit', 0, null);
  });
  return process;
}

// Output:
// ls, for the 1. time
// ls, for the 2. time
// ls, for the 3. time
// stopped: Tool "Bash" was refused: the cap of 3 calls is reached. Do not retry.
// 3 calls, 1 refused
// the log: 10 events, closed, verified
