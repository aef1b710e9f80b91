import {
  canonicalJson,
  frozenJson,
  NotJsonError,
  snapshotJson,
  thawedJson,
} from '../../../src/internal/canonical-json.ts';
import { encodeFrame, FrameReader } from '../../../src/isolated/frames.ts';
import { readMessage } from '../../../src/isolated/read-message.ts';
import { Broken, CANARY, need, outcomeOf, refusal, type Target, textOf } from '../target.ts';
import { valueFrom } from '../values.ts';

/** RFC 8785 as its text says it, and in no other way shared with what is tested. */
function jcs(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(jcs).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const names = Object.keys(value).sort((a, b) => (a < b ? -1 : 1));
  return `{${names.map((name) => `${JSON.stringify(name)}:${jcs((value as Record<string, unknown>)[name])}`).join(',')}}`;
}

function isPlain(json: unknown): boolean {
  if (typeof json === 'string') return json.isWellFormed();
  if (typeof json === 'number') return Number.isFinite(json) && !Object.is(json, -0);
  if (typeof json !== 'object' || json === null) return json === null || typeof json === 'boolean';
  const prototype = Object.getPrototypeOf(json);
  if (Array.isArray(json)) return prototype === Array.prototype && json.every(isPlain);
  return (
    prototype === Object.prototype && Object.entries(json).every(([key, item]) => key.isWellFormed() && isPlain(item))
  );
}

export const canonical: Target = {
  name: 'canonical-json',
  form: 'json',
  tokens: [
    '{"b":1,"a":2}',
    '{"\\u20ac":1,"\\r":2,"\\ufb33":3,"1":4,"\\ud83d\\ude00":5}',
    '[1e21,1e-7,0.1]',
    '"\\u2028"',
    '__proto__',
    'toJSON',
    '{"toJSON":1}',
    '[[[[[[[[[[]]]]]]]]]]',
  ],
  check: (input) => {
    const read = valueFrom(textOf(input));
    if (read === undefined) return 'no JSON';
    const { value } = read;
    try {
      const json = snapshotJson(value);
      need(isPlain(json), 'gives what is no plain JSON');
      const text = canonicalJson(json);
      need(text === jcs(json), 'is not the canonical text of RFC 8785');
      need(
        JSON.stringify(JSON.parse(text)) === JSON.stringify(JSON.parse(jcs(json))),
        'does not say what the value is',
      );
      const frozen = frozenJson(value);
      need(
        canonicalJson(frozen) === text && canonicalJson(thawedJson(frozen)) === text,
        'gives another text for a copy',
      );
      return `taken ${typeof json}`;
    } catch (error) {
      if (!(error instanceof NotJsonError)) throw error;
      need(!`${error.message} ${error.path}`.includes(CANARY), 'tells a part of the value');
      return error.rule;
    }
  },
};

export const workerMessage: Target = {
  name: 'worker-message',
  form: 'json',
  tokens: [
    'kind',
    'call',
    'request',
    'error',
    'names',
    'open',
    'bytes',
    'url',
    'method',
    'headers',
    'options',
    'body',
    'refused',
    'cause',
    '"returned"',
    '"thrown"',
    '"request"',
    '"piece"',
    '"broken"',
    '"pull"',
    '"loaded"',
    '"checked"',
    '"pieces"',
    '{"$":"bytes","is":"AAAA"}',
    '{"$":"holes","is":4000}',
    '{"name":"Error","message":"x"}',
    '{"redirect":"follow","mode":"cors","credentials":"omit","cache":"default","referrer":"","referrerPolicy":""}',
    '[["a","b"]]',
    '"abort"',
  ],
  check: (input) => {
    const read = valueFrom(textOf(input));
    if (read === undefined) return 'no JSON';
    if (/"\$":"(throws|function|symbol)"/.test(textOf(input))) return 'cannot be cloned';
    // What comes from a worker has come through structured cloning.
    const [sent] = [...new FrameReader().read(encodeFrame(read.value))];
    const message = outcomeOf(() => readMessage(sent), { kinds: [TypeError] });
    if (typeof message === 'string') return message;
    const again = readMessage(message.value);
    need(encodeFrame(again).equals(encodeFrame(message.value)), 'reads another message than it gave');
    const { kind } = message.value;
    if (kind === 'thrown' || kind === 'broken') {
      let depth = 0;
      for (let { error }: { error: { cause?: unknown } | undefined } = message.value; error !== undefined; depth++)
        error = error.cause as never;
      need(depth <= 20, 'keeps causes without end');
    }
    return kind;
  },
};

export const workerFrames: Target = {
  name: 'worker-frames',
  form: 'bytes',
  tokens: [
    '\u0000\u0000\u0000\u0001',
    '\u0000\u0000\u0000\u0000',
    '\u00ff\u000f',
    'o"\u0004kind',
    'I\u0002',
    'A\u0001',
    '\\',
    '"',
    '{',
    '$',
    '\u00ff\u00ff\u00ff\u00ff',
  ],
  check: (input) => {
    const all = framesOf([input]);
    const pieces: Buffer[] = [];
    for (let at = 0; at < input.length; at += 3) pieces.push(input.subarray(at, at + 3));
    const cut = framesOf(pieces);
    need(all.length === cut.length, 'reads other messages from the same bytes in pieces');
    return `${Math.min(all.length, 3)} ${String(all.at(-1)).slice(0, 20)}`;
  },
};

/** What the messages of these pieces are taken for; the last one is why there are no more. */
function framesOf(pieces: readonly Buffer[]): string[] {
  const reader = new FrameReader();
  const found: string[] = [];
  for (const piece of pieces) {
    try {
      for (const message of reader.read(Buffer.from(piece))) {
        const outcome = outcomeOf(() => readMessage(message), { kinds: [TypeError] });
        found.push(typeof outcome === 'string' ? outcome : outcome.value.kind);
      }
    } catch (error) {
      if (error instanceof Broken) throw error;
      found.push(
        refusal(error, { kinds: [Error, RangeError, TypeError, SyntaxError, EvalError, ReferenceError, URIError] }),
      );
      return found;
    }
  }
  return found;
}
