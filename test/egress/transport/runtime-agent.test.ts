import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const source = new URL('../../../src/egress/transport/runtime-agent.ts', import.meta.url).href;
const undici8 = import.meta.resolve('undici');
const undici7 = import.meta.resolve('undici-7');

interface Told {
  /** Whether a pool was found that serves the runtime's `fetch` and is the runtime's own. */
  readonly found: boolean;
  readonly same: boolean;
  /** Whether the global dispatchers and agents are those that were there. */
  readonly kept: boolean;
}

/** Looks for the Agent in a process in which something else has run before. */
async function look(before: string, environment: Record<string, string> = {}): Promise<Told> {
  const program = `
    ${before};
    const keys = [Symbol.for('undici.globalDispatcher.2'), Symbol.for('undici.globalDispatcher.1')];
    const { globalAgent } = process.getBuiltinModule('node:http');
    const there = keys.map((key) => globalThis[key]);
    const { runtimeAgent } = await import(${JSON.stringify(source)});
    const Agent = runtimeAgent();
    const now = keys.map((key) => globalThis[key]);
    const kept = there.every((each, i) => each === now[i]) || there.every((each) => each === undefined);
    const found = Agent !== undefined && new Agent().constructor === Agent && isRuntimes(Agent);
    const same = runtimeAgent() === Agent;
    process.stdout.write(JSON.stringify({ found, same, kept: kept && globalAgent === process.getBuiltinModule('node:http').globalAgent }));
    function isRuntimes(Agent) {
      try { new Agent({ factory: 1 }); } catch (error) { return error.stack.includes('node:internal/deps/undici'); }
    }`;
  const args = ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', program];
  const env = { PATH: process.env['PATH'], ...environment };
  const { stdout } = await promisify(execFile)(process.execPath, args, { env });
  return JSON.parse(stdout);
}

const load8 = `await import('${undici8}')`;
const load7 = `await import('${undici7}')`;
const lock = `for (const key of ['undici.globalDispatcher.2', 'undici.globalDispatcher.1']) {
  Object.defineProperty(globalThis, Symbol.for(key), { value: { dispatch() {} }, writable: false });
}`;

describe('runtimeAgent', () => {
  const proxied = { NODE_USE_ENV_PROXY: '1', HTTP_PROXY: 'http://127.0.0.1:9' };

  it.each([
    { name: 'nothing has run', before: '' },
    { name: 'a proxy of the environment is used', before: '', environment: proxied },
    { name: 'fetch was used', before: "await fetch('data:,')" },
    { name: 'undici 8 was loaded', before: load8 },
    { name: 'undici 7 was loaded', before: load7 },
    { name: 'fetch was used before undici 8', before: `await fetch('data:,'); ${load8}` },
    { name: 'fetch was used before undici 7', before: `await fetch('data:,'); ${load7}` },
    { name: 'undici 8 was loaded before fetch was used', before: `${load8}; await fetch('data:,')` },
    { name: 'undici 7 was loaded before fetch was used', before: `${load7}; await fetch('data:,')` },
    { name: 'both were', before: `${load7}; ${load8}; await fetch('data:,')` },
  ])('finds the Agent of the runtime where $name', async ({ before, environment }) => {
    expect(await look(before, environment)).toEqual({ found: true, same: true, kept: true });
  });

  it('finds none behind another copy where Node takes no proxies while it runs', async () => {
    const older = "delete process.getBuiltinModule('node:http').setGlobalProxyFromEnv";
    expect(await look(`${older}; ${load7}`)).toEqual({ found: false, same: true, kept: true });
    expect(await look(older)).toEqual({ found: true, same: true, kept: true });
  });

  it('finds none where its place is locked, and leaves it so', async () => {
    expect(await look(lock)).toEqual({ found: false, same: true, kept: true });
  });
});
