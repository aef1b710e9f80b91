import { describe, expect, it } from 'vitest';
import { keyId, rawPublicKey, readPublicKey } from '../src/audit/keys.ts';
import { verifyProof } from '../src/audit/proof.ts';
import { type Call, currentCall, type ProofOptions } from '../src/call.ts';
import { budget } from '../src/guards/budget.ts';
import type { Leash } from '../src/leash-contract.ts';
import { lineHashOf } from './helpers/log-verifier.ts';
import { fieldsOf } from './helpers/proof.ts';
import { openSession } from './helpers/signed-session.ts';

const AUDIENCE = 'https://shop.example';

/** What a relying party has of a session: its key, by the id that a note gives it. */
const keyOf = (line: string | undefined, origin: string): { kid: string; publicKey: string } => {
  const { key } = JSON.parse(line ?? '');
  const raw = rawPublicKey(readPublicKey(key) ?? expect.fail('no key'));
  return { kid: keyId(origin, raw).toString('hex'), publicKey: key };
};
const prove = (leash: Leash, args: unknown, options: ProofOptions = { audience: AUDIENCE }): Promise<string> =>
  leash.run({ tool: 'pay', args, cost: 'free' }, () => (currentCall() as Call).proof(options));
const reasonOf = (verifying: Promise<unknown>): Promise<unknown> =>
  verifying.then(
    () => 'verified',
    ({ reason }) => reason,
  );

describe('currentCall().proof', () => {
  it.each(['paseto', 'jws'] as const)('verifies with the session key of the log: %s', async (format) => {
    const { sink, leash, clock } = openSession({ origin: 'acme.test' }, [budget({ usd: 1 })]);
    const args = { cents: 1250, to: 'acct_€', at: 0.5 };
    const token = await prove(leash, args, { audience: AUDIENCE, format });
    const open = JSON.parse(sink.lines[0] as string);
    const start = sink.lines[1] as string;
    const keys = [keyOf(sink.lines[0], open.origin)];
    const claims = await verifyProof(token, { keys, audience: AUDIENCE, args, now: () => clock.wall() });
    expect(claims).toMatchObject({
      iss: open.origin,
      sub: 'agent',
      aud: AUDIENCE,
      tool: 'pay',
      log: open.log,
      seq: 1,
      h: lineHashOf(start),
      pol: open.guards,
    });
    const check = (change: object): Promise<unknown> =>
      reasonOf(verifyProof(token, { keys, audience: AUDIENCE, args, now: () => clock.wall(), ...change }));
    expect(await check({ args: { ...args, cents: 1251 } })).toBe('args-mismatch');
    expect(await check({ audience: 'https://other.example' })).toBe('audience');
    expect(await check({ now: () => clock.wall() + 60_000 })).toBe('expired');
    expect(await check({ now: () => clock.wall() + 59_999 })).toBe('verified');
    const other = openSession();
    expect(await check({ keys: [{ ...keys[0], publicKey: JSON.parse(other.sink.lines[0] as string).key }] })).toBe(
      'signature',
    );
    expect(await check({ keys: [keyOf(other.sink.lines[0], open.origin)] })).toBe('key-unknown');
  });

  it('is another one each time, of the same call', async () => {
    const { sink, leash, clock } = openSession();
    const tokens = await leash.run({ tool: 'pay', args: 1 }, async () => {
      const call = currentCall() as Call;
      const first = call.proof({ audience: 'a' });
      await new Promise(setImmediate);
      return [first, call.proof({ audience: 'b', ttlMs: 300_000 })];
    });
    const [a, b] = tokens.map(fieldsOf);
    expect(a?.['jti']).not.toBe(b?.['jti']);
    const keys = [keyOf(sink.lines[0], JSON.parse(sink.lines[0] as string).origin)];
    for (const [i, audience] of ['a', 'b'].entries()) {
      const claims = await verifyProof(tokens[i] as string, { keys, audience, args: 1, now: () => clock.wall() });
      expect(claims).toMatchObject({ seq: 1, h: lineHashOf(sink.lines[1] as string) });
    }
  });

  it('is of the arguments that were allowed, whatever the tool does to its own', async () => {
    const { sink, leash, clock } = openSession();
    const args = { to: 'alice', list: [1] };
    const token = await leash.wrap('pay', (given: typeof args) => {
      given.to = 'mallory';
      given.list.push(2);
      args.to = 'mallory';
      return (currentCall() as Call).proof({ audience: AUDIENCE });
    })(args);
    const keys = [keyOf(sink.lines[0], JSON.parse(sink.lines[0] as string).origin)];
    const check = (of: unknown): Promise<unknown> =>
      reasonOf(verifyProof(token, { keys, audience: AUDIENCE, args: of, now: () => clock.wall() }));
    expect(await check({ to: 'alice', list: [1] })).toBe('verified');
    expect(await check({ to: 'mallory', list: [1, 2] })).toBe('args-mismatch');
  });

  it.each([
    { name: 'each event signed', audit: { sign: 'each' } },
    { name: 'each event signed, and the key replaced each time', audit: { sign: 'each', rotateEvery: 1 } },
  ] as const)('names the start of its call, whatever lines follow that at once: $name', async ({ audit }) => {
    const { sink, leash, clock } = openSession(audit);
    await prove(leash, 0);
    const token = await prove(leash, 1);
    const { origin } = JSON.parse(sink.lines[0] as string);
    const keys = sink.lines.filter((line) => line.includes('"key":')).map((line) => keyOf(line, origin));
    const claims = await verifyProof(token, { keys, audience: AUDIENCE, args: 1, now: () => clock.wall() });
    const line = sink.lines[claims.seq] as string;
    expect(JSON.parse(line)).toMatchObject({ kind: 'tool_start', tool: 'pay' });
    expect(claims.h).toBe(lineHashOf(line));
    expect(sink.lines.indexOf(line)).toBeGreaterThan(2);
  });

  it('names the line of its own call where many run at once', async () => {
    const { sink, leash } = openSession();
    const tokens = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        leash.run({ tool: `tool ${i}`, args: i }, async () => {
          const call = currentCall() as Call;
          await new Promise(setImmediate);
          return call.proof({ audience: AUDIENCE });
        }),
      ),
    );
    tokens.forEach((token, i) => {
      const { seq, h, tool } = fieldsOf(token) as { seq: number; h: string; tool: string };
      expect(tool).toBe(`tool ${i}`);
      expect(JSON.parse(sink.lines[seq] as string)).toMatchObject({ kind: 'tool_start', tool });
      expect(h).toBe(lineHashOf(sink.lines[seq] as string));
    });
  });

  it.each(['end', 'close'] as const)('is refused after the %s', async (when) => {
    const { leash } = openSession();
    let call: Call | undefined;
    const running = leash.run({ tool: 'pay' }, () => {
      call = currentCall();
      return when === 'close' ? new Promise(() => {}) : undefined;
    });
    if (when === 'end') await running;
    else await leash.close();
    expect(() => call?.proof({ audience: AUDIENCE })).toThrow(new TypeError('the call of tool "pay" has ended'));
  });

  it('is refused where the log is not signed', async () => {
    const { leash } = openSession({ sign: 'none' });
    await expect(prove(leash, 1)).rejects.toThrow(
      new TypeError("call.proof needs a signed log: `audit.sign` is 'none'"),
    );
  });

  it.each<{ name: string; options: unknown; error: typeof TypeError | typeof RangeError; message: string }>([
    { name: 'no options', options: null, error: TypeError, message: 'call.proof' },
    { name: 'an unknown one', options: { audience: 'a', aud: 'b' }, error: TypeError, message: 'aud' },
    { name: 'no audience', options: {}, error: TypeError, message: '`call.proof.audience`' },
    { name: 'an empty audience', options: { audience: '' }, error: RangeError, message: '`call.proof.audience`' },
    {
      name: 'an audience that is too long',
      options: { audience: 'a'.repeat(257) },
      error: RangeError,
      message: '`call.proof.audience`',
    },
    { name: 'a life of zero', options: { audience: 'a', ttlMs: 0 }, error: RangeError, message: '`call.proof.ttlMs`' },
    {
      name: 'a life too long',
      options: { audience: 'a', ttlMs: 300_001 },
      error: RangeError,
      message: '`call.proof.ttlMs`',
    },
    {
      name: 'half a millisecond',
      options: { audience: 'a', ttlMs: 0.5 },
      error: RangeError,
      message: '`call.proof.ttlMs`',
    },
    {
      name: 'a life that is text',
      options: { audience: 'a', ttlMs: '9' },
      error: TypeError,
      message: '`call.proof.ttlMs`',
    },
    {
      name: 'another format',
      options: { audience: 'a', format: 'jwt' },
      error: TypeError,
      message: '`call.proof.format`',
    },
  ])('refuses by its name: $name', async ({ options, error, message }) => {
    const { leash, sink } = openSession();
    const thrown = await prove(leash, 1, options as ProofOptions).catch((caught: unknown) => caught);
    expect(thrown).toBeInstanceOf(error);
    expect((thrown as Error).message).toContain(message);
    // It is an error of the tool like any other.
    expect(JSON.parse(sink.lines.at(-1) as string).kind).toBe('tool_error');
  });
});
