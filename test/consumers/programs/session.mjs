/**
 * Uses the package as a program does that knows it from the README alone, and prints what came of each part. The log of the
 * first part is left in `audit.jsonl`.
 */
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { resolve } from 'node:path';
import { budget, callCap, createLeash, egress, fileSink, findLeashError, verifyLog } from 'leashkit';

const came = {};

/** @param use resolves to what is to be printed. */
async function part(name, use) {
  try {
    came[name] = await use();
  } catch (error) {
    came[name] = `${error.code ?? error.name}: ${error.message}`;
  }
}

/** A hundred calls at once on what five of them cost. */
async function session() {
  const leash = createLeash({ guards: [budget({ usd: 1 }), callCap(50)], audit: fileSink('audit.jsonl') });
  let ran = 0;
  const charge = leash.wrap(
    'charge',
    async ({ cents }) => {
      ran++;
      await new Promise((next) => setTimeout(next, 1));
      return cents;
    },
    { cost: ({ cents }) => ({ usd: cents / 100 }) },
  );
  const attempts = await Promise.allSettled(Array.from({ length: 100 }, () => charge({ cents: 18 })));
  const codes = new Set(attempts.flatMap(({ reason }) => (reason === undefined ? [] : [reason.code])));
  await leash.close();
  const { ok, state } = await verifyLog('audit.jsonl', { requireClosed: true });
  return `${ran} ran, ${[...codes].sort().join(' ')}, ${ok ? 'verified' : 'wrong'}, ${state}`;
}

/** The leash's own client, code that knows of no leash, and a declared URL, each to an allowed place and to another. */
async function reach(enforce, origin, elsewhere) {
  const leash = createLeash({ guards: [egress({ allow: [origin], enforce })], stopOn: 'none' });
  try {
    const read = async (url) => (await fetch(url)).text();
    const clients = {
      own: (url) => leash.fetch(url).then((answer) => answer.text()),
      any: leash.wrap('any', read),
      declared: leash.wrap('declared', read, { url: (url) => url }),
    };
    const held = [];
    for (const [name, client] of Object.entries(clients)) {
      if ((await client(origin)) !== 'hello') throw new Error(`${name} did not reach ${origin}`);
      const refused = await client(elsewhere).then(
        () => false,
        (error) => findLeashError(error)?.code === 'EGRESS_DENIED',
      );
      if (refused) held.push(name);
    }
    return `holds ${held.join(', ')}`;
  } finally {
    await leash.close();
  }
}

async function sqlite() {
  const { sqliteLines, sqliteSink } = await import('leashkit/sqlite');
  const leash = createLeash({ guards: [callCap(1)], audit: sqliteSink('audit.db') });
  await leash.wrap('search', async () => 'found')();
  await leash.close();
  const { ok, state } = await verifyLog(sqliteLines('audit.db'), { requireClosed: true });
  return `${ok ? 'verified' : 'wrong'}, ${state}`;
}

async function isolated() {
  const { isolated } = await import('leashkit/isolated');
  writeFileSync('tools.mjs', 'export const add = (a, b) => a + b;\n');
  const leash = createLeash({ guards: [egress({ allow: [], enforce: 'declared' })] });
  try {
    const tools = await isolated(resolve('tools.mjs'), { leash });
    return `1 and 2 are ${await tools.exports.add(1, 2)}`;
  } finally {
    await leash.close();
  }
}

const server = createServer((_request, response) => response.end('hello'));
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const { port } = server.address();

await part('session', session);
for (const enforce of ['scope', 'declared']) {
  await part(`egress ${enforce}`, () => reach(enforce, `http://127.0.0.1:${port}`, `http://localhost:${port}`));
}
await part('sqlite', sqlite);
await part('isolated', isolated);

server.closeAllConnections();
server.close();
console.log(JSON.stringify(came));
