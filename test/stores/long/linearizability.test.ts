import { describe, expect, it } from 'vitest';
import type { Store } from '../../../src/stores/store.ts';
import { freshStores } from '../../helpers/backends/backend.ts';
import { backends, naiveBackends } from '../../helpers/backends.ts';
import { type CheckedHistories, checkHistories, historyText } from '../../helpers/checked-histories.ts';
import { inTurn } from '../../helpers/store-around.ts';

const HISTORIES = 300;
const CONNECTIONS = 6;

function tell(name: string, { failed, operations, seed }: CheckedHistories): void {
  console.log(
    `${name}: ${failed.length} of ${HISTORIES} histories (${operations} operations) have no order, seed ${seed}`,
  );
}

describe('histories of 6 connections', () => {
  it.each(backends)('have an order on $name', async (backend) => {
    const { stores, close } = await freshStores(backend, CONNECTIONS);
    try {
      const histories = await checkHistories(stores, HISTORIES);
      tell(backend.name, histories);
      expect(histories.failed.slice(0, 3).map(historyText), `seed ${histories.seed}`).toEqual([]);
    } finally {
      await close();
    }
  });

  it.each(naiveBackends)('have none on a store that checks first and acts then: $name', async (backend) => {
    const { stores, close } = await freshStores(backend, CONNECTIONS);
    try {
      const histories = await checkHistories(stores, HISTORIES);
      tell(backend.name, histories);
      expect(histories.failed.length).toBeGreaterThan(HISTORIES / 4);
      // Asked one thing at a time, it does nothing wrong.
      expect((await checkHistories([inTurn(stores[0] as Store)], 20)).failed.map(historyText)).toEqual([]);
    } finally {
      await close();
    }
  });
});
