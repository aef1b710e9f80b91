import { kindOf } from '../../internal/options.ts';

/** The parameters of `tools/call`, each read once. */
export interface ToolCallParams {
  readonly name: string;
  /** A call without arguments has none: `{}`. */
  readonly args: unknown;
  readonly more: Readonly<Record<string, unknown>>;
  /** It carries the answer to what an earlier round has asked. */
  readonly again: boolean;
}

/** @throws {TypeError} no parameters of a tool call. */
export function readToolCall(params: unknown): ToolCallParams {
  if (typeof params !== 'object' || params === null) {
    throw new TypeError(`a tool call must be { name, arguments }, got ${kindOf(params)}`);
  }
  const { name, arguments: args = {}, ...more } = params as Readonly<Record<string, unknown>>;
  if (typeof name !== 'string')
    throw new TypeError(`the \`name\` of a tool call must be a string, got ${kindOf(name)}`);
  return { name, args, more, again: carriesAnswer(more['inputResponses'], more['requestState']) };
}

/** By protocol revision 2026-07-28, as is `asksForInput`. */
export function carriesAnswer(inputResponses: unknown, requestState: unknown): boolean {
  return inputResponses !== undefined || requestState !== undefined;
}

/** Whether a result of `tools/call` is a question, after whose answer the call is made again. */
export function asksForInput(result: unknown): boolean {
  return (result as { readonly resultType?: unknown } | undefined)?.resultType === 'input_required';
}
