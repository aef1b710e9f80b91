import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { SqliteKit } from '../helpers/sqlite-store.ts';

const program = fileURLToPath(new URL('../helpers/sqlite-store-child.ts', import.meta.url));
const PROCESSES = 4;

const kit = new SqliteKit();

/** A process that spends from the store of the kit. */
class Spender {
  readonly child: ChildProcess;
  readonly ended: Promise<unknown>;
  readonly #notes: string;
  #said = '';

  constructor(cap: number, parallel: number) {
    this.#notes = `${kit.path}.${crypto.randomUUID()}`;
    const args = [program, kit.path, kit.generation, String(cap), String(parallel), this.#notes];
    this.child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.child.stdout?.on('data', (chunk: Buffer) => {
      this.#said += chunk.toString();
    });
    this.ended = once(this.child, 'close');
  }

  async ready(): Promise<void> {
    while (!this.#said.includes('ready')) await once(this.child.stdout as NonNullable<ChildProcess['stdout']>, 'data');
  }

  go(): void {
    this.child.stdin?.write('go');
  }

  /** Ends it in the middle of its work, once it has spent so much. */
  async kill(units: number): Promise<void> {
    while (this.spent < units) await new Promise((resolve) => setTimeout(resolve, Math.random() * 10));
    this.child.kill('SIGKILL');
    await this.ended;
  }

  /** What it was told that it has spent. */
  get spent(): number {
    return statSync(this.#notes).size;
  }

  /** How long its longest call took, in ms. */
  get longestMs(): number {
    return Number(this.#said.split(' ')[1]);
  }
}

async function spenders(cap: number, parallel: number): Promise<readonly Spender[]> {
  const all = Array.from({ length: PROCESSES }, () => new Spender(cap, parallel));
  await Promise.all(all.map((each) => each.ready()));
  return all;
}

/** Every counter of the file is what its holds say. */
function expectConsistent(): void {
  expect(kit.rows('PRAGMA integrity_check')).toEqual([{ integrity_check: 'ok' }]);
  expect(kit.rows('PRAGMA foreign_key_check')).toEqual([]);
  const counted = kit.rows('SELECT meter, held, booked FROM leash_counter ORDER BY id');
  const [sums = {}] = kit.rows(
    "SELECT sum(2 * (state = 'held')) AS held, sum(2 * (state <> 'held')) AS spent, count(*) AS calls FROM leash_hold",
  );
  expect(counted).toEqual([
    { meter: 'usd', held: sums['held'], booked: sums['spent'] },
    { meter: 'calls', held: 0, booked: sums['calls'] },
  ]);
}

describe('processes that share a SQLite store', () => {
  it('spend its cap and not a unit more, each a share of it, and none waits for long', async () => {
    const all = await spenders(6_000, 4);
    for (const each of all) each.go();
    await Promise.all(all.map(({ ended }) => ended));
    expect(all.reduce((sum, { spent }) => sum + spent, 0)).toBe(6_000);
    expect(await kit.usd()).toEqual({ used: 6_000, held: 0 });
    expectConsistent();
    // Where each waits in SQLite itself, one has all of it and another nothing.
    for (const { spent, longestMs } of all) {
      expect(spent).toBeGreaterThan(100);
      expect(longestMs).toBeLessThan(5_000);
    }
  });

  it('may all be the first', async () => {
    const source = JSON.stringify(new URL('../../src/stores/sqlite.ts', import.meta.url).href);
    const opener = `
      const { sqliteStore } = await import(${source});
      process.stdout.write(' ');
      await new Promise((resolve) => process.stdin.once('data', resolve));
      for (let i = 0; i < 25; i++) {
        const store = sqliteStore(${JSON.stringify(kit.path)} + i);
        process.stdout.write((await store.open(['a'])).a + ' ');
      }
      process.exit();
    `;
    const children = Array.from({ length: PROCESSES }, () =>
      spawn(process.execPath, ['--input-type=module', '-e', opener], { stdio: ['pipe', 'pipe', 'inherit'] }),
    );
    const said = children.map(() => '');
    for (const [i, child] of children.entries()) {
      child.stdout.on('data', (chunk: Buffer) => {
        said[i] += chunk.toString();
      });
    }
    await Promise.all(children.map((child) => once(child.stdout, 'data')));
    for (const child of children) child.stdin.write('go');
    await Promise.all(children.map((child) => once(child, 'close')));
    expect(new Set(said).size).toBe(1);
    expect(new Set(said[0]?.trim().split(' ')).size).toBe(25);
  });

  it('leave a whole state when they are killed in the middle of it', async () => {
    const parallel = 8;
    let spent = 0;
    for (let wave = 0; wave < 2; wave++) {
      const all = await spenders(1e9, parallel);
      for (const each of all) each.go();
      await Promise.all(all.map((each, i) => each.kill(100 * (i + 1))));
      for (const each of all) spent += each.spent;
      expectConsistent();
    }
    const most = 2 * PROCESSES * parallel * 2;
    kit.clock.jump(undefined, Date.now() + 601_000);
    const open = await kit.store.sweep(1_000);
    expect(2 * open.length).toBeLessThanOrEqual(most);
    const { used, held } = (await kit.usd()) as { used: number; held: number };
    expect(held).toBe(0);
    expect(used).toBeGreaterThanOrEqual(spent);
    expect(used).toBeLessThanOrEqual(spent + most);
  });
});
