import type { ChatRequest } from './chat-request.ts';
import { textBound } from './prompt-bound.ts';
import { checkCountable, uncountable } from './provider-parameters.ts';

/** What of a message of LangChain can reach a provider. */
interface Message {
  readonly type?: unknown;
  readonly name?: unknown;
  readonly content?: unknown;
  readonly additional_kwargs?: Extras | undefined;
  readonly tool_calls?: unknown;
  readonly invalid_tool_calls?: unknown;
  readonly tool_call_id?: unknown;
  /** Its `output` is what a provider answered with, which ChatOpenAI sends in place of the content. */
  readonly response_metadata?: { readonly output?: unknown } | undefined;
  readonly usage_metadata?: UsageMetadata | undefined;
}

interface Extras {
  readonly type?: unknown;
  readonly audio?: unknown;
  readonly reasoning?: unknown;
  readonly tool_outputs?: unknown;
}

interface UsageMetadata {
  readonly output_tokens?: unknown;
  readonly output_token_details?: { readonly reasoning?: unknown } | undefined;
}

const WHERE = 'leashMiddleware';

/**
 * An upper bound of the tokens of a request of text.
 *
 * @param boundTools how many tools the agent gave to its model.
 * @throws {TypeError} it has what nobody can count from here.
 */
export function chatPromptBound(messages: unknown, { parameters }: ChatRequest, boundTools: number): number {
  const listed = (Array.isArray(messages) ? messages : [messages]).map(messageOf);
  if (listed.some(hasFile)) throw uncountable('the files of a prompt', WHERE);
  checkCountable(parameters, WHERE);
  const tools: readonly unknown[] = Array.isArray(parameters['tools']) ? parameters['tools'] : [];
  if (tools.length < Math.min(boundTools, 1)) throw uncountable('the tools of this model', WHERE);
  const kept = listed.reduce((sum, message) => sum + keptReasoning(message), 0);
  return textBound([listed.map(textOf), parameters], tools.length > 0) + kept;
}

function messageOf(message: unknown): Message {
  return typeof message === 'string' ? { content: message } : Object(message);
}

/** Blocks of a message that are text and nothing else. */
const TEXT_BLOCKS: ReadonlySet<unknown> = new Set([
  'text',
  'text_delta',
  'output_text',
  'input_text',
  'refusal',
  'reasoning',
  'thinking',
  'redacted_thinking',
  'tool_use',
  'tool_call',
  'tool_call_chunk',
  'input_json_delta',
  'function_call',
]);

/** Items of an answer that are. */
const TEXT_ITEMS: ReadonlySet<unknown> = new Set(['message', 'reasoning', 'function_call']);

function hasFile(message: Message): boolean {
  const { content, additional_kwargs } = message;
  const { type, audio, tool_outputs } = additional_kwargs ?? {};
  if (type === 'computer_call_output' || isThere(audio) || isThere(tool_outputs)) return true;
  if (answered(message).some((item) => !TEXT_ITEMS.has(item.type))) return true;
  if (!Array.isArray(content)) return typeof content !== 'string';
  return content.some((block) => typeof block !== 'string' && !TEXT_BLOCKS.has(block?.type));
}

function isThere(extra: unknown): boolean {
  return extra !== undefined && extra !== null && !(Array.isArray(extra) && extra.length === 0);
}

interface Item {
  readonly type?: unknown;
  readonly id?: unknown;
  readonly encrypted_content?: unknown;
}

function answered({ response_metadata }: Message): readonly Item[] {
  const { output } = response_metadata ?? {};
  return Array.isArray(output) ? output.map((item) => Object(item)) : [];
}

function textOf(message: Message): unknown {
  const { type, name, content, additional_kwargs, tool_calls, invalid_tool_calls, tool_call_id } = message;
  const output = answered(message);
  return { type, name, content, additional_kwargs, tool_calls, invalid_tool_calls, tool_call_id, output };
}

/** The tokens of reasoning of which a message has the id alone: the provider has kept it, and reads it again. */
function keptReasoning(message: Message): number {
  const { content, additional_kwargs, usage_metadata } = message;
  // Blocks of LangChain's own kind have the id, too.
  const blocks: readonly Item[] = Array.isArray(content) ? content.map((block) => Object(block)) : [];
  const items: readonly Item[] = [
    Object(additional_kwargs?.reasoning),
    ...[...answered(message), ...blocks].filter(({ type }) => type === 'reasoning'),
  ];
  if (!items.some(({ id, encrypted_content }) => typeof id === 'string' && !isThere(encrypted_content))) return 0;
  const tokens = usage_metadata?.output_token_details?.reasoning ?? usage_metadata?.output_tokens;
  if (!Number.isSafeInteger(tokens) || (tokens as number) < 0) {
    throw uncountable('what the provider kept of earlier requests', WHERE);
  }
  return tokens as number;
}
