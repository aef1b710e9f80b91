import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { seedsOf } from './corpus.ts';
import { runOnce, type Sweep, sweep } from './engine.ts';
import { need, type Target } from './target.ts';
import { targets } from './targets.ts';
import { NASTY } from './values.ts';

/** Those that ask another process, or run commands. */
const SLOW: readonly string[] = ['log', 'chained-log', 'command-line'];

afterAll(() => {
  for (const { close } of targets) close?.();
});

const json: fc.Arbitrary<string> = fc.letrec((tie) => ({
  node: fc.oneof({ depthSize: 'small' }, fc.constantFrom(...NASTY), fc.json(), tie('list'), tie('object')),
  list: fc.array(tie('node') as fc.Arbitrary<string>, { maxLength: 4 }).map((items) => `[${items.join(',')}]`),
  object: fc
    .array(fc.tuple(fc.string(), tie('node') as fc.Arbitrary<string>), { maxLength: 4 })
    .map((items) => `{${items.map(([key, node]) => `${JSON.stringify(key)}:${node}`).join(',')}}`),
})).node as fc.Arbitrary<string>;

/** Texts of the parser's own words, and of anything. */
function inputs({ form, tokens }: Target): fc.Arbitrary<Buffer> {
  const word = fc.oneof(fc.constantFrom(...tokens), fc.string({ unit: 'binary', maxLength: 3 }));
  const words = fc.array(word, { maxLength: 8 }).map((all) => Buffer.from(all.join('')));
  if (form === 'bytes') return fc.oneof(words, fc.uint8Array({ maxLength: 200 }).map(Buffer.from));
  return form === 'text'
    ? words
    : fc.oneof(
        words,
        json.map((text) => Buffer.from(text)),
      );
}

describe.each(targets)('$name', (target) => {
  it('keeps its promises over the corpus', async () => {
    const seeds = seedsOf(target.name);
    expect(seeds.length).toBeGreaterThan(3);
    for (const { file, bytes } of seeds) {
      await runOnce(target, bytes).catch((error: unknown) => {
        throw new Error(`corpus/${target.name}/${file}: ${(error as Error).message}`, { cause: error });
      });
    }
  });

  it('keeps its promises over anything', async () => {
    const numRuns = SLOW.includes(target.name) ? 40 : 400;
    await fc.assert(
      fc.asyncProperty(inputs(target), async (input) => void (await runOnce(target, input))),
      { numRuns },
    );
  });
});

describe('the search', () => {
  it('finds what is reached only step by step, and makes it short', async () => {
    const hidden = 'leash';
    const target: Target = {
      name: 'planted',
      form: 'text',
      tokens: [...'abcdefghijklmnopqrstuvwxyz'],
      check: (input) => {
        let known = 0;
        while (known < hidden.length && input.toString()[known] === hidden[known]) known++;
        need(known < hidden.length, 'was found');
        return `${known}`;
      },
    };
    const told = (inputs: number): Promise<Sweep> =>
      sweep({
        target,
        seeds: [Buffer.from('something else')],
        seed: 'a seed',
        until: { inputs },
        before: () => undefined,
      });
    const { finding } = await told(1_000_000);
    // With a number of inputs a seed gives the same ones.
    expect((await told(500)).kept).toEqual((await told(500)).kept);
    expect(finding).toMatchObject({ target: 'planted', promise: 'was found' });
    expect(Buffer.from(finding?.input ?? []).toString()).toBe(hidden);
  });

  it('notices a prototype that was changed', async () => {
    const target: Target = {
      name: 'polluting',
      form: 'text',
      tokens: ['a'],
      check: () => {
        Object.defineProperty(Object.prototype, 'polluted', { value: 1, configurable: true });
        return '';
      },
    };
    try {
      await expect(runOnce(target, Buffer.from(''))).rejects.toThrow('a prototype that everything shares was changed');
    } finally {
      delete (Object.prototype as { polluted?: unknown }).polluted;
    }
  });
});
