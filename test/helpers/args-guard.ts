import type { Guard, ToolCall, Verdict } from '../../src/guard.ts';

function call(tool: string, value: unknown, schema?: object): ToolCall {
  return { id: 'c1', tool, args: value, cost: undefined, urls: [], schema };
}

/** What an args guard says of a call of `tool` with these arguments. */
export function check(guard: Guard, value: unknown, schema?: object, tool = 'pay'): Verdict | Promise<Verdict> {
  const verdict = guard.check?.(call(tool, value, schema));
  if (verdict === undefined) throw new Error('the guard has no check');
  return verdict;
}

export function prepare(guard: Guard, tool: string, schema?: object): unknown {
  return guard.prepare?.({ tool, schema, urls: false });
}
