import { GENESIS, lineHash } from '../../src/audit/chain.ts';
import { checkpointFields, rootText, signCheckpoint } from '../../src/audit/checkpoint.ts';
import type { Key } from '../../src/audit/key.ts';
import { generateSessionKey } from '../../src/audit/keys.ts';
import { keyFields } from '../../src/audit/signing.ts';
import { merkleRoot } from '../../src/internal/merkle.ts';
import { SignedLog, textOf } from './signed-log.ts';

/** A closed log of 300 lines, with a key that was certified and changed, and checkpoints all along. */
export function longLog(root: Key): SignedLog {
  const log = new SignedLog({ root });
  const { lines } = log;
  for (let part = 1; lines.length < 280; part++) {
    while (lines.length < 35 * part) log.call(part % 3 === 0 ? 'é "tool"' : 'stripe.charge');
    log.charge().stop().checkpoint();
    if (part === 4) log.rotate();
  }
  while (lines.length < 298) log.charge();
  return log.close();
}

/** One way to change a closed log without its key. */
export interface Attack {
  readonly name: string;
  readonly change: (log: SignedLog) => string | Uint8Array;
  readonly code: string;
  /** The first bad line, from 1; by default the one after the line that was changed. */
  readonly line: number;
  /** Only who knows whom to trust can see it. */
  readonly needsTrust?: boolean;
}

/** The number, from 0, of a line in the middle: a `tool_ok` whose next line is no checkpoint. */
const MIDDLE = 111;
/** Of one with a character of two bytes. */
const WIDE = 100;

/** Writes the chain anew from this line on, as everybody can; checkpoints keep what they said but for what `resign` does. */
function rechained(
  lines: readonly string[],
  from: number,
  resign?: (line: string, before: readonly string[]) => string,
): string[] {
  const chained = lines.slice(0, from);
  for (const line of lines.slice(from)) {
    const seq = chained.length;
    const last = chained.at(-1);
    const prev = last === undefined ? GENESIS : lineHash(last);
    const next = line.replace(/"seq":\d+/, `"seq":${seq}`).replace(/"prev":"\w+"/, `"prev":"${prev}"`);
    chained.push(next.includes('"kind":"checkpoint"') ? (resign?.(next, chained) ?? next) : next);
  }
  return chained;
}

/** A checkpoint with the size and root that it should have, and the signature that it had, or one by this key. */
function sized(key?: Key): (line: string, before: readonly string[]) => string {
  return (line, before) => {
    const { log, sig, seq, prev } = JSON.parse(line) as { log: string; sig: string; seq: number; prev: string };
    const origin = (JSON.parse(before[0] as string) as { origin: string }).origin;
    const checkpoint = { origin, size: seq, root: rootText(merkleRoot(before.map(lineHash))) };
    const signature = key === undefined ? sig : signCheckpoint(key, checkpoint);
    return `{"v":1,"log":"${log}","seq":${seq}${checkpointFields(seq, checkpoint.root, signature)},"prev":"${prev}"}`;
  };
}

function edited(
  at: number,
  from: string | RegExp,
  to: string | ((found: string) => string),
): (log: SignedLog) => string {
  return ({ lines }) => {
    const line = lines.at(at) as string;
    const changed = typeof to === 'string' ? line.replace(from, to) : line.replace(from, to);
    if (changed === line) throw new Error(`nothing to change in ${line}`);
    return textOf(lines.with(at, changed));
  };
}

const nextCheckpoint = ({ lines }: SignedLog, after: number): number => {
  return lines.findIndex((line, i) => i > after && line.includes('"kind":"checkpoint"'));
};

const impostor = generateSessionKey();
const impostorId = '0c6d3b1f-9c11-4a0b-9f8d-0c6d3b1f9c11';

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** The letter after the one that the text starts with: the last of a base64 text has bits that no byte has. */
function nextLetter(text: string): string {
  return LETTERS[LETTERS.indexOf(text[0] as string) + 1] as string;
}

/** These bytes in the name of a tool. */
function spliced({ lines }: SignedLog, bytes: Uint8Array): Uint8Array {
  const before = Buffer.from(textOf(lines.slice(0, MIDDLE)));
  const text = Buffer.from(textOf(lines.slice(MIDDLE)));
  const at = text.indexOf('"tool":"') + 8;
  return Buffer.concat([before, text.subarray(0, at), bytes, text.subarray(at)]);
}

function reforged({ lines }: SignedLog, withCert: boolean): string {
  const own = lines.filter((line) => !line.includes('"kind":"key_rotated"'));
  const opened = (own[0] as string).replace(/,"key":"[^"]+","cert":"([^"]+)"/, (_, cert: string) => {
    return keyFields({ key: impostor.publicKey, cert: withCert ? cert : undefined });
  });
  return textOf(rechained([opened, ...own.slice(1)], 0, sized(impostor.privateKey)));
}

/** Every attack that shows in the file itself, or against whom one trusts. */
export function attacksOn(log: SignedLog): Attack[] {
  const count = log.lines.length;
  const line = (at: number): string => log.lines.at(at) as string;
  const checkpoint = nextCheckpoint(log, MIDDLE);
  const insert =
    (at: number, ...more: string[]) =>
    (): string =>
      textOf(log.lines.toSpliced(at, 0, ...more));
  const rotated = log.lines.find((one) => one.includes('"kind":"key_rotated"')) as string;
  const middle = MIDDLE + 1;
  const last = count;
  return [
    { name: 'a changed value', change: edited(MIDDLE, '"us":65', '"us":66'), code: 'E_CHAIN', line: middle + 1 },
    { name: 'a changed time', change: edited(MIDDLE, /(\d)Z"/, '9Z"'), code: 'E_CHAIN', line: middle + 1 },
    {
      name: 'a changed character of two bytes',
      change: edited(WIDE, 'é', 'è'),
      code: 'E_CHAIN',
      line: WIDE + 2,
    },
    { name: 'a changed first line', change: edited(0, '"enforce"', '"observe"'), code: 'E_CHAIN', line: 2 },
    { name: 'a changed session_close', change: edited(-2, '"denied":0', '"denied":1'), code: 'E_CHAIN', line: last },
    { name: 'a changed prev', change: edited(MIDDLE, /"prev":"./, '"prev":"x'), code: 'E_FORMAT', line: middle },
    {
      name: 'another prev',
      change: edited(MIDDLE, /"prev":"\w+"/, `"prev":"${GENESIS}"`),
      code: 'E_CHAIN',
      line: middle,
    },
    { name: 'another seq', change: edited(MIDDLE, `"seq":${MIDDLE}`, '"seq":7'), code: 'E_SEQ', line: middle },
    { name: 'the next seq', change: edited(MIDDLE, `"seq":${MIDDLE}`, `"seq":${middle}`), code: 'E_SEQ', line: middle },
    { name: 'another bracket at the end', change: edited(MIDDLE, '"}', '"]'), code: 'E_FORMAT', line: middle },
    { name: 'no bracket at the end', change: edited(MIDDLE, '"}', '" '), code: 'E_FORMAT', line: middle },
    {
      name: 'another signature in the middle',
      change: edited(checkpoint, /"sig":"[^"]+"/, `"sig":"${Buffer.alloc(64).toString('base64')}"`),
      code: 'E_SIG',
      line: checkpoint + 1,
    },
    {
      name: 'a second session_open',
      change: () => textOf(rechained(log.lines.toSpliced(MIDDLE, 0, line(0)), MIDDLE)),
      code: 'E_FORMAT',
      line: middle,
    },
    {
      name: 'another first line',
      change: () => textOf(rechained([line(MIDDLE), ...log.lines], 0)),
      code: 'E_FORMAT',
      line: 1,
    },
    {
      name: 'an event after the session_close',
      change: () => textOf(rechained(log.lines.toSpliced(-1, 0, line(MIDDLE)), count - 1)),
      code: 'E_AFTER_CLOSE',
      line: last,
    },
    {
      name: 'a line that is missing',
      change: () => textOf(log.lines.toSpliced(MIDDLE, 1)),
      code: 'E_SEQ',
      line: middle,
    },
    { name: 'the first line missing', change: () => textOf(log.lines.slice(1)), code: 'E_SEQ', line: 1 },
    {
      name: 'a checkpoint that is missing',
      change: () => textOf(log.lines.toSpliced(checkpoint, 1)),
      code: 'E_SEQ',
      line: checkpoint + 1,
    },
    {
      name: 'the session_close missing',
      change: () => textOf(log.lines.toSpliced(-2, 1)),
      code: 'E_SEQ',
      line: last - 1,
    },
    {
      name: 'two lines exchanged',
      change: () => textOf(log.lines.with(MIDDLE, line(middle)).with(middle, line(MIDDLE))),
      code: 'E_SEQ',
      line: middle,
    },
    { name: 'a line twice', change: insert(MIDDLE, line(MIDDLE)), code: 'E_SEQ', line: middle + 1 },
    { name: 'a line twice, at the end', change: insert(count, line(MIDDLE)), code: 'E_AFTER_CLOSE', line: last + 1 },
    { name: 'the last line twice', change: insert(count, line(-1)), code: 'E_AFTER_CLOSE', line: last + 1 },
    { name: 'the whole log twice', change: () => log.text + log.text, code: 'E_AFTER_CLOSE', line: last + 1 },
    {
      name: 'a line of its own between',
      change: insert(MIDDLE, line(MIDDLE).replace('"us":65', '"us":7')),
      code: 'E_SEQ',
      line: middle + 1,
    },
    {
      name: 'an event after the end',
      change: () => textOf(rechained([...log.lines, line(MIDDLE)], count)),
      code: 'E_AFTER_CLOSE',
      line: last + 1,
    },
    {
      name: 'another close',
      change: () => textOf(rechained([...log.lines, line(-2), line(-1)], count, sized())),
      code: 'E_AFTER_CLOSE',
      line: last + 1,
    },
    { name: 'text after the end', change: () => `${log.text}x\n`, code: 'E_FORMAT', line: last + 1 },
    {
      name: 'the chain written anew after a change',
      change: () => textOf(rechained(log.lines.with(MIDDLE, line(MIDDLE).replace('"us":65', '"us":66')), MIDDLE)),
      code: 'E_ROOT',
      line: checkpoint + 1,
    },
    {
      name: 'the chain written anew without a line',
      change: () => textOf(rechained(log.lines.toSpliced(MIDDLE, 1), MIDDLE)),
      code: 'E_ROOT',
      line: checkpoint,
    },
    {
      name: 'the chain and the roots written anew',
      change: () =>
        textOf(rechained(log.lines.with(MIDDLE, line(MIDDLE).replace('"us":65', '"us":66')), MIDDLE, sized())),
      code: 'E_SIG',
      line: checkpoint + 1,
    },
    {
      name: 'all that, signed by another key',
      change: () =>
        textOf(
          rechained(
            log.lines.with(MIDDLE, line(MIDDLE).replace('"us":65', '"us":66')),
            MIDDLE,
            sized(impostor.privateKey),
          ),
        ),
      code: 'E_SIG',
      line: checkpoint + 1,
    },
    {
      name: 'a key that nobody certified',
      change: () =>
        textOf(
          rechained(
            log.lines.toSpliced(MIDDLE, 0, rotated.replace(/"key":"[^"]+"/, `"key":"${impostor.publicKey}"`)),
            MIDDLE,
            sized(impostor.privateKey),
          ),
        ),
      code: 'E_CERT',
      line: middle,
    },
    {
      name: 'the whole log written anew with another key',
      change: () => reforged(log, false),
      code: 'E_CERT',
      line: 1,
      needsTrust: true,
    },
    {
      name: 'that, with the certificate of the first',
      change: () => reforged(log, true),
      code: 'E_CERT',
      line: 1,
      needsTrust: true,
    },
    {
      name: 'the log without its key',
      change: () =>
        textOf(
          rechained(
            [
              line(0).replace(/,"key":"[^"]+","cert":"[^"]+"/, ''),
              ...log.lines.slice(1).filter((one) => !/"kind":"(?:checkpoint|key_rotated)"/.test(one)),
            ],
            0,
          ),
        ),
      code: 'E_KEY',
      line: 1,
      needsTrust: true,
    },
    { name: 'the id of another log', change: () => log.text.replaceAll(log.id, impostorId), code: 'E_CERT', line: 1 },
    {
      name: 'the name of another log',
      change: () => textOf(rechained([line(0).replace(`/${log.id}`, `/${impostorId}`), ...log.lines.slice(1)], 0)),
      code: 'E_FOREIGN',
      line: 1,
    },
    { name: 'CR before every LF', change: () => log.text.replaceAll('\n', '\r\n'), code: 'E_FORMAT', line: 1 },
    { name: 'one CR', change: edited(MIDDLE, /$/, '\r'), code: 'E_FORMAT', line: middle },
    { name: 'a byte order mark', change: () => `\ufeff${log.text}`, code: 'E_FORMAT', line: 1 },
    { name: 'a blank line', change: insert(MIDDLE, ''), code: 'E_FORMAT', line: middle },
    { name: 'a blank line at the end', change: () => `${log.text}\n`, code: 'E_FORMAT', line: last + 1 },
    { name: 'a blank line at the start', change: () => `\n${log.text}`, code: 'E_FORMAT', line: 1 },
    { name: 'a space', change: edited(MIDDLE, '"us":65', '"us": 65'), code: 'E_FORMAT', line: middle },
    { name: 'a space at the end of a line', change: edited(MIDDLE, /$/, ' '), code: 'E_FORMAT', line: middle },
    { name: 'a NUL', change: edited(MIDDLE, /$/, '\0'), code: 'E_FORMAT', line: middle },
    { name: 'a doubled key', change: edited(MIDDLE, '"us":65', '"us":65,"us":65'), code: 'E_DUPKEY', line: middle },
    {
      name: 'a doubled key, written in another way',
      change: edited(MIDDLE, '"us":65', '"us":65,"\\u0075s":65'),
      code: 'E_DUPKEY',
      line: middle,
    },
    { name: '65.0 for 65', change: edited(MIDDLE, '"us":65', '"us":65.0'), code: 'E_FORMAT', line: middle },
    { name: '6.5e1 for 65', change: edited(MIDDLE, '"us":65', '"us":6.5e1'), code: 'E_FORMAT', line: middle },
    {
      name: 'an escape for a letter',
      change: edited(MIDDLE, '"tool_ok"', '"tool\\u005fok"'),
      code: 'E_FORMAT',
      line: middle,
    },
    { name: 'keys in another order', change: edited(MIDDLE, '"v":1,"log"', '"log"'), code: 'E_FORMAT', line: middle },
    { name: 'an unknown kind', change: edited(MIDDLE, '"tool_ok"', '"tool_oh"'), code: 'E_FORMAT', line: middle },
    { name: 'a byte that is no UTF-8', change: () => spliced(log, Buffer.of(0xff)), code: 'E_FORMAT', line: middle },
    {
      name: 'an overlong character',
      change: () => spliced(log, Buffer.of(0xc1, 0x81)),
      code: 'E_FORMAT',
      line: middle,
    },
    {
      name: 'a surrogate in UTF-8',
      change: () => spliced(log, Buffer.of(0xed, 0xa0, 0x80)),
      code: 'E_FORMAT',
      line: middle,
    },
    {
      name: 'another key in the last line',
      change: edited(-1, ',"prev"', ',"note":"x","prev"'),
      code: 'E_FORMAT',
      line: last,
    },
    {
      name: 'a doubled key in the last line',
      change: edited(-1, '"size":', '"size":1,"size":'),
      code: 'E_DUPKEY',
      line: last,
    },
    { name: 'a space in the last line', change: edited(-1, '"size":', '"size": '), code: 'E_FORMAT', line: last },
    {
      name: 'a fraction in the last line',
      change: edited(-1, /"size":(\d+)/, '"size":$1.0'),
      code: 'E_FORMAT',
      line: last,
    },
    {
      name: 'an escape in the last line',
      change: edited(-1, '"checkpoint"', '"\\u0063heckpoint"'),
      code: 'E_FORMAT',
      line: last,
    },
    {
      name: 'another size in the last line',
      change: edited(-1, /"size":(\d+)/, '"size":1'),
      code: 'E_ROOT',
      line: last,
    },
    {
      name: 'another root in the last line',
      change: edited(-1, /"root":"[^"]+"/, `"root":"${rootText(GENESIS)}"`),
      code: 'E_ROOT',
      line: last,
    },
    {
      name: 'another signature in the last line',
      change: edited(-1, /"sig":"[^"]+"/, `"sig":"${Buffer.alloc(64).toString('base64')}"`),
      code: 'E_SIG',
      line: last,
    },
    {
      name: 'the signature of another checkpoint',
      change: edited(-1, /"sig":"[^"]+"/, /"sig":"[^"]+"/.exec(line(checkpoint))?.[0] ?? ''),
      code: 'E_SIG',
      line: last,
    },
    {
      name: 'a second spelling of the last signature',
      change: edited(-1, /.=="/, (found) => `${nextLetter(found)}=="`),
      code: 'E_FORMAT',
      line: last,
    },
    {
      name: 'a second spelling of the last root',
      change: edited(-1, /.=",/, (found) => `${nextLetter(found)}=",`),
      code: 'E_FORMAT',
      line: last,
    },
    { name: 'the last signature without its padding', change: edited(-1, '=="', '"'), code: 'E_FORMAT', line: last },
  ];
}
