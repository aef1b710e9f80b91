import { createPost } from '../../../src/audit/webhook-post.ts';
import { findLeashError } from '../../../src/errors.ts';
import { budget } from '../../../src/guards/budget.ts';
import { callCap } from '../../../src/guards/call-cap.ts';
import { createLeash } from '../../../src/leash.ts';
import { postgresStore } from '../../../src/stores/postgres.ts';
import { redisStore } from '../../../src/stores/redis.ts';
import type { Store } from '../../../src/stores/store.ts';
import { need, type Target, textOf } from '../target.ts';
import { valueFrom } from '../values.ts';

/** What a session may say when its store talks nonsense. */
const REFUSALS: readonly string[] = [
  'STORE_UNAVAILABLE',
  'STATE_LOST',
  'BUDGET_EXCEEDED',
  'CALL_CAP_REACHED',
  'CONFLICT',
  'SESSION_CLOSED',
  'SESSION_STOPPED',
  'SESSION_BREACHED',
];
const TIMEOUT_MS = 1_000;

/** A session on a store that answers with these, one after the other: it admits or refuses, and ends. */
async function sessionOn(store: Store): Promise<string> {
  const leash = createLeash({
    guards: [budget({ usd: 1 }), callCap({ max: 2 })],
    store,
    storeTimeoutMs: TIMEOUT_MS,
    stopOn: 'none',
  });
  const words: string[] = [];
  const attempt = async (action: () => unknown): Promise<void> => {
    try {
      await action();
      words.push('ok');
    } catch (error) {
      const code = findLeashError(error)?.code;
      if (code === undefined) throw error;
      need(REFUSALS.includes(code), `refuses with ${code}`);
      words.push(code);
    }
  };
  await attempt(() => leash.run({ tool: 'pay', cost: { usd: 0.5 } }, () => 'paid'));
  await attempt(() => leash.charge({ usd: 0.25 }));
  await attempt(async () => (await leash.hold({ usd: 0.25 })).settle({ usd: 0.1 }));
  await attempt(() => leash.run({ tool: 'pay', cost: { usd: 1 } }, () => 'paid'));
  const { limits, calls } = await leash.usage();
  for (const { remaining } of limits) need(Number.isFinite(Number(remaining)), 'tells a remainder that is no number');
  need(
    calls === words.filter((word, i) => word === 'ok' && (i === 0 || i === 3)).length,
    'counts other calls than it has admitted',
  );
  await attempt(() => leash.close());
  return words.join(' ');
}

/** Answers one after the other; when there are no more, from the first again. */
function answersOf(input: Buffer): (() => unknown) | undefined {
  const read = valueFrom(textOf(input));
  if (!Array.isArray(read?.value) || read.value.length === 0) return undefined;
  const answers: readonly unknown[] = read.value;
  let next = 0;
  return () => answers[next++ % answers.length];
}

/** What is thrown by an answer that throws is thrown where the store reads it. */
const STORE_WORDS = [
  'ok',
  'repeat',
  'left',
  'why',
  'line',
  'nowMs',
  'state',
  'first',
  'overrun',
  '"settled"',
  '"void"',
  '"held"',
  '"forfeited"',
  '"unknown"',
  '"stale"',
  '"stopped"',
  '"state_lost"',
  '[{"ok":true,"left":[1,1]}]',
  '[{"state":"settled","first":true,"overrun":[]}]',
  '{"used":0,"held":0}',
  '1795176000000',
  '[2,0,5]',
];

export const storeAnswers: Target = {
  name: 'store-answers',
  form: 'json',
  tokens: STORE_WORDS,
  check: async (input) => {
    const answer = answersOf(input);
    if (answer === undefined) return 'no list';
    const answers = async (): Promise<never> => answer() as never;
    return sessionOn({
      // Its own scopes: a store that opens none has nothing more to say.
      open: async (scopes) => Object.fromEntries(scopes.map((scope) => [scope, 'generation'])),
      reserve: answers,
      settle: answers,
      read: answers,
      sweep: answers,
      shut: answers,
      stop: answers,
      resume: answers,
    });
  },
};

export const redisReplies: Target = {
  name: 'redis-replies',
  form: 'json',
  tokens: [
    '["opened","g","g"]',
    '[0,5,5]',
    '[1,5,5]',
    '[4,0,5,1000]',
    '[7,0]',
    '["ok",[1,"usd/session",0,0]]',
    '[3,1,0]',
    '[9007199254740993]',
    '["evicts"]',
    '[["a"]]',
    '1.5',
    '"1"',
    '{"$":"bigint","is":"1"}',
  ],
  check: async (input) => {
    const answer = answersOf(input);
    if (answer === undefined) return 'no list';
    const answers = async (_: string, __: string[], [what, , , , ...scopes]: string[]): Promise<unknown> =>
      // Without scopes a session has nothing more to say.
      what === 'open' ? ['opened', ...scopes.filter((___, i) => i % 2 === 1)] : answer();
    return sessionOn(redisStore({ client: { evalsha: answers, eval: answers }, timeoutMs: TIMEOUT_MS }));
  },
};

function isRow(answer: unknown): boolean {
  return typeof answer === 'object' && answer !== null && 'answer' in answer;
}

export const postgresReplies: Target = {
  name: 'postgres-replies',
  form: 'json',
  tokens: [
    ...STORE_WORDS,
    '{"version":"1"}',
    '{"answer":"[]"}',
    '{"answer":null}',
    '{"rows":[]}',
    '{"answer":"[{\\"ok\\":true,\\"left\\":[1,1]}]"}',
    '{"answer":"[{\\"state\\":\\"settled\\",\\"first\\":true}]"}',
    '{"answer":"{}"}',
  ],
  check: async (input) => {
    const answer = answersOf(input);
    if (answer === undefined) return 'no list';
    const client = {
      query: async (text: string, [question, request = '']: readonly string[]) => {
        if (text.startsWith('SELECT')) return { rows: [{ version: '1' }] };
        // Without scopes a session has nothing more to say.
        if (question === 'open') {
          const { scopes } = JSON.parse(request) as { scopes: readonly string[] };
          return {
            rows: [{ answer: JSON.stringify(Object.fromEntries(scopes.map((scope) => [scope, 'generation']))) }],
          };
        }
        const row = answer();
        return { rows: [isRow(row) ? row : { answer: JSON.stringify(row) }] };
      },
    };
    return sessionOn(postgresStore({ client, timeoutMs: TIMEOUT_MS }));
  },
};

export const webhook: Target = {
  name: 'webhook',
  form: 'json',
  tokens: [
    'status',
    'retryAfter',
    '200',
    '299',
    '429',
    '503',
    '"120"',
    '"999999"',
    '"1e9"',
    '"-1"',
    '"Wed, 21 Oct 2026 07:28:00 GMT"',
    '" 5"',
  ],
  check: async (input) => {
    const answer = answersOf(input);
    if (answer === undefined) return 'no list';
    const pauses: number[] = [];
    const post = createPost({
      url: 'http://127.0.0.1/',
      headers: {},
      retries: 3,
      timeoutMs: 1,
      fetch: async () => {
        const { status, retryAfter } = (answer() ?? {}) as { status?: unknown; retryAfter?: unknown };
        return {
          status: typeof status === 'number' ? status : 500,
          headers: { get: () => (typeof retryAfter === 'string' ? retryAfter : null) },
        };
      },
      schedule: (ms, done) => {
        if (ms !== 1) pauses.push(ms);
        if (ms !== 1) done();
        return () => undefined;
      },
      random: () => 0.5,
    });
    let end = 'accepted';
    try {
      await post('key', 'body');
    } catch (error) {
      end = String((error as { code?: string }).code);
      need(['WEBHOOK_REFUSED', 'WEBHOOK_GIVEN_UP'].includes(end), `fails with ${end}`);
    }
    need(
      pauses.every((ms) => Number.isInteger(ms) && ms >= 0 && ms <= 30_000),
      'pauses for longer than it says',
    );
    return `${end} ${pauses.length}`;
  },
};
