import { textBound, uncountable } from './prompt-bound.ts';
import { checkCountable, type ProviderParameters } from './provider-parameters.ts';

/** A request of the OpenAI Agents SDK to a model, as far as its prompt goes. */
export interface AgentRequest {
  readonly systemInstructions?: unknown;
  readonly input: unknown;
  readonly tools?: unknown;
  readonly handoffs?: unknown;
  readonly outputType?: unknown;
  readonly previousResponseId?: unknown;
  readonly conversationId?: unknown;
  readonly prompt?: unknown;
  readonly modelSettings?: { readonly maxTokens?: number | undefined; readonly providerData?: unknown } | undefined;
}

/** What of the request goes to the provider in its own words, and before all else that the request says. */
export function ownParameters({ modelSettings }: AgentRequest): ProviderParameters {
  return Object(modelSettings?.providerData);
}

/** What the provider adds to a prompt out of what it keeps. */
const KEPT = ['previousResponseId', 'conversationId', 'prompt'] as const;

/**
 * An upper bound of the tokens of a request of text.
 *
 * @throws {TypeError} it has what nobody can count from here.
 */
export function agentPromptBound(request: AgentRequest): number {
  const { systemInstructions, input, tools, handoffs, outputType } = request;
  if (typeof input !== 'string' && !(Array.isArray(input) && input.every(isText))) {
    throw uncountable('the files of a prompt', 'leashModel');
  }
  if (KEPT.some((name) => request[name] !== undefined)) {
    throw uncountable('what the provider kept of earlier requests', 'leashModel');
  }
  const listed = Array.isArray(tools) ? tools : [];
  if (!listed.every((tool) => tool?.type === 'function')) {
    throw uncountable('what the tools of a provider read', 'leashModel');
  }
  const own = ownParameters(request);
  checkCountable(own, 'leashModel');
  const passed = Array.isArray(handoffs) ? handoffs : [];
  return textBound([systemInstructions, input, listed, passed, outputType, own], listed.length + passed.length > 0);
}

/** Items that are text and nothing else. */
function isText(item: unknown): boolean {
  const { type = 'message', content, output } = Object(item) as { type?: unknown; content?: unknown; output?: unknown };
  if (type === 'message') return isTextContent(content);
  if (type === 'function_call_result') return isTextContent(output);
  return type === 'function_call' || type === 'reasoning';
}

const TEXT_PARTS: ReadonlySet<unknown> = new Set(['text', 'input_text', 'output_text', 'refusal']);

function isTextContent(content: unknown): boolean {
  if (typeof content === 'string') return true;
  const parts: readonly unknown[] = Array.isArray(content) ? content : [content];
  return parts.every((part) => TEXT_PARTS.has((part as { type?: unknown } | null | undefined)?.type));
}
