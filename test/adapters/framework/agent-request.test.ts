import { describe, expect, it } from 'vitest';
import {
  type AgentRequest,
  agentPromptBound as boundOf,
  reasoningIds,
} from '../../../src/adapters/framework/agent-request.ts';
import { KeptReasoning } from '../../../src/adapters/framework/kept-reasoning.ts';

const bytes = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));
const agentPromptBound = (request: AgentRequest, kept = new KeptReasoning(4096)): number => boundOf(request, kept);
const message = (content: unknown): AgentRequest => ({ input: [{ type: 'message', role: 'user', content }] });

describe('agentPromptBound', () => {
  it('is a token for each byte of all that is sent', () => {
    const plain = agentPromptBound({ input: 'é' });
    expect(plain).toBeGreaterThan(bytes('é'));
    const systemInstructions = 'Be terse.';
    expect(agentPromptBound({ input: 'é', systemInstructions })).toBe(plain + bytes(systemInstructions) - 4);
    const tool = { type: 'function', name: 'search', parameters: {} };
    expect(agentPromptBound({ input: 'é', tools: [tool] })).toBe(plain + bytes(tool) + 1024);
    const handoff = { toolName: 'to_other' };
    expect(agentPromptBound({ input: 'é', handoffs: [handoff] })).toBe(plain + bytes(handoff) + 1024);
    expect(agentPromptBound({ input: 'é', outputType: { type: 'json_schema' } })).toBeGreaterThan(plain + 1024);
  });

  it.each([
    { name: 'text', request: message('x') },
    { name: 'parts of text', request: message([{ type: 'input_text', text: 'x' }]) },
    { name: 'an answer', request: message([{ type: 'output_text' }, { type: 'refusal' }]) },
    { name: 'a message without a type', request: { input: [{ role: 'user', content: 'x' }] } },
    { name: 'a call', request: { input: [{ type: 'function_call', arguments: '{}' }] } },
    { name: 'its result', request: { input: [{ type: 'function_call_result', output: { type: 'text', text: 'x' } }] } },
    {
      name: 'a result of parts',
      request: { input: [{ type: 'function_call_result', output: [{ type: 'input_text' }] }] },
    },
    { name: 'reasoning', request: { input: [{ type: 'reasoning', content: [] }] } },
  ])('counts $name', ({ request }) => {
    expect(agentPromptBound(request)).toBeGreaterThanOrEqual(bytes(request.input));
  });

  it.each([
    { name: 'an image', request: message([{ type: 'input_text' }, { type: 'input_image' }]) },
    { name: 'a file', request: message([{ type: 'input_file' }]) },
    {
      name: 'a result with an image',
      request: { input: [{ type: 'function_call_result', output: [{ type: 'input_image' }] }] },
    },
    { name: 'a call of a tool of the provider', request: { input: [{ type: 'hosted_tool_call' }] } },
    { name: 'a compaction', request: { input: [{ type: 'compaction' }] } },
    { name: 'no items', request: { input: 5 } },
    { name: 'no item', request: { input: [null] } },
    { name: 'no part', request: message([null]) },
    { name: 'no content', request: message(undefined) },
  ])('refuses to count $name', ({ request }) => {
    expect(() => agentPromptBound(request)).toThrow('the files of a prompt are: say so with the option `inputTokens`');
  });

  it.each([{ previousResponseId: 'r' }, { conversationId: 'c' }, { prompt: { promptId: 'p' } }])(
    'refuses to count what the provider keeps: %j',
    (kept) => {
      expect(() => agentPromptBound({ input: 'x', ...kept })).toThrow('what the provider kept of earlier requests');
    },
  );

  it('counts what goes to the provider in its own words, and refuses what nobody can count in it', () => {
    const of = (providerData: object): number => agentPromptBound({ input: 'x', modelSettings: { providerData } });
    const instructions = 'something else';
    expect(of({ instructions })).toBe(of({}) + bytes({ instructions }) - 2);
    for (const uncounted of [{ conversation: 'c' }, { extra_body: { tools: [{ type: 'web_search' }] } }]) {
      expect(() => of(uncounted)).toThrow('nobody can tell how many tokens');
    }
  });

  it.each([{ type: 'hosted_tool', name: 'web_search' }, { type: 'computer' }, null])(
    'refuses to count what the provider adds by a tool: %j',
    (tool) => {
      expect(() => agentPromptBound({ input: 'x', tools: [tool] })).toThrow('what the tools of a provider read');
    },
  );
});

describe('reasoning that the provider keeps', () => {
  const item = { type: 'reasoning', id: 'rs_1', content: [] };
  const of = (kept: KeptReasoning, ...input: object[]): number => boundOf({ input }, kept);
  const told = (tokens: number, output: unknown = [item]): KeptReasoning => {
    const kept = new KeptReasoning(4096);
    kept.remember(reasoningIds(output), tokens);
    return kept;
  };

  it('counts as what the provider told of it', () => {
    expect(of(told(700), item)).toBe(of(told(0), item) + 700);
    expect(of(told(700), item, item)).toBe(of(told(0), item, item) + 1400);
  });

  it.each([
    { name: 'it has another id', item: { ...item, id: 'rs_2' }, counts: false },
    { name: 'it has no id', item: { type: 'reasoning', content: [] }, counts: true },
    {
      name: 'it is there, encrypted',
      item: { ...item, id: 'rs_2', providerData: { encryptedContent: 'x' } },
      counts: true,
    },
    {
      name: 'it is there, in other words',
      item: { ...item, id: 'rs_2', providerData: { encrypted_content: 'x' } },
      counts: true,
    },
    { name: 'it is no reasoning', item: { type: 'message', id: 'rs_2', content: 'x' }, counts: true },
  ])('can be told where $name: $counts', ({ item, counts }) => {
    const bound = (): number => of(told(700), item);
    if (counts) expect(bound()).toBeLessThan(700);
    else expect(bound).toThrow('what the provider kept of earlier requests');
  });

  it('is remembered of thousands of answers, and of none without output', () => {
    const kept = told(1, undefined);
    for (let i = 0; i < 5000; i++) kept.remember(reasoningIds([{ ...item, id: `rs_${i}` }]), 1);
    expect(() => of(kept, { ...item, id: 'rs_4999' }, { ...item, id: 'rs_904' })).not.toThrow();
    expect(() => of(kept, { ...item, id: 'rs_903' })).toThrow('nobody can tell');
  });
});
