import { Ledger } from '../ledger.ts';
import { Rows } from './rows.ts';
import type { Statements } from './statements.ts';

/** One transaction, at one moment of the store's one clock. */
export class Transaction {
  /** Epoch ms. */
  readonly time: number;
  readonly rows: Rows;
  readonly ledger: Ledger;

  constructor(statements: Statements, time: number) {
    this.time = time;
    this.rows = new Rows(statements, time);
    this.ledger = new Ledger({ now: () => time, wall: () => time }, this.rows, this.rows);
  }
}
