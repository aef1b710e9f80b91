import type { PromptParts } from './prompt-bound.ts';
import { ownOptions } from './provider-parameters.ts';

interface Part {
  readonly type?: unknown;
  readonly providerOptions?: unknown;
  readonly providerMetadata?: unknown;
}

/**
 * The ids of reasoning that a prompt of the AI SDK names in place of it: OpenAI's, unless it is there, encrypted, or the
 * provider is told to keep nothing.
 */
export function namedReasoning({ prompt, providerOptions }: PromptParts): ReadonlySet<string> {
  const named = new Set<string>();
  if (ownOptions(providerOptions).some(({ store }) => store === false)) return named;
  const messages: readonly unknown[] = Array.isArray(prompt) ? prompt : [];
  const items = messages
    .flatMap((message) => partsIn(Object(message).content))
    .flatMap((part) => (part.type === 'reasoning' ? ownOptions(part.providerOptions) : []));
  for (const { itemId } of items) if (typeof itemId === 'string') named.add(itemId);
  for (const { itemId, reasoningEncryptedContent } of items) {
    if (typeof reasoningEncryptedContent === 'string') named.delete(itemId as string);
  }
  return named;
}

const REASONING: ReadonlySet<unknown> = new Set(['reasoning', 'reasoning-start']);

/** The ids that reasoning has in an answer, whole or streamed. */
export function toldReasoning(parts: unknown): readonly string[] {
  return partsIn(parts)
    .flatMap(({ type, providerMetadata }) => (REASONING.has(type) ? ownOptions(providerMetadata) : []))
    .flatMap(({ itemId }) => (typeof itemId === 'string' ? [itemId] : []));
}

function partsIn(content: unknown): readonly Part[] {
  return Array.isArray(content) ? content.map((part) => Object(part)) : [];
}
