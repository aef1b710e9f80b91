/**
 * A client in a process of its own, so that those without a leash share nothing with one: makes as many GETs as its parent
 * says. Arguments: a name of `CLIENTS`, and the port of the server. Ends with its parent.
 */
import { Agent, get } from 'node:http';
import { createLeash, egress, type Leash, memorySink } from 'leashkit';
import { leashDispatcher } from 'leashkit/undici';
import { RequestFilteringHttpAgent } from 'request-filtering-agent';
import { type Dispatcher, request, Agent as UndiciAgent } from 'undici';

const IN_FLIGHT = 32;
const [client = '', port = ''] = process.argv.slice(2);
const origin = `http://127.0.0.1:${port}`;
const url = `${origin}/v1/items`;
const keepAlive = { keepAlive: true, maxSockets: IN_FLIGHT };

/** Sends that many at once. */
type Batch = (count: number) => Promise<void>;

function batchOf(send: () => Promise<unknown>): Batch {
  return async (count) => {
    await Promise.all(Array.from({ length: count }, send));
  };
}

function throughUndici(dispatcher: Dispatcher = new UndiciAgent({ connections: IN_FLIGHT })): Batch {
  return batchOf(async () => (await request(url, { dispatcher })).body.text());
}

function throughHttp(agent: Agent = new Agent(keepAlive)): Batch {
  return batchOf(
    () =>
      new Promise((resolve, reject) => {
        get(url, { agent }, (response) => response.resume().once('end', resolve)).once('error', reject);
      }),
  );
}

function open(): Leash {
  return createLeash({ guards: [egress({ allow: [origin] })], audit: memorySink({ max: 10_000 }) });
}

/** Each batch is a call. */
function leashed(batch: Batch): Batch {
  return open().wrap('fetch_items', batch);
}

/** A leash is open, and this is no call of it. */
function beside(batch: Batch): Batch {
  open();
  return batch;
}

const CLIENTS: Readonly<Record<string, () => Batch>> = {
  undici: () => throughUndici(),
  'undici-leashed': () => leashed(throughUndici()),
  'undici-dispatcher': () => throughUndici(leashDispatcher(open(), { connections: IN_FLIGHT })),
  'undici-beside': () => beside(throughUndici()),
  http: () => throughHttp(),
  'http-leashed': () => leashed(throughHttp()),
  'http-beside': () => beside(throughHttp()),
  'http-filtering': () => throughHttp(new RequestFilteringHttpAgent({ ...keepAlive, allowPrivateIPAddress: true })),
};

const batch = (CLIENTS[client] as () => Batch)();
process.on('message', async (rounds: number) => {
  for (let left = rounds; left > 0; left -= IN_FLIGHT) await batch(Math.min(left, IN_FLIGHT));
  process.send?.('done');
});
process.once('disconnect', () => process.exit());
