import { AsyncLocalStorage } from 'node:async_hooks';
import { createHash, createHmac, createSecretKey, hash, randomBytes, randomUUID } from 'node:crypto';
import { Ajv2020 } from 'ajv/dist/2020.js';
import stableStringify from 'fast-json-stable-stringify';
import { type AuditOptions, budget, callCap, createLeash, egress, type Leash, memorySink, rateLimit } from 'leashkit';
import { jsonSchemaArgs } from 'leashkit/ajv';
import { type Input, input } from './input.ts';
import type { Group, Subject } from './measure.ts';

const schema = {
  type: 'object',
  properties: {
    customer: { type: 'string', maxLength: 64 },
    cents: { type: 'integer', minimum: 1, maximum: 1_000_000 },
    currency: { enum: ['usd', 'eur'] },
    description: { type: 'string', maxLength: 200 },
    capture: { type: 'boolean' },
    items: { type: 'array', items: { type: 'string' }, maxItems: 8 },
  },
  required: ['customer', 'cents', 'currency'],
  additionalProperties: false,
};

const url = 'https://api.stripe.com/v1/charges';

export const tool = async (args: Input): Promise<number> => args.cents;

/** What a careful developer would write by hand for this one tool: the same checks, the same log, no structure. */
function straightLine(): Subject {
  const validate = new Ajv2020({ strict: true }).compile(schema);
  const key = createSecretKey(randomBytes(32));
  const storage = new AsyncLocalStorage<{ id: string }>();
  const hosts = new Set(['api.stripe.com']);
  const starts: number[] = [];
  let firstStart = 0;
  const log = randomUUID();
  let lines: string[] = [];
  let seq = 0;
  let prev = '0'.repeat(64);
  let block = -1;
  let salts = Buffer.alloc(0);
  let spent = 0;
  let held = 0;
  let calls = 0;
  const cap = 9e15;
  const scratch = Buffer.allocUnsafe(65_536);

  const append = (kind: string, body: string): void => {
    const line = `{"v":1,"log":"${log}","seq":${seq},"ts":"${new Date().toISOString()}","kind":"${kind}"${body},"prev":"${prev}"}`;
    prev = hash('sha256', `\0${line}`);
    lines.push(line);
    if (lines.length > 100_000) lines = [];
    seq++;
  };

  const call = async (given: Input): Promise<number> => {
    const id = randomUUID();
    const canonical = stableStringify(given);
    const args = JSON.parse(canonical) as Input;
    if (!validate(args)) throw new Error('arguments');
    const target = new URL(url);
    if (target.protocol !== 'https:' || target.port !== '' || !hosts.has(target.hostname)) throw new Error('egress');
    const cost = Math.ceil(Number(`${args.cents}e7`));
    if (spent + held + cost > cap) throw new Error('budget');
    if (calls >= 1e12) throw new Error('calls');
    const now = performance.now();
    while (firstStart < starts.length && (starts[firstStart] as number) < now - 1000) firstStart++;
    if (firstStart > 4096) {
      starts.splice(0, firstStart);
      firstStart = 0;
    }
    if (starts.length - firstStart >= 1e9) throw new Error('rate');
    held += cost;
    calls++;
    starts.push(now);

    if (Math.floor(seq / 4) !== block) {
      block = Math.floor(seq / 4);
      salts = createHmac('sha512', key).update(`leash-salt/1\n${log}\n${block}`).digest();
    }
    salts.copy(scratch, 0, (seq % 4) * 16, (seq % 4) * 16 + 16);
    const length = 16 + scratch.write(canonical, 16, 'utf8');
    const commitment = hash('sha256', scratch.subarray(0, length));
    append(
      'tool_start',
      `,"call":"${id}","tool":"stripe.charge","args":"s1:${commitment}","usd":"${args.cents / 100}"`,
    );
    try {
      const result = await storage.run({ id }, () => tool(args));
      held -= cost;
      spent += cost;
      const us = Math.round((performance.now() - now) * 1000);
      append('tool_ok', `,"call":"${id}","tool":"stripe.charge","us":${us},"usd":"${args.cents / 100}"`);
      return result;
    } catch (error) {
      held -= cost;
      spent += cost;
      append('tool_error', `,"call":"${id}","tool":"stripe.charge","us":0,"error":"${(error as Error).name}"`);
      throw error;
    }
  };
  return {
    name: 'straight-line code by hand',
    async run(rounds) {
      spent = 0;
      // The log of a leash is gone with it, too.
      lines = [];
      for (let i = 0; i < rounds; i++) await call(input);
    },
  };
}

/** A call under one guard of each kind. */
function fiveGuards(audit: AuditOptions): {
  readonly leash: Leash;
  readonly call: (args: Input) => Promise<number>;
} {
  const leash = createLeash({
    guards: [
      budget({ usd: 9_000_000 }),
      callCap(1e12),
      rateLimit({ max: 1e9, per: '1s' }),
      egress({ allow: ['api.stripe.com'] }),
      jsonSchemaArgs(),
    ],
    audit,
  });
  const call = leash.wrap('stripe.charge', tool, {
    schema,
    cost: ({ cents }) => ({ usd: cents / 100 }),
    url: () => url,
  });
  return { leash, call };
}

export function fiveGuardCalls(name: string, sign: 'none' | 'checkpoint'): Subject {
  return {
    name,
    async run(rounds) {
      const { leash, call } = fiveGuards({ sink: memorySink(), sign });
      for (let i = 0; i < rounds; i++) await call(input);
      await leash.close();
    },
  };
}

/** The least that the same record needs: one plain hash and one line, nothing checked. */
function hashAndLog(): Subject {
  const lines: string[] = [];
  return {
    name: 'stringify, createHash, push (for scale)',
    async run(rounds) {
      for (let i = 0; i < rounds; i++) {
        const digest = createHash('sha256').update(stableStringify(input)).digest('hex');
        lines.push(`{"tool":"stripe.charge","args":"${digest}"}`);
        if (lines.length > 100_000) lines.length = 0;
        await tool(input);
      }
    },
  };
}

export const wholeCall: Group = {
  id: 'whole-call',
  title: 'Whole call: five guards, 198 bytes of arguments, memory store and sink',
  goal: { of: 'leash.wrap, five guards', ratio: 0.77 },
  note: 'Straight-line code does the same for this one tool alone: validate, canonicalise, hash, count, chain.',
  subjects: () => [
    straightLine(),
    fiveGuardCalls('leash.wrap, five guards', 'none'),
    fiveGuardCalls('the same with a signed log, as it is by default', 'checkpoint'),
    hashAndLog(),
  ],
};
