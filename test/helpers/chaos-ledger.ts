import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import type { Line, Store } from '../../src/stores/store.ts';
import { storeWith } from './store-around.ts';

/** What a reservation draws on, as the ledger knows it. */
export type LedgerLine = Pick<Line, 'scope' | 'meter' | 'amount' | 'book'>;

/** One line of the ledger. */
export type Entry =
  /** Is about to be asked for. */
  | readonly ['reserve', id: string, lines: readonly LedgerLine[]]
  /** Has happened, out there, whatever the store thinks: what each line cost that is booked when it is settled. */
  | readonly ['spent', id: string, units: number]
  /** What the store has answered. */
  | readonly ['end', id: string, state: string]
  /** The store did not answer in time, so that nothing ran. */
  | readonly ['failed', id: string, message: string];

/**
 * A file outside every store, to which many processes append. A line is one write, so that there are no halves of it, and
 * what a process has written stays, however it ends.
 */
export class Ledger {
  readonly #file: number;

  constructor(path: string) {
    this.#file = openSync(path, 'a');
  }

  write(entry: Entry): void {
    writeSync(this.#file, `${JSON.stringify(entry)}\n`);
  }

  close(): void {
    closeSync(this.#file);
  }
}

export function readLedger(path: string): Entry[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Entry);
}

/** The same store, whose reservations are in the ledger before they are asked for and whose ends are when they are known. */
export function recordedStore(store: Store, ledger: Pick<Ledger, 'write'>): Store {
  return storeWith(
    {
      reserve: async (batch) => {
        for (const { id, lines, onto } of batch) {
          if (onto !== undefined) continue;
          const drawn = lines.map(({ scope, meter, amount, book }) => ({ scope, meter, amount, book }));
          ledger.write(['reserve', id, drawn]);
        }
        const decisions = await store.reserve(batch);
        for (const [i, { id, onto }] of batch.entries()) {
          if (onto === undefined && decisions[i]?.ok === false) ledger.write(['end', id, 'refused']);
        }
        return decisions;
      },
      settle: async (batch) => {
        const answers = await store.settle(batch);
        for (const [i, { id }] of batch.entries()) ledger.write(['end', id, answers[i]?.state ?? 'nothing']);
        return answers;
      },
    },
    store,
  );
}
