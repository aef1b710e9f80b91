import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { request } from 'undici';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { removeEgressHooks } from '../../src/egress/hooks/hooks.ts';
import { findLeashError } from '../../src/errors.ts';
import { type HeldLeash, heldBy, holdWith, onLoopback } from '../helpers/held-leash.ts';
import { type Place, startPlace } from '../helpers/places.ts';

type Package = typeof import('leashkit');

/** Beside the sources: the package as it is built, and a copy of that. */
let copies: Package[];
let folder: string;
let place: Place;
const original = Socket.prototype.connect;
beforeAll(async () => {
  const dist = fileURLToPath(new URL('../../dist', import.meta.url));
  folder = mkdtempSync(join(tmpdir(), 'leash-copy-'));
  cpSync(dist, join(folder, 'dist'), { recursive: true });
  cpSync(join(dist, '../package.json'), join(folder, 'package.json'));
  const load = (path: string): Promise<Package> => import(/* @vite-ignore */ pathToFileURL(path).href);
  copies = await Promise.all([load(join(dist, 'index.js')), load(join(folder, 'dist/index.js'))]);
  place = await startPlace();
});
afterAll(async () => {
  await place[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

const at = (host: string): string => `http://${host}:${place.port}`;
const said = (held: HeldLeash): string[] => held.said().map((text) => text.replace(`:${place.port}`, ''));

function leashOf({ createLeash, egress, memorySink }: Package, ...hosts: string[]): HeldLeash {
  const sink = memorySink();
  const options = { allow: hosts.map(at), resolver: onLoopback, addresses: { allow: ['127.0.0.0/8'] } };
  return heldBy(createLeash({ guards: [egress(options)], audit: { sink, sign: 'none' } }) as never, sink as never);
}

const outcome = (held: HeldLeash, body: () => unknown): Promise<unknown> =>
  held
    .call(body)
    .catch((error: unknown) => (findLeashError(error) as { reason?: string } | undefined)?.reason ?? error);

const get = async (host: string): Promise<string> => (await request(at(host))).body.text();

it('several copies of the package share hooks, and all hold', async () => {
  const [one, two] = copies as [Package, Package];
  expect(one).not.toBe(two);
  expect(one.createLeash).not.toBe(two.createLeash);
  const c = holdWith({ allow: [at('c.test')] });
  const a = leashOf(one, 'a.test', 'both.test');
  const connect = Socket.prototype.connect;
  expect(connect).not.toBe(original);
  const b = leashOf(two, 'b.test', 'both.test');
  expect(Socket.prototype.connect).toBe(connect);

  expect(await outcome(a, () => get('a.test'))).toBe('/');
  expect(await outcome(a, () => get('b.test'))).toBe('host-not-allowed');
  expect(await outcome(b, () => get('b.test'))).toBe('/');
  expect(await outcome(b, () => get('a.test'))).toBe('host-not-allowed');
  expect(await outcome(c, () => get('c.test'))).toBe('/');
  expect(await outcome(c, () => get('a.test'))).toBe('host-not-allowed');

  // Nested: both.
  expect(await outcome(a, () => outcome(b, () => get('both.test')))).toBe('/');
  expect(await outcome(a, () => outcome(b, () => get('a.test')))).toBe('host-not-allowed');
  expect(await outcome(b, () => outcome(a, () => get('b.test')))).toBe('host-not-allowed');
  // Each says what it has decided, none twice.
  expect([said(a), said(b), said(c)]).toEqual([
    [
      'ok http a.test 127.0.0.1',
      'denied http b.test host-not-allowed',
      'ok http both.test 127.0.0.1',
      expect.stringContaining('denied'),
    ],
    [
      'ok http b.test 127.0.0.1',
      'denied http a.test host-not-allowed',
      'ok http both.test 127.0.0.1',
      expect.stringContaining('denied'),
    ],
    ['ok http c.test 127.0.0.1', 'denied http a.test host-not-allowed'],
  ]);

  expect(removeEgressHooks()).toBe(false);
  await a.leash.close();
  await c.leash.close();
  expect(removeEgressHooks()).toBe(false);
  expect(await outcome(b, () => get('x.test'))).toBe('host-not-allowed');
  await b.leash.close();
  expect(removeEgressHooks()).toBe(true);
  expect(Socket.prototype.connect).toBe(original);
  // Each copy finds its way back.
  for (const copy of copies) {
    const again = leashOf(copy, 'a.test');
    expect(await outcome(again, () => get('b.test'))).toBe('host-not-allowed');
    await again.leash.close();
  }
});

it("what one copy's leash needs itself is not held by a call of another's", async () => {
  const [one, two] = copies as [Package, Package];
  const outer = leashOf(one, 'a.test');
  const lines: string[] = [];
  const inner = two.createLeash({
    guards: [two.callCap(9)],
    audit: {
      name: 'remote',
      async write(text) {
        lines.push(text);
        await (await fetch(at('127.0.0.1'))).text();
      },
    },
  });
  expect(await outcome(outer, () => inner.run({ tool: 't', args: {} }, () => 'ran'))).toBe('ran');
  await inner.close();
  await outer.leash.close();
  expect(lines.join('').match(/"kind"/g)?.length).toBeGreaterThan(3);
  expect(said(outer)).toEqual([]);
});
