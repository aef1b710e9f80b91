import { describe, expect, it } from 'vitest';
import {
  checkCountable,
  checkOneAnswer,
  limitsIn,
  modelIn,
  reasoningIn,
  withoutLimits,
} from '../../../src/adapters/framework/provider-parameters.ts';

describe('limitsIn', () => {
  it.each([
    { sent: {}, limits: [] },
    { sent: { max_tokens: 5, maxOutputTokens: 6, model: 'm' }, limits: [5, 6] },
    { sent: { extra_body: { max_completion_tokens: 7 }, generationConfig: { maxOutputTokens: 8 } }, limits: [8, 7] },
    { sent: { max_tokens: 9, reasoning: { max_tokens: 7 }, metadata: { max_tokens: 8 } }, limits: [9] },
    { sent: { max_tokens: -1, max_output_tokens: '5', maxTokens: null }, limits: [] },
    { sent: { tools: [{ max_tokens: 5 }], a: { b: { max_tokens: 5 } }, max_tokens_extra: 5 }, limits: [] },
  ])('of $sent are $limits', ({ sent, limits }) => {
    expect(limitsIn(sent)).toEqual(limits);
  });
});

describe('withoutLimits', () => {
  it.each([
    { sent: {}, left: {} },
    { sent: { maxCompletionTokens: 5, store: true }, left: { store: true } },
    { sent: { max_tokens: -1, extra_body: { max_tokens: '5', n: 1 } }, left: { extra_body: { n: 1 } } },
    { sent: { max_tokens: 5, reasoning: { max_tokens: 7 } }, left: { reasoning: { max_tokens: 7 } } },
    {
      sent: { textFormat: { schema: { properties: { max_tokens: {} } } }, tools: [{ max_tokens: 5 }] },
      left: { textFormat: { schema: { properties: { max_tokens: {} } } }, tools: [{ max_tokens: 5 }] },
    },
  ])('of $sent is $left', ({ sent, left }) => {
    expect(withoutLimits(sent)).toEqual(left);
  });
});

describe('modelIn', () => {
  it.each([
    { sent: {}, model: undefined },
    { sent: { model: null, metadata: { model: 'm' } }, model: undefined },
    { sent: { model: 'm' }, model: 'm' },
    { sent: { model: 'm', extraBody: { model: 'dearer' } }, model: 'dearer' },
  ])('of $sent is $model', ({ sent, model }) => {
    expect(modelIn(sent)).toBe(model);
  });
});

describe('reasoningIn', () => {
  it.each([
    { sent: {}, tokens: 0 },
    { sent: { thinking: { type: 'adaptive' }, reasoning: null }, tokens: 0 },
    { sent: { thinking: { type: 'enabled', budget_tokens: 2000 } }, tokens: 2000 },
    { sent: { extra_body: { reasoning: { max_tokens: 3000 } } }, tokens: 3000 },
  ])('of $sent is $tokens', ({ sent, tokens }) => {
    expect(reasoningIn(sent)).toBe(tokens);
  });
});

describe('checkCountable', () => {
  it.each([
    {},
    { conversation: null, prompt: undefined },
    { tools: [{ type: 'function' }] },
    { extra_body: { service_tier: 'flex' } },
    { mcp_servers: [], plugins: [], web_search_options: null },
    { contextManagement: { edits: [{ type: 'clear_tool_uses_20250919' }] }, compactionTrigger: false },
  ])('lets %j pass', (sent) => {
    expect(() => checkCountable(sent, 'leashModel')).not.toThrow();
  });

  it.each([
    { previous_response_id: 'r' },
    { conversation: 'c' },
    { extra_body: { prompt: { id: 'p' } } },
    { extraBody: { container: 'c' } },
    { cached_content: 'c' },
    { tools: [{ type: 'function' }, { type: 'web_search' }] },
    { extra_body: { tools: [{ googleSearch: {} }] } },
    { mcp_servers: [{ type: 'url', name: 's', url: 'https://s.example' }] },
    { web_search_options: {} },
    { extra_body: { plugins: [{ id: 'web' }] } },
    { searchParameters: { mode: 'auto' } },
    { context_management: [{ type: 'compaction', compact_threshold: 1000 }] },
    { contextManagement: { edits: [{ type: 'compact_20260112' }] } },
    { compaction: { type: 'summarize' } },
    { compactionTrigger: true },
  ])('refuses %j', (sent) => {
    expect(() => checkCountable(sent, 'leashModel')).toThrow('say so with the option `inputTokens` of leashModel');
  });
});

describe('checkOneAnswer', () => {
  it.each([{}, { n: 1 }, { n: null }, { generationConfig: { candidateCount: 1 } }, { models: [], fallbacks: null }])(
    'lets %j pass',
    (sent) => {
      expect(() => checkOneAnswer(sent, 'leashModel')).not.toThrow();
    },
  );

  it.each([
    { n: 2 },
    { extra_body: { n: 2 } },
    { generationConfig: { candidateCount: 2 } },
    { n: 1, candidate_count: 2 },
    { best_of: 2 },
  ])('refuses %j', (sent) => {
    expect(() => checkOneAnswer(sent, 'leashModel')).toThrow('leashModel knows requests for one answer, got one for 2');
  });

  it.each([
    { models: ['a'] },
    { extra_body: { models: ['a'] } },
    { fallbacks: 'default' },
    { fallbacks: [{ model: 'a' }] },
  ])('refuses the other models of %j', (sent) => {
    expect(() => checkOneAnswer(sent, 'leashModel')).toThrow('leashModel knows requests to one model');
  });
});
