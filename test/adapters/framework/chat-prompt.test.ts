import { describe, expect, it } from 'vitest';
import { chatPromptBound } from '../../../src/adapters/framework/chat-prompt.ts';
import { type ChatRequest, chatRequest } from '../../../src/adapters/framework/chat-request.ts';

const tools = [{ name: 'search', input_schema: {} }];
const requestOf = (sent: object): ChatRequest =>
  chatRequest({ invoke: async () => 'x', invocationParams: () => ({ max_tokens: 5, ...sent }) }, {});

describe('chatPromptBound', () => {
  const bytes = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));
  const boundOf = (content: unknown, sent: object = {}, bound = 0): number =>
    chatPromptBound([{ content }], requestOf(sent), bound);

  it('is a token for each byte of the messages and of what goes with them', () => {
    const message = { type: 'ai', content: 'é', tool_calls: [{ name: 'search', args: { query: 'x' } }], output: [] };
    const request = requestOf({});
    const plain = chatPromptBound([{ type: 'human', content: 'x' }], request, 0);
    const more = chatPromptBound([{ type: 'human', content: 'x' }, message], request, 0);
    expect(more).toBe(plain + bytes(message) + 1);
    expect(chatPromptBound('hello', request, 0)).toBeGreaterThan(bytes('hello'));
    const withTools = requestOf({ tools });
    expect(chatPromptBound('hello', withTools, 1) - chatPromptBound('hello', request, 0)).toBe(
      bytes({ tools }) - 1 + 1024,
    );
    expect(boundOf('x', { response_format: { type: 'json_object' } })).toBeGreaterThan(boundOf('x'));
    expect(boundOf('x', { response_format: { type: 'json_object' } })).toBeLessThan(boundOf('x') + 1024);
    for (const format of [{ response_format: { type: 'json_schema' } }, { output_config: { type: 'json_schema' } }]) {
      expect(boundOf('x', format)).toBeGreaterThan(boundOf('x') + 1024);
    }
    expect(boundOf('"json_schema"')).toBeLessThan(boundOf('x') + 1024);
  });

  it('counts what else a message has for the provider, and not what the provider said of it', () => {
    const request = requestOf({});
    const of = (more: object): number => chatPromptBound([{ content: 'x', ...more }], request, 0);
    const plain = of({});
    expect(of({ response_metadata: { model: 'm' }, usage_metadata: { output_tokens: 5 }, id: 'i' })).toBe(plain);
    for (const more of [
      { name: 'n' },
      { tool_call_id: 'c' },
      { additional_kwargs: { a: 1 } },
      { invalid_tool_calls: [1] },
    ]) {
      expect(of(more)).toBeGreaterThan(plain);
    }
  });

  it.each(['text', 'reasoning', 'thinking', 'redacted_thinking', 'tool_use', 'tool_call', 'function_call', 'refusal'])(
    'knows blocks of type %s',
    (type) => {
      expect(boundOf([{ type, text: 'x' }, 'y'])).toBeGreaterThan(0);
    },
  );

  const dead = { name: 'no block', content: [null] };
  it.each([
    { name: 'an image', content: [{ type: 'image_url', image_url: 'data:' }] },
    { name: 'a file', content: [{ type: 'text' }, { type: 'file' }] },
    { name: 'sound', content: [{ type: 'input_audio' }] },
    { name: 'results of tools of the provider', content: [{ type: 'web_search_tool_result' }] },
    dead,
    { name: 'no content', content: undefined },
  ])('refuses to count $name', ({ content }) => {
    expect(() => boundOf(content)).toThrow('the files of a prompt are: say so with the option `inputTokens`');
  });

  it.each([
    { sent: { previous_response_id: 'r' } },
    { sent: { conversation: { id: 'c' } } },
    { sent: { prompt: { id: 'p' } } },
    { sent: { container: 'c' } },
    { sent: { cachedContent: 'c' } },
  ])('refuses to count what the provider keeps: $sent', ({ sent }) => {
    expect(() => boundOf('x', sent)).toThrow('what the provider kept of earlier requests');
  });

  it.each([
    { tool: { type: 'web_search' }, counts: false },
    { tool: { type: 'web_search_20250305', name: 'web_search' }, counts: false },
    { tool: { googleSearch: {} }, counts: false },
    { tool: null, counts: false },
    { tool: { type: 'function', name: 'f' }, counts: true },
    { tool: { type: 'function', function: {} }, counts: true },
    { tool: { name: 'f', input_schema: {} }, counts: true },
    { tool: { functionDeclarations: [] }, counts: true },
    { tool: { toolSpec: {} }, counts: true },
  ])('of a request with the tool $tool can be told: $counts', ({ tool, counts }) => {
    const bound = (): number => boundOf('x', { tools: [tool] }, 1);
    if (counts) expect(bound()).toBeGreaterThan(1024);
    else expect(bound).toThrow('what the tools of a provider read');
  });

  it('refuses to count tools that it cannot see', () => {
    expect(() => boundOf('x', {}, 2)).toThrow('the tools of this model');
  });

  it('counts an answer that is sent again as it was', () => {
    const output = [{ type: 'message', content: [{ type: 'output_text', text: 'x'.repeat(99) }] }];
    const again = chatPromptBound([{ content: '', response_metadata: { output } }], requestOf({}), 0);
    expect(again).toBe(chatPromptBound([{ content: '' }], requestOf({}), 0) + bytes(output) - 2);
  });

  it.each([
    {
      name: 'an image in such an answer',
      message: { content: '', response_metadata: { output: [{ type: 'image_generation_call' }] } },
    },
    {
      name: 'a search in such an answer',
      message: { content: '', response_metadata: { output: [{ type: 'web_search_call' }] } },
    },
    { name: 'what tools of the provider gave', message: { content: '', additional_kwargs: { tool_outputs: [{}] } } },
    { name: 'a screenshot', message: { content: 'data:', additional_kwargs: { type: 'computer_call_output' } } },
    { name: 'sound that it keeps', message: { content: '', additional_kwargs: { audio: { id: 'a' } } } },
  ])('refuses to count $name', ({ message }) => {
    expect(() => chatPromptBound([message], requestOf({}), 0)).toThrow('the files of a prompt');
  });

  const hidden = { id: 'rs_1', type: 'reasoning', summary: [] };
  const told = { usage_metadata: { output_tokens: 900, output_token_details: { reasoning: 700 } } };
  it.each([
    { name: 'as it was told', message: { additional_kwargs: { reasoning: hidden }, ...told }, tokens: 700 },
    { name: 'and a block of the content names', message: { content: [hidden], ...told }, tokens: 700 },
    { name: 'in an answer', message: { response_metadata: { output: [hidden] }, ...told }, tokens: 700 },
    {
      name: 'as all of the output',
      message: { additional_kwargs: { reasoning: hidden }, usage_metadata: { output_tokens: 900 } },
      tokens: 900,
    },
    {
      name: 'not, where the message has it',
      message: { additional_kwargs: { reasoning: { ...hidden, encrypted_content: 'x' } }, ...told },
      tokens: 0,
    },
    {
      name: 'not, where nothing is kept',
      message: { additional_kwargs: { reasoning: { summary: [] } }, ...told },
      tokens: 0,
    },
  ])('counts reasoning that the provider keeps $name', ({ message, tokens }) => {
    const request = requestOf({});
    const { usage_metadata: _, ...text } = { content: '', ...message };
    const plain = 'é';
    const withoutIds = JSON.parse(JSON.stringify(text).replaceAll('"id":"rs_1"', '"ID":"rs_1"'));
    expect(chatPromptBound([{ content: '', ...message }, plain], request, 0)).toBe(
      chatPromptBound([withoutIds, plain], request, 0) + tokens,
    );
  });

  it('refuses to count reasoning that the provider keeps where nobody told how much it is', () => {
    for (const usage_metadata of [undefined, {}, { output_tokens: '5' }]) {
      const message = { content: '', additional_kwargs: { reasoning: hidden }, usage_metadata };
      expect(() => chatPromptBound([message], requestOf({}), 0)).toThrow('what the provider kept of earlier requests');
    }
  });
});
