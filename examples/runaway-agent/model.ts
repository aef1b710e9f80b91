// A model that misbehaves by a script, in place of one of a provider: one tool call a request, and it never has enough.
import { MockLanguageModelV4 } from 'ai/test';

const script: readonly [tool: string, input: object][] = [
  ['browse', { path: '/catalogue' }],
  ['buy', { item: 'lamp', cents: 'forty' }],
  ['buy', { item: 'lamp', cents: 4000 }],
  ['browse', { path: '/deals' }],
  ['mail', { item: 'receipt' }],
  ['mail', { item: 'receipt' }],
  ['browse', { path: '/more' }],
  ['browse', { path: '/even-more' }],
  ['buy', { item: 'chair', cents: 2000 }],
  ['browse', { path: '/never-reached' }],
];

export function misbehavingModel(): MockLanguageModelV4 {
  let step = 0;
  return new MockLanguageModelV4({
    doGenerate: async () => {
      const [toolName, input] = script[step++] ?? ['browse', { path: '/' }];
      return {
        content: [{ type: 'tool-call', toolCallId: `call-${step}`, toolName, input: JSON.stringify(input) }],
        finishReason: { unified: 'tool-calls', raw: undefined },
        usage: {
          inputTokens: { total: 100, noCache: 100, cacheRead: 0, cacheWrite: 0 },
          outputTokens: { total: 20, text: 20, reasoning: 0 },
        },
        warnings: [],
      };
    },
  });
}
