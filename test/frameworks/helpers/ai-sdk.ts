import * as ai7 from 'ai';
import { MockLanguageModelV4, simulateReadableStream } from 'ai/test';
import * as ai5 from 'ai-5';
import { MockLanguageModelV2 } from 'ai-5/test';
import * as ai6 from 'ai-6';
import { MockLanguageModelV3 } from 'ai-6/test';

/** What a scripted model answers with. */
export interface Answer {
  readonly text?: string;
  readonly calls?: readonly { readonly name: string; readonly input: unknown }[];
  /** What the provider reports; undefined counts as what it leaves out. Default: 100 in, 10 out. */
  readonly usage?: { readonly input?: number; readonly output?: number };
}

/** What a request to the model has, as far as tests look at it. */
export interface Request {
  readonly prompt: readonly { readonly role: string; readonly content: unknown }[];
  readonly maxOutputTokens?: number;
  readonly abortSignal?: AbortSignal;
}

/** A scripted model of one specification version, and what was asked of it. */
interface Scripted {
  readonly model: MockLanguageModelV4;
  readonly requests: Request[];
}

/** One version of the AI SDK, with the types of the newest. */
export interface Version {
  readonly name: string;
  readonly specification: 'v2' | 'v3' | 'v4';
  readonly ai: Pick<typeof ai7, 'generateText' | 'streamText' | 'tool' | 'jsonSchema' | 'stepCountIs'>;
  script(answer: (request: Request, index: number) => Answer | Promise<Answer>): Scripted;
}

type AnyModel = new (parts: {
  readonly provider: string;
  readonly modelId: string;
  readonly doGenerate: (request: never) => Promise<unknown>;
  readonly doStream: (request: never) => Promise<unknown>;
}) => unknown;

function version(name: string, specification: Version['specification'], ai: unknown, Model: unknown): Version {
  const flat = specification === 'v2';
  return {
    name,
    specification,
    ai: ai as Version['ai'],
    script(answer) {
      const requests: Request[] = [];
      const next = (request: Request): Answer | Promise<Answer> => {
        requests.push(request);
        return answer(request, requests.length - 1);
      };
      const ending = ({ calls = [], usage = { input: 100, output: 10 } }: Answer) => {
        const reason = calls.length === 0 ? 'stop' : 'tool-calls';
        const { input, output } = usage;
        return {
          finishReason: flat ? reason : { unified: reason, raw: undefined },
          usage: flat
            ? { inputTokens: input, outputTokens: output, totalTokens: undefined }
            : { inputTokens: { total: input }, outputTokens: { total: output } },
        };
      };
      const toolCalls = ({ calls = [] }: Answer) =>
        calls.map(({ name: toolName, input }, i) => {
          const toolCallId = `call-${requests.length}-${i}`;
          return { type: 'tool-call', toolCallId, toolName, input: JSON.stringify(input) };
        });
      const model = new (Model as AnyModel)({
        provider: 'scripted',
        modelId: 'looping',
        async doGenerate(request: Request) {
          const given = await next(request);
          const text = given.text === undefined ? [] : [{ type: 'text', text: given.text }];
          return { content: [...text, ...toolCalls(given)], ...ending(given), warnings: [] };
        },
        async doStream(request: Request) {
          const given = await next(request);
          const words = (given.text ?? '').split(/(?<= )/).filter(Boolean);
          const text =
            words.length === 0
              ? []
              : [
                  { type: 'text-start', id: 't' },
                  ...words.map((delta) => ({ type: 'text-delta', id: 't', delta })),
                  { type: 'text-end', id: 't' },
                ];
          const chunks = [
            { type: 'stream-start', warnings: [] },
            ...text,
            ...toolCalls(given),
            { type: 'finish', ...ending(given) },
          ];
          return { stream: simulateReadableStream({ chunks, initialDelayInMs: null, chunkDelayInMs: null }) };
        },
      });
      return { model: model as MockLanguageModelV4, requests };
    },
  };
}

export const versions: readonly Version[] = [
  version('AI SDK 5', 'v2', ai5, MockLanguageModelV2),
  version('AI SDK 6', 'v3', ai6, MockLanguageModelV3),
  version('AI SDK 7', 'v4', ai7, MockLanguageModelV4),
];

/** A model that calls `search` in every step, for ever. */
export function searching(index: number): Answer {
  return { calls: [{ name: 'search', input: { query: `q${index}` } }] };
}
