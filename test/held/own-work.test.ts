import { sign } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { memorySink } from '../../src/audit/memory-sink.ts';
import type { AuditSink } from '../../src/audit/sink.ts';
import { webhookSink } from '../../src/audit/webhook-sink.ts';
import { findLeashError } from '../../src/errors.ts';
import { callCap } from '../../src/guards/call-cap.ts';
import { type EgressOptions, egress } from '../../src/guards/egress.ts';
import { createLeash } from '../../src/leash.ts';
import type { Store } from '../../src/stores/store.ts';
import { heldBy, holdWith, onLoopback } from '../helpers/held-leash.ts';
import { httpGet } from '../helpers/http-get.ts';
import { type Place, startPlace } from '../helpers/places.ts';
import { rootKey } from '../helpers/signed-session.ts';
import { storeThrough } from '../helpers/store-around.ts';

/** Where the user's own services are; no leash here may go there. */
let services: Place;
const service = (path: string): string => `http://127.0.0.1:${services.port}/${path}`;
beforeAll(async () => {
  services = await startPlace();
});
afterAll(() => services[Symbol.asyncDispose]());
beforeEach(() => {
  services.asked.length = 0;
});
const asked = (): string[] => [...new Set(services.asked.map((each) => each.replace(/^[^/]*\//, '')))].sort();

const use = async (path: string): Promise<void> => {
  await (await fetch(service(path))).text();
  await httpGet(service(path), { agent: false });
};

const reason = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'ok',
    (error) => (findLeashError(error) as { reason?: string } | undefined)?.reason ?? error,
  );

/** A store elsewhere: every question to it is a request. */
function remoteStore(): Store {
  return storeThrough(async (method, action) => {
    await use(`store-${method}`);
    return action();
  });
}

describe.each(['scope', 'process'] as const)("what a leash needs itself is not held by it: enforce '%s'", (enforce) => {
  const guard = (more: Partial<EgressOptions> = {}) => egress({ allow: [], enforce, ...more });

  it('a store', async () => {
    const sink = memorySink();
    await using held = heldBy(createLeash({ guards: [guard(), callCap(9)], store: remoteStore(), audit: sink }), sink);
    // One call in the other: the inner one asks the store inside of a tool.
    const inner = () => held.call(() => reason(fetch(service('tool'))));
    expect(await held.call(inner)).toBe('host-not-allowed');
    await held.leash.usage();
    await held.leash.close();
    expect(asked()).toEqual(expect.arrayContaining(['store-read', 'store-reserve', 'store-settle', 'store-shut']));
    expect(asked()).not.toContain('tool');
    expect(held.said()).toHaveLength(1);
  });

  it('a sink', async () => {
    const lines: string[] = [];
    const sink: AuditSink = {
      name: 'remote',
      async write(text) {
        await use('sink-write');
        lines.push(text);
      },
      close: () => use('sink-close'),
    };
    const leash = createLeash({ guards: [guard()], audit: sink });
    const call = () => leash.run({ tool: 't', args: {} }, () => reason(fetch(service('tool'))));
    expect(await leash.run({ tool: 't', args: {} }, call)).toBe('host-not-allowed');
    await leash.close();
    expect(asked()).toEqual(['sink-close', 'sink-write']);
    expect(lines.join('').match(/egress_denied/g)).toHaveLength(1);
  });

  it('a webhook, with a timer that runs in a call, and one from before there was any', async () => {
    const sink = webhookSink(service('webhook'), { intervalMs: 20, retries: 0 });
    const leash = createLeash({ guards: [guard()], audit: sink });
    const call = () => leash.run({ tool: 't', args: {} }, () => reason(fetch(service('tool'))));
    // The first line is waiting already, and the timer with it.
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(asked()).toEqual(['webhook']);
    await leash.run({ tool: 't', args: {} }, async () => {
      await call();
      await new Promise((resolve) => setTimeout(resolve, 60));
    });
    await leash.close();
    expect(asked()).toEqual(['webhook']);
  });

  it('a signer, and who is told of checkpoints', async () => {
    const { key } = rootKey();
    const notes: unknown[] = [];
    const leash = createLeash({
      guards: [guard()],
      audit: {
        sink: memorySink(),
        sign: 'each',
        signer: async (bytes) => {
          await use('signer');
          return sign(null, bytes, key);
        },
        onCheckpoint: () => void notes.push(reason(use('checkpoint'))),
      },
    });
    await leash.run({ tool: 't', args: {} }, () => leash.run({ tool: 't', args: {} }, () => 1));
    await leash.close();
    expect(new Set(await Promise.all(notes))).toEqual(new Set(['ok']));
    expect(asked()).toEqual(['checkpoint', 'signer']);
  });

  it('a resolver', async () => {
    const place = `http://${enforce}.test:${services.port}`;
    const resolver = async (): Promise<readonly string[]> => {
      await use('resolver');
      return ['127.0.0.1'];
    };
    const options = { allow: [place], addresses: { allow: ['127.0.0.0/8'] }, resolver };
    await using leash = createLeash({ guards: [guard(options)] });
    expect(await leash.run({ tool: 't', args: {} }, async () => (await fetch(place)).status)).toBe(200);
    expect(asked()).toEqual(['', 'resolver']);
  });
});

it('a call that a part of the leash makes is held as any other', async () => {
  await using other = holdWith({ allow: [] });
  const results: Promise<unknown>[] = [];
  const inner = memorySink();
  const sink: AuditSink = {
    name: 'calling',
    write(text, first, last) {
      if (text.includes('tool_start')) results.push(reason(other.call(() => fetch(service('tool')))));
      return inner.write(text, first, last);
    },
  };
  await using leash = createLeash({ guards: [egress({ allow: [], resolver: onLoopback })], audit: sink });
  await leash.run({ tool: 'outer', args: {} }, () => leash.run({ tool: 't', args: {} }, () => 1));
  expect(await Promise.all(results)).toEqual(['host-not-allowed', 'host-not-allowed']);
  expect(asked()).toEqual([]);
});

it('a sink that is closed in a call of another leash is not held by it', async () => {
  await using other = holdWith({ allow: [] });
  const sink: AuditSink = { name: 'closing', write() {}, close: () => use('sink-close') };
  const leash = createLeash({ guards: [egress({ allow: [] })], audit: sink });
  await other.call(() => leash.close());
  expect(asked()).toEqual(['sink-close']);
});

it('a tool that waits for its leash is still held', async () => {
  await using held = holdWith({ allow: [] }, { store: remoteStore() });
  const answer = await held.call(async () => {
    await held.leash.usage();
    const ticket = await held.leash.enter({ tool: 'other', args: {} });
    await ticket.settle();
    return reason(fetch(service('tool')));
  });
  expect(answer).toBe('host-not-allowed');
});
