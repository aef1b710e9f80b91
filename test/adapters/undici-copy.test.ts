import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import * as undici8 from 'undici';
import * as undici7 from 'undici-7';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { thrownBy } from '../helpers/refused.ts';

/** Copies of undici that are not what the adapter counts on. */
const copies: readonly { readonly name: string; readonly copy: () => object }[] = [
  {
    // As undici 6: its Agent hands handlers on as they come.
    name: 'knows no handlers of undici 8',
    copy: () => ({ ...undici7, Agent: agentThat((handler) => handler) }),
  },
  {
    // As undici 7 before 7.27.1.
    name: 'gives handlers of undici 8 nothing but parsed headers',
    copy: () => ({
      ...undici7,
      Agent: agentThat((handler) => ({ onConnect: () => handler.onRequestStart?.({}) })),
    }),
  },
  {
    // As the one that is built into Bun, whatever is installed.
    name: 'has agents that dispatch nothing',
    copy: () => ({ ...undici7, Agent: class {} }),
  },
  {
    name: 'does not tell of its requests',
    copy: () => ({
      ...undici8,
      Client: class extends undici8.Client {
        override dispatch(): boolean {
          return true;
        }
      },
    }),
  },
  {
    name: 'tells of a request and does not let it be refused',
    copy: () => ({
      ...undici8,
      Client: class extends undici8.Client {
        override dispatch(...[options, handler]: Parameters<undici8.Client['dispatch']>): boolean {
          return super.dispatch(options, { ...handler, onResponseError: () => {} });
        }
      },
    }),
  },
  {
    name: 'refuses requests by itself, and does not tell of them',
    copy: () => ({
      ...undici8,
      Client: class extends undici8.Client {
        override dispatch(...[, handler]: Parameters<undici8.Client['dispatch']>): boolean {
          handler.onResponseError?.(null as never, new Error('mine'));
          return true;
        }
      },
    }),
  },
];

interface AnyHandler {
  onRequestStart?(controller: object): void;
}

function agentThat(hands: (handler: AnyHandler) => object) {
  return class {
    readonly #factory: () => { dispatch(options: object, handler: object): boolean };
    constructor({ factory }: { readonly factory: () => { dispatch(options: object, handler: object): boolean } }) {
      this.#factory = factory;
    }
    dispatch(options: object, handler: AnyHandler): boolean {
      return this.#factory().dispatch(options, hands(handler));
    }
  };
}

describe('a copy of undici that', () => {
  let broken = true;
  beforeEach(() => {
    vi.resetModules();
    broken = true;
  });

  it.each(copies)('$name is refused when a client is made, in the words of both versions', async ({ copy }) => {
    vi.doMock('undici', () => ({ Dispatcher1Wrapper: undefined, ...copy() }));
    const { createLeash } = await import('../../src/leash.ts');
    const { egress } = await import('../../src/guards/egress.ts');
    const { leashDispatcher, leashFetch, leashInterceptor } = await import('../../src/adapters/undici.ts');
    const leash = createLeash({ guards: [egress({ allow: [] })] });
    for (const make of [leashDispatcher, leashFetch, leashInterceptor]) {
      const error = thrownBy(() => make(leash));
      expect(error).toMatchObject({ name: 'EgressUnenforcedError', code: 'EGRESS_UNENFORCED' });
      expect(error.message).toMatch(
        new RegExp(
          `^undici \\d+\\.\\d+\\.\\d+ cannot be held on Node ${process.versions.node} with its undici ${process.versions['undici']}: install undici \\^7\\.27\\.2 or \\^8\\.0\\.1`,
        ),
      );
    }
    expect(leash.egress.coverage().dispatchers).toEqual([]);
  });

  it('is held no more fails the self-test', async () => {
    vi.doMock('undici', () => ({
      ...undici8,
      Client: class extends undici8.Client {
        override dispatch(...args: Parameters<undici8.Client['dispatch']>): boolean {
          return broken ? true : super.dispatch(...args);
        }
      },
    }));
    const { createLeash } = await import('../../src/leash.ts');
    const { egress } = await import('../../src/guards/egress.ts');
    const { leashDispatcher } = await import('../../src/adapters/undici.ts');
    const leash = createLeash({ guards: [egress({ allow: [] })] });
    broken = false;
    leashDispatcher(leash);
    expect(leash.egress.selfTest().dispatchers).toHaveLength(1);
    broken = true;
    expect(thrownBy(() => leash.egress.selfTest())).toMatchObject({ code: 'EGRESS_UNENFORCED' });
  });
});

describe('the version of a copy', () => {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'leashkit-undici-'));
    mkdirSync(join(folder, 'node_modules/leashkit'), { recursive: true });
    for (const part of ['dist', 'package.json']) {
      cpSync(join(root, part), join(folder, 'node_modules/leashkit', part), { recursive: true });
    }
    writeFileSync(
      join(folder, 'program.mjs'),
      `import { createLeash, egress } from 'leashkit';
       import { leashDispatcher } from 'leashkit/undici';
       const leash = createLeash({ guards: [egress({ allow: [] })] });
       leashDispatcher(leash);
       process.stdout.write(JSON.stringify(leash.egress.selfTest().dispatchers));`,
    );
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each(['undici', 'undici-7'])('is that of the package which the application has: %s', async (name) => {
    rmSync(join(folder, 'node_modules/undici'), { force: true });
    symlinkSync(join(root, 'node_modules', name), join(folder, 'node_modules/undici'), 'junction');
    const { stdout } = await promisify(execFile)(process.execPath, ['program.mjs'], { cwd: folder });
    const { version } = JSON.parse(
      process.getBuiltinModule('node:fs').readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8'),
    );
    expect(JSON.parse(stdout)).toEqual([version]);
  });
});
