import { describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { leashModel, leashStop, leashTool, leashTools, type Price, withLeash } from '../../src/adapters/ai-sdk.ts';
import { memorySink } from '../../src/audit/memory-sink.ts';
import { currentCall } from '../../src/call.ts';
import type { Guard } from '../../src/guard.ts';
import { args } from '../../src/guards/args.ts';
import { budget } from '../../src/guards/budget.ts';
import { callCap } from '../../src/guards/call-cap.ts';
import { egress } from '../../src/guards/egress.ts';
import { createLeash } from '../../src/leash.ts';
import { FakeModel, promptOf, tokens } from '../helpers/language-model.ts';
import { lateStore } from '../helpers/late-store.ts';
import { rejection } from '../helpers/refused.ts';

const price: Price = ({ inputTokens, outputTokens }) => ({ usd: (inputTokens + outputTokens) / 1e6 });
const toolOf = <Input, Output>(execute: (input: Input, context: { readonly abortSignal?: AbortSignal }) => Output) => ({
  description: 'd',
  execute,
});
const context = { toolCallId: 'c1', abortSignal: undefined };

describe('leashTool', () => {
  it('runs the body with the checked input and the rest of what it was given', async () => {
    const leash = createLeash({ guards: [callCap(1)] });
    const execute = vi.fn(async (input: { a: number }, _: object) => input.a + 1);
    const tool = { execute, inputSchema: 's' };
    const held = leashTool(leash, 'add', tool);
    const input = { a: 1 };
    expect(await held.execute(input, context)).toBe(2);
    const [[given, rest] = []] = execute.mock.calls;
    expect(given).toEqual(input);
    expect(given).not.toBe(input);
    expect(rest).toEqual({ ...context, abortSignal: leash.signal });
    expect(held).toMatchObject({ inputSchema: 's' });
    expect(tool.execute).toBe(execute);
    expect(await rejection(held.execute(input, context))).toMatchObject({ code: 'CALL_CAP_REACHED', tool: 'add' });
    expect(execute).toHaveBeenCalledTimes(1);
  });

  it('keeps `this`, of plain tools and of instances', async () => {
    const leash = createLeash({ guards: [] });
    const plain = {
      prefix: 'p',
      execute(input: string) {
        return this.prefix + input;
      },
    };
    class Instance {
      #prefix = 'i';
      execute = (input: string): string => this.#prefix + input;
    }
    class Method {
      #prefix = 'm';
      execute(input: string): string {
        return this.#prefix + input;
      }
    }
    const tools = { plain: Object.freeze(plain), instance: new Instance(), method: Object.freeze(new Method()) };
    const held = leashTools(leash, tools);
    expect(await Promise.all(Object.values(held).map(({ execute }) => execute('x')))).toEqual(['px', 'ix', 'mx']);
    expect(held.method).toBeInstanceOf(Method);
  });

  it.each([
    { name: 'at once', options: {} },
    { name: 'after an asynchronous store has answered', options: { store: lateStore() } },
  ])('stays a stream, each step of it inside the call, $name', async ({ options }) => {
    const leash = createLeash({ guards: [callCap(1)], ...options });
    const tool = toolOf(async function* (to: number) {
      for (let i = 0; i < to; i++) yield `${currentCall()?.tool} ${i}`;
    });
    const held = leashTool(leash, 'count', tool);
    const stream = held.execute(3, {});
    expect([Symbol.asyncIterator in stream, 'then' in stream]).toEqual([true, false]);
    const steps: string[] = [];
    for await (const step of stream) steps.push(step);
    expect(steps).toEqual(['count 0', 'count 1', 'count 2']);
    expect(await rejection(held.execute(3, {}).next())).toMatchObject({ code: 'CALL_CAP_REACHED' });
  });

  it('aborts with the leash what the framework lets the body see, and with the framework too', async () => {
    const signals: (AbortSignal | undefined)[] = [];
    const tool = toolOf(async (_: object, { abortSignal }) => void signals.push(abortSignal));
    const framework = new AbortController();
    const leash = createLeash({ guards: [] });
    await leashTool(leash, 't', tool).execute({}, { abortSignal: framework.signal });
    leash.stop('enough');
    expect(signals[0]).toMatchObject({ aborted: true, reason: { code: 'SESSION_STOPPED' } });
    await leashTool(createLeash({ guards: [] }), 't', tool).execute({}, { abortSignal: framework.signal });
    framework.abort('given up');
    expect(signals[1]).toMatchObject({ aborted: true, reason: 'given up' });
  });

  it('passes on a context without a signal as it is, and an input that is left out as no arguments', async () => {
    const leash = createLeash({ guards: [] });
    const execute = vi.fn((..._: unknown[]) => 'ran');
    const held = leashTool(leash, 't', { execute });
    const own = { requestId: 1 };
    await held.execute({}, own, 'third');
    await held.execute();
    expect(execute.mock.calls[0]?.slice(1)).toEqual([own, 'third']);
    expect(execute.mock.calls[0]?.[1]).toBe(own);
    expect(execute.mock.calls[1]?.[0]).toBeUndefined();
  });

  it('takes the options of leash.wrap', async () => {
    const leash = createLeash({ guards: [budget({ usd: 1 })] });
    const tool = toolOf((input: { when: Date; cents: number }) => ({ fee: input.cents }));
    const held = leashTool(leash, 't', tool, {
      args: ({ when, cents }) => ({ day: when.getUTCDate(), cents }),
      cost: ({ day, cents }) => ({ usd: (day + cents) / 100 }),
      actualCost: ({ fee }) => ({ usd: fee / 1000 }),
    });
    await held.execute({ when: new Date(0), cents: 50 }, {});
    expect((await leash.usage()).limits[0]).toMatchObject({ spent: '0.05', held: '0' });
    expect(() => leashTool(leash, 't', { ...tool }, { price: 5 } as never)).toThrow('unknown option `price`');
  });

  it('holds a tool once for each leash', async () => {
    const leash = createLeash({ guards: [callCap(2)] });
    const held = leashTool(
      leash,
      't',
      toolOf(() => 'ran'),
    );
    expect(leashTool(leash, 't', held)).toBe(held);
    expect(leashTools(leash, { t: held }).t).toBe(held);
    await held.execute({}, {});
    expect((await leash.usage()).calls).toBe(1);
    expect(leashTool(leash.child({ guards: [] }), 't', held)).not.toBe(held);
  });

  it.each([
    { name: 'no tool', tool: undefined, message: 'tool "t" must be a tool object, got undefined' },
    { name: 'a function', tool: () => {}, message: 'tool "t" must be a tool object, got a function' },
    { name: 'a tool without a body', tool: { inputSchema: 's' }, message: 'tool "t" has no `execute`' },
    {
      name: 'a body that is none',
      tool: { execute: 'x' },
      message: 'body of tool "t" must be a function, got a string',
    },
  ])('throws for $name', ({ tool, message }) => {
    const leash = createLeash({ guards: [] });
    expect(() => leashTool(leash, 't', tool as object)).toThrow(TypeError);
    expect(() => leashTool(leash, 't', tool as object)).toThrow(message);
  });
});

describe('leashTools', () => {
  const search = toolOf(async (input: { query: string }) => input.query);
  const weather = toolOf(async (input: { city: string }) => input.city);
  const client = { inputSchema: 's' };
  const guards: readonly Guard[] = [
    budget({ usd: 1 }),
    args({}, { unchecked: ['weather'] }),
    egress({ allow: ['example.com'] }),
  ];
  const full = {
    costs: { search: ({ query }: { query: string }) => ({ usd: query.length / 100 }), weather: 'free' },
    schemas: { search: z.object({ query: z.string().max(5) }) },
    urls: { search: ({ query }: { query: string }) => `https://${query}.com/` },
  } as const;

  it.each([
    {
      name: 'inherited',
      of: (hidden: object) => Object.create({ hidden }, { a: { value: toolOf(() => 1), enumerable: true } }),
    },
    { name: 'not enumerable', of: (hidden: object) => Object.defineProperty({}, 'hidden', { value: hidden }) },
    {
      name: 'of a class',
      of: (hidden: object) =>
        new (class {
          get hidden(): object {
            return hidden;
          }
        })(),
    },
  ])('refuses a record with a tool that is $name: frameworks find it by its name, past the leash', ({ of }) => {
    const hidden = toolOf(() => expect.unreachable('it ran'));
    const leash = createLeash({ guards: [] });
    expect(() => leashTools(leash, of(hidden))).toThrow(
      /tool "hidden" must be an enumerable property of the record itself/,
    );
  });

  it('takes a record that is an instance, with methods that are no tools', () => {
    class Tools {
      a = toolOf(() => 1);
      list(): string[] {
        return Object.keys(this);
      }
    }
    const held = leashTools(createLeash({ guards: [] }), new Tools() as never) as Tools;
    expect(held.list()).toEqual(['a']);
  });

  it('holds each tool to what is said of it', async () => {
    const leash = createLeash({ guards, stopOn: 'none' });
    const { search: held, weather: other } = leashTools(leash, { search, weather }, full);
    expect(await rejection(held.execute({ query: 'too long' }, {}))).toMatchObject({ code: 'ARGS_INVALID' });
    expect(await rejection(held.execute({ query: 'evil' }, {}))).toMatchObject({ code: 'EGRESS_DENIED' });
    const allowed = leashTools(leash, { search }, { ...full, costs: { search: '$0.25' }, urls: {} });
    expect(await allowed.search.execute({ query: 'ok' }, {})).toBe('ok');
    expect(await other.execute({ city: 'Bern' }, {})).toBe('Bern');
    expect((await leash.usage()).limits[0]).toMatchObject({ spent: '0.25' });
  });

  it('changes nothing of the record that it is given', () => {
    const leash = createLeash({ guards: [] });
    const tools = Object.freeze({ search, weather });
    const held = leashTools(leash, tools);
    expect(Object.keys(held)).toEqual(['search', 'weather']);
    expect(tools.search).toBe(search);
  });

  it('holds a tool of any name', async () => {
    const leash = createLeash({ guards: [callCap(0)], stopOn: 'none' });
    const tools = JSON.parse('{"__proto__": {}, "constructor": {}, "toString": {}}') as Record<string, typeof search>;
    for (const tool of Object.values(tools)) tool.execute = search.execute;
    const held = leashTools(leash, tools, { costs: {} });
    expect(Object.keys(held)).toEqual(['__proto__', 'constructor', 'toString']);
    for (const [tool, { execute }] of Object.entries(held)) {
      expect(await rejection(execute({ query: 'x' }, {}))).toMatchObject({ code: 'CALL_CAP_REACHED', tool });
    }
  });

  it('lets pass only those tools without a body that are named', () => {
    const leash = createLeash({ guards: [] });
    const tools = { search, client };
    expect(() => leashTools(leash, tools)).toThrow('tool "client" has no `execute`');
    expect(() => leashTools(leash, tools, { unguarded: [] })).toThrow('tool "client" has no `execute`');
    expect(() => leashTools(leash, tools, { unguarded: ['search'] })).toThrow('tool "client" has no `execute`');
    expect(leashTools(leash, tools, { unguarded: ['client'] }).client).toBe(client);
    const all = leashTools(leash, tools, { unguarded: 'all' });
    expect(all.client).toBe(client);
    expect(all.search).not.toBe(search);
  });

  it.each([
    { name: 'no tools', tools: undefined, options: {}, message: 'record of tools by name, got undefined' },
    { name: 'a list of tools', tools: [search], options: {}, message: 'record of tools by name, got an array' },
    { name: 'something else', tools: { search: 5 }, options: {}, message: 'tool "search" must be a tool object' },
    {
      name: 'nothing by a name',
      tools: { search: undefined },
      options: { unguarded: 'all' },
      message: 'tool "search" must be',
    },
    { name: 'an unknown option', tools: { search }, options: { cost: 5 }, message: 'unknown option `cost`' },
    {
      name: 'the cost of no tool',
      tools: { search },
      options: { costs: { serch: 'free' } },
      message: '`costs` of leashTools: unknown option `serch`',
    },
    {
      name: 'the schema of no tool',
      tools: { search },
      options: { schemas: { serch: {} } },
      message: '`schemas` of leashTools',
    },
    {
      name: 'the URL of no tool',
      tools: { search },
      options: { urls: { serch: 'x' } },
      message: '`urls` of leashTools',
    },
    {
      name: 'costs that are no record',
      tools: { search },
      options: { costs: 5 },
      message: '`costs` of leashTools expects an options object',
    },
    {
      name: 'a pass for no tool',
      tools: { search },
      options: { unguarded: ['serch'] },
      message: "names 'serch', which is no tool",
    },
    {
      name: 'a pass that is no list',
      tools: { search },
      options: { unguarded: true },
      message: '`leashTools.unguarded` must be',
    },
    {
      name: 'no cost under a budget',
      guards: [budget({ usd: 1 })],
      tools: { search },
      options: {},
      message: 'tool "search" has no `cost`',
    },
    {
      name: 'a schema that nobody checks',
      tools: { search },
      options: { schemas: { search: {} } },
      message: 'tool "search" has a `schema`',
    },
  ])('throws for $name', ({ guards = [], tools, options, message }) => {
    const leash = createLeash({ guards });
    expect(() => leashTools(leash, tools as never, options as never)).toThrow(TypeError);
    expect(() => leashTools(leash, tools as never, options as never)).toThrow(message);
  });
});

describe('leashStop', () => {
  it('says whether the session has ended', async () => {
    const leash = createLeash({ guards: [callCap(0)] });
    const stop = leashStop(leash);
    expect(stop()).toBe(false);
    await rejection(leash.run({ tool: 't' }, () => {}));
    expect(stop()).toBe(true);
    const stopped = createLeash({ guards: [] });
    stopped.stop('enough');
    expect(leashStop(stopped)()).toBe(true);
  });

  it('says so when the session was closed while calls ran', async () => {
    const leash = createLeash({ guards: [] });
    const running = leash.run({ tool: 't' }, () => new Promise((done) => setImmediate(done)));
    await leash.close();
    expect(leash.breach).toBeUndefined();
    expect(leashStop(leash)()).toBe(true);
    await running;
  });
});

describe('withLeash', () => {
  const answer = () => ({ usage: tokens(100, 10) });
  const ask = promptOf('go');
  const search = toolOf(async (input: { query: string }) => input.query);

  it('holds the tools and the model, and ends the loop', async () => {
    const sink = memorySink();
    const leash = createLeash({ guards: [budget({ usd: '0.01' }), callCap(1)], audit: sink });
    const settings = { prompt: 'go', model: new FakeModel(answer), tools: { search }, stopWhen: () => false };
    const held = withLeash(leash, settings, { price, costs: { search: '$0.001' }, maxOutputTokens: 50 });
    expect(held).toMatchObject({ prompt: 'go' });
    await held.model.doGenerate(ask);
    expect(held.model.requests[0]?.maxOutputTokens).toBe(50);
    await held.tools.search.execute({ query: 'x' }, {});
    const stopWhen = held.stopWhen as unknown as (() => boolean)[];
    expect(stopWhen.map((stop) => stop())).toEqual([false, false]);
    expect(await rejection(held.tools.search.execute({ query: 'x' }, {}))).toBe(leash.breach);
    expect(stopWhen.map((stop) => stop())).toEqual([false, true]);
    expect(await leash.usage()).toMatchObject({ usd: '0.00111', calls: 1, denied: 1 });
  });

  it('adds to several conditions, and to none nothing: the framework has a default of its own', () => {
    const leash = createLeash({ guards: [] });
    const conditions = [() => false, () => true];
    const { stopWhen } = withLeash(leash, { stopWhen: conditions });
    expect(stopWhen).toEqual([...conditions, expect.any(Function)]);
    expect(conditions).toHaveLength(2);
    expect(withLeash(leash, { prompt: 'go' })).toEqual({ prompt: 'go' });
  });

  it.each(['prepareStep', 'experimental_prepareStep'])('holds a model that a step chooses: %s', async (name) => {
    const leash = createLeash({ guards: [budget({ usd: 1 })] });
    const chosen = new FakeModel(answer);
    const prepareStep = vi.fn(async ({ stepNumber }: { stepNumber: number }) =>
      stepNumber === 0 ? undefined : { toolChoice: 'none', ...(stepNumber === 1 ? {} : { model: chosen }) },
    );
    const prepare = async (given: object, stepNumber: number): Promise<unknown> =>
      (given as Record<string, typeof prepareStep>)[name]?.({ stepNumber });
    const held = withLeash(leash, { [name]: prepareStep }, { price });
    expect(await prepare(held, 0)).toBeUndefined();
    expect(await prepare(held, 1)).toEqual({ toolChoice: 'none' });
    const { model, toolChoice } = (await prepare(held, 2)) as {
      model: FakeModel;
      toolChoice: string;
    };
    expect(toolChoice).toBe('none');
    await model.doGenerate(ask);
    expect(await leash.usage()).toMatchObject({ usd: '0.00011' });
    await expect(prepare(withLeash(leash, { [name]: prepareStep }), 2)).rejects.toThrow('`price`');
  });

  it('holds what a call chooses, and what it holds already only once', async () => {
    const leash = createLeash({ guards: [budget({ usd: 1 })] });
    const base = { model: new FakeModel(answer), tools: { search }, stopWhen: () => false };
    const options = { price, costs: { search: '$0.1' } } as const;
    const chosen = new FakeModel(answer);
    const settings = { ...base, prepareCall: (call: typeof base) => ({ ...call, model: chosen }) };
    const held = withLeash(leash, settings, options);
    const call = await held.prepareCall(held);
    expect(call.tools.search).toBe(held.tools.search);
    await call.model.doGenerate(ask);
    await call.tools.search.execute({ query: 'x' }, {});
    expect(await leash.usage()).toMatchObject({ usd: '0.10011' });
    const nothing = withLeash(leash, { prepareCall: () => undefined }, options);
    expect(await nothing.prepareCall()).toBeUndefined();
  });

  it('holds those of the tools that a call has', async () => {
    const leash = createLeash({ guards: [budget({ usd: 1 })] });
    const tools = { search, read: toolOf(async () => 'x'), ask: {} };
    const settings = { tools, prepareCall: () => ({ tools: { search: toolOf(async () => 'y') } }) };
    const options = { costs: { search: '$0.1', read: '$0.2' }, unguarded: ['ask'] } as const;
    const held = withLeash(leash, settings, options);
    await (await held.prepareCall()).tools.search.execute({}, {});
    expect(await leash.usage()).toMatchObject({ usd: '0.1' });
    const none = withLeash(leash, { tools, prepareCall: () => ({ tools: {} }) }, options);
    expect((await none.prepareCall()).tools).toEqual({});
  });

  it.each([
    { name: 'a model without a price', settings: { model: new FakeModel(answer) }, options: {}, message: '`price`' },
    { name: 'the name of a model', settings: { model: 'openai/gpt-5' }, options: { price }, message: 'gateway()' },
    { name: 'tools that are made later', settings: { tools: () => ({}) }, options: {}, message: 'record of tools' },
    { name: 'an unknown option', settings: {}, options: { prices: 5 }, message: 'withLeash: unknown option `prices`' },
    {
      name: 'a tool that cannot be held',
      settings: { tools: { ask: {} } },
      options: {},
      message: '"ask" has no `execute`',
    },
  ])('throws for $name', ({ settings, options, message }) => {
    const leash = createLeash({ guards: [] });
    expect(() => withLeash(leash, settings, options as never)).toThrow(TypeError);
    expect(() => withLeash(leash, settings, options as never)).toThrow(message);
  });

  it('lets pass what it is told to', () => {
    const leash = createLeash({ guards: [] });
    const tools = { ask: {} };
    expect(withLeash(leash, { tools }, { unguarded: ['ask'] }).tools.ask).toBe(tools.ask);
  });
});

describe('leashModel', () => {
  it('is the held model', async () => {
    const leash = createLeash({ guards: [budget({ usd: 1 })] });
    const model = leashModel(leash, new FakeModel(() => ({ usage: tokens(100, 10) })), price, { maxOutputTokens: 5 });
    await model.doGenerate(promptOf('go'));
    expect(model.requests[0]?.maxOutputTokens).toBe(5);
    expect(await leash.usage()).toMatchObject({ usd: '0.00011' });
  });
});
