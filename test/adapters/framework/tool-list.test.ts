import { describe, expect, it } from 'vitest';
import { leashToolList, toolName } from '../../../src/adapters/framework/tool-list.ts';

const search = { name: 'search', run: true };
const web = { type: 'web_search' };
const isHoldable = (tool: object): boolean => 'run' in tool;
const hold = (tool: object, terms: object): object => {
  if (!isHoldable(tool)) throw new TypeError(`cannot hold ${toolName(tool)}`);
  return { held: tool, ...terms };
};

describe('leashToolList', () => {
  it('holds each tool with its own terms', () => {
    const other = { name: 'other', run: true };
    const listed = leashToolList([search, other], { costs: { other: 'free' } }, isHoldable, hold);
    expect(listed).toEqual([{ held: search }, { held: other, cost: 'free' }]);
  });

  it.each([{ unguarded: ['web_search'] }, { unguarded: 'all' }])('lets pass what cannot be held with %o', (options) => {
    const [passed, held] = leashToolList([web, search], options, isHoldable, hold);
    expect([passed === web, held]).toEqual([true, { held: search }]);
  });

  it('holds what may pass and can be held', () => {
    const [held] = leashToolList([search], { unguarded: ['search'] }, isHoldable, hold);
    expect(held).toEqual({ held: search });
  });

  it.each([
    { name: 'no array', tools: { search }, options: {}, message: 'expects an array of tools, got an object' },
    { name: 'no tool', tools: [5], options: {}, message: 'expects tools with a `name`' },
    { name: 'what cannot be held', tools: [web], options: {}, message: 'cannot hold web_search' },
    { name: 'an unknown cost', tools: [search], options: { costs: { serch: 'free' } }, message: '`serch`' },
    {
      name: 'an unknown tool to pass',
      tools: [search],
      options: { unguarded: ['x'] },
      message: "'x', which is no tool",
    },
    { name: 'an unknown option', tools: [search], options: { cost: {} }, message: 'unknown option `cost`' },
  ])('refuses $name', ({ tools, options, message }) => {
    const list = () => leashToolList(tools as never, options, isHoldable, hold);
    expect(list).toThrow(message);
    expect(list).toThrow(TypeError);
  });
});

describe('toolName', () => {
  it.each([
    { tool: { name: 'search', type: 'function' }, name: 'search' },
    { tool: { type: 'web_search' }, name: 'web_search' },
  ])('of $tool is $name', ({ tool, name }) => {
    expect(toolName(tool)).toBe(name);
  });

  it.each([undefined, null, 5, 'search', {}, { name: 5 }])('refuses %j', (tool) => {
    expect(() => toolName(tool)).toThrow('leashTools expects tools with a `name`, or of a provider with a `type`, got');
  });
});
