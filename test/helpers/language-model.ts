import type { PromptParts } from '../../src/adapters/framework/prompt-bound.ts';

export interface ModelRequest extends PromptParts {
  readonly maxOutputTokens?: number | undefined;
  readonly abortSignal?: AbortSignal | undefined;
  readonly reasoning?: string | undefined;
  readonly providerOptions?: unknown;
}

/** A model of the AI SDK's specification, which answers as it is told; its state is private, as that of real ones. */
export class FakeModel {
  readonly specificationVersion: string = 'v4';
  readonly provider: string = 'fake.chat';
  readonly modelId: string = 'fake-1';
  #requests: ModelRequest[] = [];
  readonly #answer: (request: ModelRequest) => unknown;

  constructor(
    answer: (request: ModelRequest) => unknown,
    parts: { specificationVersion?: string; provider?: string } = {},
  ) {
    this.#answer = answer;
    Object.assign(this, parts);
  }

  get requests(): readonly ModelRequest[] {
    return this.#requests;
  }

  async doGenerate(request: ModelRequest): Promise<unknown> {
    this.#requests.push(request);
    return this.#answer(request);
  }

  async doStream(request: ModelRequest): Promise<unknown> {
    this.#requests.push(request);
    return this.#answer(request);
  }
}

/** A prompt of one message of text. */
export function promptOf(text: string): PromptParts {
  return { prompt: [{ role: 'user', content: [{ type: 'text', text }] }] };
}

/** Usage as specification v3 and v4 have it. */
export function tokens(input: number | undefined, output: number | undefined, cacheRead = 0, cacheWrite = 0): object {
  const noCache = input === undefined ? undefined : input - cacheRead - cacheWrite;
  return { inputTokens: { total: input, noCache, cacheRead, cacheWrite }, outputTokens: { total: output } };
}
