import { checkCountable, ownOptions, uncountable } from './provider-parameters.ts';

/**
 * For what a provider writes into a prompt of its own accord when there are tools, or a schema of the answer. Anthropic
 * says how much that is, at most 530 tokens: https://docs.anthropic.com/en/docs/tool-use-pricing-and-tokens
 */
const PREAMBLE = 1024;

/** What of a request to a language model becomes its prompt. */
export interface PromptParts {
  readonly prompt: unknown;
  readonly tools?: unknown;
  readonly responseFormat?: unknown;
  readonly providerOptions?: unknown;
}

/**
 * An upper bound of the tokens of a prompt of text.
 *
 * @throws {TypeError} the prompt has parts that nobody can tell the tokens of: files, what the provider kept of earlier
 * requests, and what the tools read that it runs.
 */
export function promptBound({ prompt, tools, responseFormat, providerOptions }: PromptParts): number {
  const listed = Array.isArray(tools) ? tools : [];
  const where = 'leashModel';
  if (hasFile(prompt)) throw uncountable('the files of a prompt', where);
  if (listed.some((tool) => tool?.type !== 'function')) throw uncountable('what the tools of a provider read', where);
  for (const own of ownOptions(providerOptions)) checkCountable(own, where);
  // Some of the options are text too: OpenAI's `instructions` and `textFormat`.
  const parts = [prompt, listed, responseFormat, ...(providerOptions === undefined ? [] : [providerOptions])];
  return textBound(parts, listed.length > 0 || isJson(responseFormat));
}

/** Then a provider says so in words of its own, or Anthropic's has a tool for it. */
function isJson(responseFormat: unknown): boolean {
  return Object(responseFormat).type === 'json';
}

/**
 * An upper bound of the tokens of text: a token is at least one byte of it, and what providers write around messages is
 * shorter than the JSON around them.
 */
export function textBound(parts: readonly unknown[], hasTools: boolean): number {
  const text = JSON.stringify(parts);
  // By which OpenAI and Anthropic are told to answer as a schema says, which is told to the model in words of theirs.
  const hasSchema = text.includes('"json_schema"');
  return Buffer.byteLength(text) + (hasTools || hasSchema ? PREAMBLE : 0);
}

/** Messages of text are made of these; every other part may stand for more than its text. */
const TEXT_PARTS: ReadonlySet<unknown> = new Set([
  'text',
  'reasoning',
  'tool-call',
  'tool-result',
  'tool-approval-request',
  'tool-approval-response',
]);

function hasFile(prompt: unknown): boolean {
  if (!Array.isArray(prompt)) return true;
  return prompt.some((message) => {
    const content: unknown = message?.content;
    return Array.isArray(content) ? content.some(isFile) : typeof content !== 'string';
  });
}

function isFile(part: {
  readonly type?: unknown;
  readonly output?: { readonly type?: unknown; readonly value?: unknown };
}): boolean {
  if (!TEXT_PARTS.has(part?.type)) return true;
  if (part.type !== 'tool-result' || part.output?.type !== 'content') return false;
  const { value } = part.output;
  return !Array.isArray(value) || value.some((item) => item?.type !== 'text');
}
