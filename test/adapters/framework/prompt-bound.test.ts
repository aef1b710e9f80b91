import { describe, expect, it } from 'vitest';
import { promptBound } from '../../../src/adapters/framework/prompt-bound.ts';
import { promptOf } from '../../helpers/language-model.ts';

const bytes = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));
const ofParts = (role: string, ...content: unknown[]) => ({ prompt: [{ role, content }] });
const result = (output: unknown): object => ({ type: 'tool-result', toolCallId: '1', toolName: 't', output });

describe('promptBound', () => {
  it('is a token for each byte of the text, and then some', () => {
    for (const text of ['', 'leash', 'é', '😀'.repeat(99), '\u0000']) {
      const bound = promptBound(promptOf(text));
      expect(bound).toBeGreaterThanOrEqual(Buffer.byteLength(text) + 16);
      expect(bound).toBeLessThan(bytes(promptOf(text).prompt) + 32);
    }
  });

  it('counts the system message, the tools and the schema of the answer', () => {
    const { prompt } = promptOf('x');
    const system = { role: 'system', content: 'You are terse.' };
    const plain = promptBound({ prompt });
    expect(promptBound({ prompt: [system, ...(prompt as unknown[])] })).toBe(plain + bytes(system) + 1);
    const tool = { type: 'function', name: 'search', inputSchema: { type: 'object' } };
    expect(promptBound({ prompt, tools: [] })).toBe(plain);
    expect(promptBound({ prompt, tools: [tool] })).toBe(plain + bytes(tool) + 1024);
    const responseFormat = { type: 'json', schema: { type: 'object' } };
    expect(promptBound({ prompt, responseFormat })).toBeGreaterThan(plain + bytes(responseFormat.schema) + 1024);
    expect(promptBound({ prompt, responseFormat: { type: 'text' } })).toBeLessThan(plain + 1024);
  });

  it('counts other options of a provider as the text that they may be', () => {
    for (const openai of [
      {},
      { mcpServers: [] },
      { store: true, previousResponseId: null },
      { instructions: 'Be terse.' },
      undefined,
    ]) {
      const providerOptions = { openai };
      expect(promptBound({ ...promptOf('x'), providerOptions })).toBe(
        promptBound({ ...promptOf('x'), providerOptions: {} }) + bytes(providerOptions) - 2,
      );
    }
  });

  it.each([
    { name: 'reasoning', request: ofParts('assistant', { type: 'reasoning', text: 'hm' }) },
    {
      name: 'a call of a tool',
      request: ofParts('assistant', { type: 'tool-call', toolCallId: '1', toolName: 't', input: {} }),
    },
    { name: 'text of a tool', request: ofParts('tool', result({ type: 'text', value: 'x' })) },
    {
      name: 'JSON of a tool, whatever it says',
      request: ofParts('tool', result({ type: 'json', value: { type: 'file' } })),
    },
    {
      name: 'several texts of a tool',
      request: ofParts('tool', result({ type: 'content', value: [{ type: 'text', text: 'x' }] })),
    },
    {
      name: 'an approval',
      request: ofParts('tool', { type: 'tool-approval-response', approvalId: '1', approved: true }),
    },
  ])('knows $name', ({ request }) => {
    expect(promptBound(request)).toBeGreaterThanOrEqual(bytes(request.prompt));
  });

  it.each([
    {
      name: 'a file',
      request: ofParts('user', { type: 'text', text: 'x' }, { type: 'file', mediaType: 'image/png', data: 'iV' }),
    },
    {
      name: 'a file in reasoning',
      request: ofParts('assistant', { type: 'reasoning-file', mediaType: 'image/png', data: 'iV' }),
    },
    { name: 'a part of a kind of its own', request: ofParts('assistant', { type: 'custom', kind: 'x.y' }) },
    { name: 'no part at all', request: ofParts('user', null) },
    {
      name: 'a file of a tool',
      request: ofParts(
        'tool',
        result({
          type: 'content',
          value: [
            { type: 'text', text: 'x' },
            { type: 'media', data: 'iV' },
          ],
        }),
      ),
    },
    { name: 'content of a tool that is no list', request: ofParts('tool', result({ type: 'content', value: 'x' })) },
    { name: 'a message without content', request: { prompt: [{ role: 'user' }] } },
    { name: 'a message that is none', request: { prompt: [null] } },
    {
      name: 'a tool that the provider runs',
      request: { ...promptOf('x'), tools: [{ type: 'provider', id: 'openai.web_search' }] },
    },
    { name: 'such a tool of specification v2', request: { ...promptOf('x'), tools: [{ type: 'provider-defined' }] } },
    {
      name: 'an earlier response',
      request: { ...promptOf('x'), providerOptions: { openai: { previousResponseId: 'r' } } },
    },
    { name: 'a conversation', request: { ...promptOf('x'), providerOptions: { openai: { conversation: 'c' } } } },
    {
      name: 'a thread',
      request: { ...promptOf('x'), providerOptions: { anthropic: { thread: { type: 'continue' } } } },
    },
    { name: 'a container', request: { ...promptOf('x'), providerOptions: { anthropic: { container: { id: 'c' } } } } },
    {
      name: 'servers whose tools the provider calls',
      request: { ...promptOf('x'), providerOptions: { anthropic: { mcpServers: [{ type: 'url' }] } } },
    },
    { name: 'a cached prompt', request: { ...promptOf('x'), providerOptions: { google: { cachedContent: 'c' } } } },
    {
      name: 'a search by the provider',
      request: { ...promptOf('x'), providerOptions: { xai: { searchParameters: { mode: 'on' } } } },
    },
    {
      name: 'a summary by the provider',
      request: {
        ...promptOf('x'),
        providerOptions: { openai: { contextManagement: [{ type: 'compaction', compactThreshold: 1000 }] } },
      },
    },
    { name: 'no messages', request: { prompt: 'text' } },
  ])('cannot tell of $name', ({ request }) => {
    expect(() => promptBound(request)).toThrow(TypeError);
    expect(() => promptBound(request)).toThrow('`inputTokens` of leashModel');
  });
});
