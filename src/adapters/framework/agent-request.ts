import type { KeptReasoning } from './kept-reasoning.ts';
import { textBound } from './prompt-bound.ts';
import { checkCountable, type ProviderParameters, uncountable } from './provider-parameters.ts';

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
  readonly modelSettings?: AgentModelSettings | undefined;
}

interface AgentModelSettings {
  readonly maxTokens?: number | undefined;
  readonly contextManagement?: unknown;
  readonly providerData?: unknown;
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
 * @param kept reasoning that the provider keeps and reads again when it is given the id.
 * @throws {TypeError} it has what nobody can count from here.
 */
export function agentPromptBound(request: AgentRequest, kept: KeptReasoning): number {
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
  checkCountable({ contextManagement: request.modelSettings?.contextManagement, ...own }, 'leashModel');
  const passed = Array.isArray(handoffs) ? handoffs : [];
  const text = textBound(
    [systemInstructions, input, listed, passed, outputType, own],
    listed.length + passed.length > 0,
  );
  return text + kept.tokensOf(reasoningIds(input));
}

interface ReasoningItem {
  readonly type?: unknown;
  readonly id?: unknown;
  readonly providerData?: unknown;
}

/** The ids of reasoning that has an id and not what it stands for. */
export function reasoningIds(items: unknown): readonly string[] {
  if (!Array.isArray(items)) return [];
  return items.flatMap((item: unknown) => {
    const { type, id, providerData } = Object(item) as ReasoningItem;
    const { encrypted_content, encryptedContent = encrypted_content } = Object(providerData);
    return type === 'reasoning' && typeof id === 'string' && typeof encryptedContent !== 'string' ? [id] : [];
  });
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
