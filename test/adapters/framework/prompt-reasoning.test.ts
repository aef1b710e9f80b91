import { describe, expect, it } from 'vitest';
import { namedReasoning, toldReasoning } from '../../../src/adapters/framework/prompt-reasoning.ts';

const part = (openai: object | undefined, type = 'reasoning') => ({ type, text: '', providerOptions: { openai } });
const ofParts = (...content: unknown[]) => ({ prompt: [{ role: 'assistant', content }] });

describe('namedReasoning', () => {
  it.each([
    { name: 'one id', request: ofParts(part({ itemId: 'a' })), ids: ['a'] },
    { name: 'an id of several parts', request: ofParts(part({ itemId: 'a' }), part({ itemId: 'a' })), ids: ['a'] },
    {
      name: 'of all messages',
      request: { prompt: [{ content: [part({ itemId: 'a' })] }, ...ofParts(part({ itemId: 'b' })).prompt] },
      ids: ['a', 'b'],
    },
    {
      name: 'an id and nothing to read',
      request: ofParts(part({ itemId: 'a', reasoningEncryptedContent: null })),
      ids: ['a'],
    },
    {
      name: 'what is there',
      request: ofParts(part({ itemId: 'a' }), part({ itemId: 'a', reasoningEncryptedContent: 'x' })),
      ids: [],
    },
    { name: 'text', request: ofParts(part({ itemId: 'a' }, 'text')), ids: [] },
    { name: 'no id', request: ofParts(part({}), part({ itemId: 5 }), part(undefined), null), ids: [] },
    {
      name: 'nothing that is kept',
      request: { ...ofParts(part({ itemId: 'a' })), providerOptions: { openai: { store: false } } },
      ids: [],
    },
    { name: 'no messages', request: { prompt: 'text' }, ids: [] },
  ])('of $name: $ids', ({ request, ids }) => {
    expect([...namedReasoning(request)]).toEqual(ids);
  });
});

describe('toldReasoning', () => {
  it('has the ids of an answer, whole or streamed', () => {
    const told = (type: string, itemId: unknown) => ({ type, providerMetadata: { openai: { itemId } } });
    expect(toldReasoning([told('reasoning', 'a'), told('reasoning-start', 'b')])).toEqual(['a', 'b']);
    expect(toldReasoning([told('text', 'a'), told('reasoning', 5), { type: 'reasoning' }, null])).toEqual([]);
    expect(toldReasoning(undefined)).toEqual([]);
  });
});
