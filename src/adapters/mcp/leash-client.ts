import { findLeashError } from '../../errors.ts';
import { checkOptions, kindOf } from '../../internal/options.ts';
import type { Leash } from '../../leash-contract.ts';
import { viewOf } from '../framework/members.ts';
import { leashedOnce } from '../framework/once.ts';
import { eitherSignal } from '../framework/signal.ts';
import { TERMS } from '../framework/tool-body.ts';
import { HeldTools, type McpTerms } from './held-tools.ts';
import { asksForInput, readToolCall } from './tool-call.ts';

/** A client of MCP servers: `Client` of `@modelcontextprotocol/sdk` or of `@modelcontextprotocol/client`. */
export interface McpClient {
  callTool(...params: never[]): Promise<unknown>;
}

export interface LeashClientOptions extends McpTerms {}

type Method = (...params: unknown[]) => unknown;

/**
 * An MCP client under the leash: a call of a tool is sent after every guard allowed it, with the arguments as they were
 * checked, and rejects with the leash's error otherwise. The end of the session cancels calls under way. Everything
 * else of the client, and its type, stays as it was; one that this leash holds already stays as it is.
 *
 * Holds `callTool`, and `request` for `tools/call`. The experimental streams of tasks are refused: `leashTransport` holds
 * them. A call under both would count twice.
 *
 * @throws {TypeError | RangeError} no client, or options that the leash cannot hold. Calls of a tool that the leash
 * cannot hold, such as one without a cost under a budget, reject with a `TypeError`.
 */
export function leashClient<Client extends McpClient>(
  leash: Leash,
  client: Client,
  options: LeashClientOptions = {},
): Client {
  checkOptions('leashClient', options, TERMS);
  if (typeof (client as McpClient | undefined)?.callTool !== 'function') {
    throw new TypeError(`leashClient expects an MCP client with \`callTool\`, got ${kindOf(client)}`);
  }
  return leashedOnce(leash, client, () => {
    const tools = new HeldTools('leashClient', leash, options);
    return viewOf(client, members(leash, client as unknown as Record<string, Method>, tools));
  });
}

function members(leash: Leash, client: Record<string, Method>, tools: HeldTools): Record<string, unknown> {
  /** What `send` does with the parameters of `tools/call` as they were checked. */
  const call = async (params: unknown, send: (params: object) => unknown): Promise<unknown> => {
    const { name, args, more, again } = readToolCall(params);
    return tools.call(name, args, again, async (checked) => {
      try {
        const value = await send({ ...more, name, arguments: checked });
        return { value, asks: asksForInput(value) };
      } catch (error) {
        // Not every version rejects with the reason of the signal that it was given.
        if (leash.signal.aborted && findLeashError(error) === undefined) throw leash.signal.reason;
        throw error;
      }
    });
  };
  const on = (name: string, params: readonly unknown[]): unknown =>
    Reflect.apply(client[name] as Method, client, params);
  const held: Record<string, unknown> = {
    callTool: (params: unknown, ...more: unknown[]) =>
      call(params, (checked) => on('callTool', [checked, ...withSignal(client, more, leash.signal)])),
  };
  if (typeof client['request'] === 'function') {
    held['request'] = (request: unknown, ...more: unknown[]) => {
      const { method, params } = (request ?? {}) as { readonly method?: unknown; readonly params?: unknown };
      if (method !== 'tools/call') return on('request', [request, ...more]);
      return call(params, (checked) =>
        on('request', [{ ...(request as object), method, params: checked }, ...withSignal(client, more, leash.signal)]),
      );
    };
  }
  if (tools.reads && typeof client['listTools'] === 'function') {
    held['listTools'] = async (...params: unknown[]) => {
      const result = await on('listTools', params);
      tools.list(result);
      return result;
    };
  }
  if ('experimental' in client) {
    Object.defineProperty(held, 'experimental', {
      enumerable: true,
      get: () => withoutStreams(client['experimental'] as { readonly tasks?: object }),
    });
  }
  return held;
}

/** Streams of tasks would call tools past the leash. */
function withoutStreams(experimental: { readonly tasks?: object }): unknown {
  const refuse = (): never => {
    throw new TypeError('leashClient does not hold streams of tasks: connect the client through leashTransport');
  };
  if (experimental?.tasks === undefined) return experimental;
  return viewOf(experimental, {
    tasks: viewOf(experimental.tasks, { callToolStream: refuse, requestStream: refuse }),
  });
}

/**
 * The parameters after the first of `callTool` or `request`, whose options have a signal. Version 1 has a schema of the
 * result before the options, which `callTool` may leave out.
 */
function withSignal(client: object, more: readonly unknown[], signal: AbortSignal): readonly unknown[] {
  const afterSchema = isSchema(more[0]) || (more[0] === undefined && !('getProtocolEra' in client));
  const [schema, options] = afterSchema ? more : [undefined, more[0]];
  const given = (options ?? {}) as { readonly signal?: unknown };
  const held = { ...given, signal: eitherSignal(given.signal, signal) };
  return afterSchema ? [schema, held] : [held];
}

function isSchema(value: unknown): boolean {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false;
  return '~standard' in value || 'parse' in value;
}
