import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, fstatSync, mkdtempSync, openSync, readSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Store } from '../../src/stores/store.ts';
import { type Entry, type LedgerLine, readLedger } from './chaos-ledger.ts';
import type { ChaosTask } from './chaos-worker.ts';

const WORKER = fileURLToPath(new URL('chaos-worker.ts', import.meta.url));

export interface ChaosOptions extends Pick<ChaosTask, 'space' | 'cap' | 'leaseMs' | 'as'> {
  readonly processes: number;
  readonly loops: number;
  /** For so long at least, and until so many were killed and so many wallets are empty. */
  readonly forMs: number;
  readonly kills: number;
  readonly wallets: number;
}

/** A machine that is busy with something else has so long. */
const AT_MOST_MS = 60_000;

/** Processes that spend, of which one is killed every now and then, and another takes its place. */
export async function runChaos(
  options: ChaosOptions,
): Promise<{ readonly kills: number; readonly entries: readonly Entry[] }> {
  const { space, cap, leaseMs, as, loops, processes, forMs, wallets } = options;
  const folder = mkdtempSync(join(tmpdir(), 'leashkit-chaos-'));
  const ledger = join(folder, 'ledger');
  const workers: ChildProcess[] = [];
  const complaints: string[] = [];
  const start = (wallet: number): ChildProcess => {
    const task: ChaosTask = { space, cap, leaseMs, as, loops, ledger, wallet };
    const worker = spawn(process.execPath, [WORKER, JSON.stringify(task)], { stdio: ['ignore', 'ignore', 'pipe'] });
    worker.stderr?.setEncoding('utf8').on('data', (text: string) => complaints.push(text));
    return worker;
  };
  let kills = 0;
  try {
    writeFileSync(ledger, '');
    for (let i = 0; i < processes; i++) workers.push(start(0));
    // Processes that are only starting are no traffic.
    while (statSync(ledger).size === 0 && workers.every(({ exitCode }) => exitCode === null)) await pause(20);
    const began = performance.now();
    const passed = (): number => performance.now() - began;
    const isEnough = (): boolean => passed() >= forMs && kills >= options.kills && lastWallet(ledger) >= wallets;
    while (!isEnough() && passed() < AT_MOST_MS) {
      await pause(150 + Math.random() * 250);
      const index = Math.floor(Math.random() * processes);
      await killed(workers[index] as ChildProcess, complaints);
      kills++;
      workers[index] = start(lastWallet(ledger));
    }
    await Promise.all(workers.map((worker) => killed(worker, complaints)));
    return { kills, entries: readLedger(ledger) };
  } finally {
    for (const worker of workers) worker.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A worker never ends by itself: one that has would make the rest an easy life. */
async function killed(worker: ChildProcess, complaints: readonly string[]): Promise<void> {
  if (worker.exitCode !== null) throw new Error(`a worker ended with ${worker.exitCode}: ${complaints.join('')}`);
  const ended = once(worker, 'exit');
  worker.kill('SIGKILL');
  await ended;
}

/** The wallet that was spent from lately. */
function lastWallet(ledger: string): number {
  const file = openSync(ledger, 'r');
  try {
    const { size } = fstatSync(file);
    const tail = Buffer.alloc(Math.min(size, 16_384));
    readSync(file, tail, 0, tail.length, size - tail.length);
    return Math.max(0, ...[...tail.toString().matchAll(/wallet (\d+)"/g)].map(([, index]) => Number(index)));
  } finally {
    closeSync(file);
  }
}

/** One counter: what happened out there, and what the store makes of it. */
export interface Account {
  readonly scope: string;
  readonly meter: string;
  /** Out there. */
  spent: number;
  /** Of it, in holds that were settled. */
  settled: number;
  /** Held by what was forfeited, and how much of that was spent all the same. */
  forfeited: number;
  forfeitedSpent: number;
  /** By the store, after every lease has ended. */
  used: number;
  held: number;
}

/** Out there alone: what a store must not have let happen. */
export function spentByCounter(entries: readonly Entry[]): Map<string, Account> {
  const accounts = new Map<string, Account>();
  const lines = linesById(entries);
  for (const [kind, id, units] of entries) {
    if (kind !== 'spent') continue;
    for (const line of lines.get(id) ?? []) accountOf(accounts, line).spent += costOf(line, units);
  }
  return accounts;
}

/**
 * Waits until every lease has ended and was swept, and asks the store what became of each reservation.
 *
 * @throws a hold that does not end.
 */
export async function closeAccounts(store: Store, entries: readonly Entry[], withinMs: number): Promise<Account[]> {
  const accounts = spentByCounter(entries);
  const lines = linesById(entries);
  const until = performance.now() + withinMs;
  const scopes = [...new Set([...lines.values()].flat().map(({ scope }) => scope))];
  for (;;) {
    while ((await store.sweep(256)).length > 0);
    const readings = await store.read(scopes);
    let held = 0;
    for (const [scope, meters] of Object.entries(readings)) {
      for (const [meter, reading] of Object.entries(meters)) {
        Object.assign(accountOf(accounts, { scope, meter }), reading);
        held += reading.held;
      }
    }
    if (held === 0) break;
    if (performance.now() > until) throw new Error(`${held} units are still held`);
    await pause(50);
  }
  const spent = new Map<string, number>();
  for (const [kind, id, units] of entries) if (kind === 'spent') spent.set(id, units);
  for (const [id, state] of await endsOf(store, entries)) {
    for (const line of lines.get(id) ?? []) {
      const account = accountOf(accounts, line);
      const cost = spent.has(id) ? costOf(line, spent.get(id) as number) : 0;
      if (state === 'settled') account.settled += cost;
      else if (state === 'forfeited') {
        account.forfeited += line.amount;
        account.forfeitedSpent += cost;
      }
    }
  }
  return [...accounts.values()];
}

/** Everyone who was answered has written it down. The others were killed before, and the store remembers. */
async function endsOf(store: Store, entries: readonly Entry[]): Promise<Map<string, string>> {
  const ends = new Map<string, string>();
  for (const [kind, id, state] of entries) if (kind === 'end') ends.set(id, state);
  const open = entries.filter(([kind, id]) => kind === 'reserve' && !ends.has(id)).map(([, id]) => id);
  for (let i = 0; i < open.length; i += 64) {
    const ids = open.slice(i, i + 64);
    const answers = await store.settle(ids.map((id) => ({ id, actual: 'void' })));
    for (const [j, { state }] of answers.entries()) ends.set(ids[j] as string, state);
  }
  return ends;
}

function linesById(entries: readonly Entry[]): Map<string, readonly LedgerLine[]> {
  const lines = new Map<string, readonly LedgerLine[]>();
  for (const [kind, id, drawn] of entries) if (kind === 'reserve') lines.set(id, drawn);
  return lines;
}

function costOf(line: LedgerLine, units: number): number {
  return line.book === 'reserve' ? line.amount : units;
}

function accountOf(accounts: Map<string, Account>, { scope, meter }: Pick<LedgerLine, 'scope' | 'meter'>): Account {
  const key = `${scope} ${meter}`;
  let account = accounts.get(key);
  if (account === undefined) {
    account = { scope, meter, spent: 0, settled: 0, forfeited: 0, forfeitedSpent: 0, used: 0, held: 0 };
    accounts.set(key, account);
  }
  return account;
}
