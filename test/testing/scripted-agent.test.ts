import { describe, expect, it } from 'vitest';
import { budget } from '../../src/guards/budget.ts';
import { callCap } from '../../src/guards/call-cap.ts';
import { createLeash } from '../../src/leash.ts';
import type { Leash } from '../../src/leash-contract.ts';
import {
  type AgentCall,
  type AgentOptions,
  expectDenied,
  recordingSink,
  runScriptedAgent,
  type ScriptedTurn,
} from '../../src/testing/index.ts';

const again = { tool: 'search', args: { q: 'again' } };
const forever = (): ScriptedTurn => again;

/** A leash that allows three calls, and one tool under it. */
function leashed(): { readonly leash: Leash; readonly tools: AgentOptions['tools']; readonly ran: () => number } {
  let ran = 0;
  const leash = createLeash({ guards: [callCap(3)] });
  const search = leash.wrap('search', ({ q }: { readonly q: string }) => {
    ran++;
    return { found: q };
  });
  return { leash, tools: { search }, ran: () => ran };
}

describe('runScriptedAgent', () => {
  it('calls what the script says, and ends with its answer', async () => {
    const { tools } = leashed();
    const run = await runScriptedAgent({ script: [again, { tool: 'search', args: { q: 'b' } }, 'done', again], tools });
    expect(run).toMatchObject({ end: 'answer', answer: 'done', steps: 3 });
    expect(run.calls).toEqual([
      {
        step: 1,
        tool: 'search',
        args: { q: 'again' },
        outcome: 'ran',
        result: { found: 'again' },
        error: undefined,
        code: undefined,
        told: '{"found":"again"}',
      },
      expect.objectContaining({ step: 2, told: '{"found":"b"}' }),
    ]);
    expect(run.trace).toEqual(['1 search ran', '2 search ran', 'answer after 3 steps']);
  });

  it.each([
    { name: 'the end of the script', options: { script: [again] }, end: 'script', steps: 1 },
    { name: 'an empty script', options: { script: [] }, end: 'script', steps: 0 },
    { name: 'an empty answer', options: { script: ['', again] }, end: 'answer', steps: 1 },
    { name: 'twenty steps', options: { script: forever }, end: 'max-steps', steps: 20 },
    { name: 'maxSteps', options: { script: forever, maxSteps: 1 }, end: 'max-steps', steps: 1 },
    { name: 'stopWhen', options: { script: forever, stopWhen: () => true }, end: 'stopped', steps: 1 },
  ])('ends with $name', async ({ options, end, steps }) => {
    expect(await runScriptedAgent({ tools: { search: () => 1 }, ...options })).toMatchObject({ end, steps });
  });

  it('goes on after a refusal, as frameworks do', async () => {
    const { tools, ran } = leashed();
    const { trace, calls } = await runScriptedAgent({ script: forever, tools, maxSteps: 5 });
    expect(trace).toEqual([
      '1 search ran',
      '2 search ran',
      '3 search ran',
      '4 search refused: CALL_CAP_REACHED',
      '5 search refused: SESSION_BREACHED',
      'max-steps after 5 steps',
    ]);
    expect(ran()).toBe(3);
    expect(calls[3]).toMatchObject({ outcome: 'refused', code: 'CALL_CAP_REACHED', result: undefined });
    expect(calls[3]?.told).toMatch(/^CallCapExceededError: Tool "search" was refused: .*Do not retry\.$/);
  });

  it('is stopped clean by stopWhen', async () => {
    const { leash, tools, ran } = leashed();
    const stopWhen = () => leash.breach !== undefined;
    const { end, steps } = await runScriptedAgent({ script: forever, tools, stopWhen });
    expect([end, steps, ran()]).toEqual(['stopped', 4, 3]);
  });

  it('is stopped with the refusal by the signal', async () => {
    const { leash, tools, ran } = leashed();
    const denied = await expectDenied(
      runScriptedAgent({ script: forever, tools, signal: leash.signal }),
      'CALL_CAP_REACHED',
    );
    expect(denied).toBe(leash.breach);
    expect(ran()).toBe(3);
  });

  it('does not ask the model under a signal that has aborted', async () => {
    const { leash, tools, ran } = leashed();
    leash.stop('by hand');
    let asked = 0;
    const script = () => {
      asked++;
      return again;
    };
    await expectDenied(runScriptedAgent({ script, tools, signal: leash.signal }), 'SESSION_STOPPED');
    expect([asked, ran()]).toEqual([0, 0]);
  });

  it('is stopped by the signal while the model is asked', async () => {
    const leash = createLeash({ guards: [] });
    const script = async (): Promise<ScriptedTurn> => {
      leash.stop('by hand');
      return { tool: 'hang' };
    };
    const tools = { hang: () => new Promise(() => {}) };
    await expectDenied(runScriptedAgent({ script, tools, signal: leash.signal }), 'SESSION_STOPPED');
  });

  it('is stopped by the signal while a tool hangs', async () => {
    const leash = createLeash({ guards: [] });
    const hang = leash.wrap('hang', () => {
      queueMicrotask(() => leash.stop('by hand'));
      return new Promise(() => {});
    });
    const run = runScriptedAgent({ script: [{ tool: 'hang' }], tools: { hang }, signal: leash.signal });
    await expectDenied(run, 'SESSION_STOPPED');
  });

  it('leaves nothing on a signal', async () => {
    const { signal } = new AbortController();
    let listening = 0;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    Object.assign(signal, {
      addEventListener: (...args: Parameters<typeof add>) => {
        listening++;
        add(...args);
      },
      removeEventListener: (...args: Parameters<typeof remove>) => {
        listening--;
        remove(...args);
      },
    });
    await runScriptedAgent({ script: [again, again], tools: { search: () => 1 }, signal });
    await new Promise(setImmediate);
    expect(listening).toBe(0);
  });

  it('makes the calls of a turn at once', async () => {
    const { tools, ran } = leashed();
    const audit = recordingSink();
    const leash = createLeash({ guards: [callCap(3)], audit });
    const slow = leash.wrap('search', () => new Promise(setImmediate));
    const { trace } = await runScriptedAgent({
      script: [[again, again, again, again, again]],
      tools: { search: slow },
    });
    expect(trace.filter((line) => line.includes('ran'))).toHaveLength(3);
    expect(audit.kinds.slice(1, 6)).toEqual(['tool_start', 'tool_start', 'tool_start', 'tool_denied', 'tool_denied']);
    await runScriptedAgent({ script: [[again, again]], tools });
    expect(ran()).toBe(2);
  });

  it('shows the model what became of its calls', async () => {
    const { tools } = leashed();
    const seen: (readonly AgentCall[])[] = [];
    const script = async (calls: readonly AgentCall[]): Promise<ScriptedTurn> => {
      seen.push(calls);
      return calls.at(-1)?.code === 'CALL_CAP_REACHED' ? 'I was refused' : again;
    };
    expect(await runScriptedAgent({ script, tools })).toMatchObject({
      end: 'answer',
      answer: 'I was refused',
      steps: 5,
    });
    expect(seen.map((calls) => calls.length)).toEqual([0, 1, 2, 3, 4]);
  });

  it('pays for turns where the script does, and ends with what it throws', async () => {
    const leash = createLeash({ guards: [budget({ usd: '0.05' })] });
    const script = async (): Promise<ScriptedTurn> => {
      const hold = await leash.hold('$0.02', 'model');
      await hold.settle('$0.0125');
      return again;
    };
    let ran = 0;
    const search = leash.wrap('search', () => ++ran, { cost: 'free' });
    await expectDenied(runScriptedAgent({ script, tools: { search } }), 'BUDGET_EXCEEDED', { tool: 'leash.hold' });
    expect(ran).toBe(3);
  });

  it.each([
    { name: 'text', run: () => 'as it is', result: 'as it is', told: 'as it is' },
    { name: 'nothing', run: () => undefined, result: undefined, told: '' },
    { name: 'what JSON has no word for', run: () => 5n, result: 5n, told: '5' },
    {
      name: 'a stream',
      run: async function* () {
        yield 'a';
        yield 'b';
      },
      result: ['a', 'b'],
      told: '["a","b"]',
    },
  ])('tells the model of $name', async ({ run, result, told }) => {
    const { calls } = await runScriptedAgent({ script: [{ tool: 'search' }], tools: { search: run } });
    expect(calls).toMatchObject([{ outcome: 'ran', result, told }]);
  });

  it.each([
    {
      name: 'a tool that throws',
      tools: {
        search: () => {
          throw new TypeError('no network');
        },
      },
      told: 'TypeError: no network',
    },
    { name: 'a tool that rejects', tools: { search: () => Promise.reject(new Error('later')) }, told: 'Error: later' },
    { name: 'a tool that throws text', tools: { search: () => Promise.reject('text') }, told: 'text' },
    { name: 'no such tool', tools: {}, told: 'Error: there is no tool "search"' },
    {
      name: 'a tool by inheritance',
      tools: Object.create({ search: () => 1 }),
      told: 'Error: there is no tool "search"',
    },
  ])('tells the model of $name', async ({ tools, told }) => {
    const { calls, trace } = await runScriptedAgent({ script: [again, 'done'], tools });
    expect(calls).toMatchObject([{ outcome: 'failed', code: undefined, told }]);
    expect(trace).toEqual([`1 search failed: ${told}`, 'answer after 2 steps']);
  });

  it('calls a tool without arguments where the script gives none', async () => {
    const given: unknown[][] = [];
    const tools = { search: (...args: unknown[]) => given.push(args) };
    await runScriptedAgent({ script: [{ tool: 'search' }, { tool: 'search', args: null }], tools });
    expect(given).toEqual([[], [null]]);
  });

  const tools = { search: () => 1 };
  it.each([
    { name: 'an unknown option', options: { script: [], tools, stopwhen: () => true }, message: /`stopwhen`/ },
    { name: 'no script', options: { tools }, message: /script` must be an array of turns or a function/ },
    { name: 'one answer as the script', options: { script: 'done', tools }, message: /script` must be an array/ },
    { name: 'no tools', options: { script: [] }, message: /tools` must be an object/ },
    { name: 'a turn that is none', options: { script: [{ name: 'search' }], tools }, message: /a turn of the script/ },
    { name: 'a call that is none', options: { script: [[again, 5]], tools }, message: /a turn of the script/ },
    { name: 'a hole in the script', options: { script: [null], tools }, message: /a turn of the script/ },
    { name: 'a script that gives nothing', options: { script: () => undefined, tools }, message: /gave no turn/ },
    { name: 'steps as text', options: { script: [], tools, maxSteps: '5' }, message: /maxSteps/ },
  ])('refuses $name', async ({ options, message }) => {
    const run = runScriptedAgent(options as never);
    await expect(run).rejects.toThrow(TypeError);
    await expect(run).rejects.toThrow(message);
  });

  it('refuses a number of steps that ends nothing', async () => {
    for (const maxSteps of [0, 1.5, Number.POSITIVE_INFINITY]) {
      await expect(runScriptedAgent({ script: [], tools, maxSteps })).rejects.toThrow(RangeError);
    }
  });
});
