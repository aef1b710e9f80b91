import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GENESIS } from '../../src/audit/chain.ts';
import { hasDuplicateKey } from '../../src/audit/duplicate-key.ts';
import { type LogLine, PlainLines, parseLine } from '../../src/audit/line.ts';
import { snapshotJson } from '../../src/internal/canonical-json.ts';

const LOG = '0c6d3b1f-9c11-4a0b-9f8d-0c6d3b1f9c11';
const HASH = 'ab'.repeat(32);
const KEY = Buffer.alloc(32, 7).toString('base64');
const SIG = Buffer.alloc(64, 7).toString('base64');

/** A line of the format with these fields after its kind, written as JSON. */
function line(kind: string, fields: string, head = ''): string {
  const ts = kind === 'checkpoint' ? '' : '"ts":"2026-11-20T04:34:13.387Z",';
  const [before, after] = ['{"v":1,', `"log":"${LOG}","seq":5,${ts}"kind":"${kind}"${fields},"prev":"${GENESIS}"}`];
  return before + head + after;
}

/** One right line of every kind, with every key that it may have. */
const WHOLE: Readonly<Record<string, string>> = {
  session_open:
    `,"origin":"o/${LOG}","lib":"leashkit/0.1.0","agent":"a","session":"s","mode":"observe","hash":"s1","guards":"${HASH}"` +
    ',"egress":{"enforce":"scope","leash":"held","net":"refused","udp":"open","binding":"unheld"}' +
    `,"key":"${KEY}","cert":"${SIG}","parent":{"log":"${LOG}","seq":3,"hash":"${HASH}"}` +
    `,"prior":[{"log":"${LOG}","size":3,"hash":"${HASH}"}]`,
  tool_start: `,"call":"c","tool":"t","args":"s1:${HASH}","usd":"0.5","sat":"12","x":{"a":["b",{"c":-1}]}`,
  tool_ok: ',"call":"c","tool":"t","us":65,"usd":"0","sat":"0","overrun":1,"x":{}',
  tool_error: ',"call":"c","tool":"t","us":0,"error":"TypeError","usd":"0.000000001","sat":"0.001","overrun":1,"x":{}',
  tool_denied: `,"call":"c","tool":"t","args":"h1:${HASH}","guard":"g","code":"C","reason":"r","observed":1,"x":{}`,
  budget_denied:
    `,"call":"c","tool":"t","args":"sha256:${HASH}","guard":"g","code":"C","unit":"usd","cap":"5","requested":"6"` +
    ',"remaining":"-0.5","reason":"r","observed":1,"x":{}',
  egress_ok:
    ',"call":"c","tool":"t","scheme":"https","host":"h","port":443,"addr":"1.2.3.4","code":"C","reason":"r","observed":1,"x":{}',
  egress_denied:
    ',"call":"c","tool":"t","scheme":"https","host":"h","port":65535,"addr":"::1","code":"C","reason":"r","observed":1,"x":{}',
  charge: ',"call":"c","note":"n","usd":"1","sat":"1","x":{}',
  kill_switch: ',"reason":"r"',
  key_rotated: `,"key":"${KEY}","cert":"${SIG}"`,
  events_dropped: ',"count":1,"from":2,"to":3',
  log_recovered: `,"bytes":1,"sha256":"${HASH}"`,
  session_close: ',"reason":"r","calls":1,"denied":2,"usd":"3","sat":"4"',
  checkpoint: `,"size":5,"root":"${KEY}","sig":"${SIG}"`,
};

/** The table of the format. */
const LAYOUT: Readonly<Record<string, string>> = {
  session_open: 'origin lib agent session mode hash guards egress? key? cert? parent? prior?',
  tool_start: 'call tool args usd? sat? x?',
  tool_ok: 'call tool us usd? sat? overrun? x?',
  tool_error: 'call tool us error usd? sat? overrun? x?',
  tool_denied: 'call tool args? guard code reason? observed? x?',
  budget_denied: 'call tool args? guard code unit cap requested remaining reason observed? x?',
  egress_ok: 'call? tool? scheme host port addr? code? reason? observed? x?',
  egress_denied: 'call? tool? scheme host port addr? code? reason? observed? x?',
  charge: 'call? note? usd? sat? x?',
  kill_switch: 'reason',
  key_rotated: 'key cert',
  events_dropped: 'count from to',
  log_recovered: 'bytes sha256',
  session_close: 'reason calls denied usd? sat?',
  checkpoint: 'size root sig',
};

/** The keys between `kind` and `prev`. */
function fieldsOf(text: string): [string, unknown][] {
  return Object.entries(JSON.parse(text) as object).slice(text.includes('"ts"') ? 5 : 4, -1);
}

function textOf(fields: readonly (readonly [string, unknown])[]): string {
  return fields.map(([key, value]) => `,${JSON.stringify(key)}:${JSON.stringify(value)}`).join('');
}

function whole(kind: string): string {
  return WHOLE[kind] ?? '';
}

const kinds = Object.entries(WHOLE).map(([kind, fields]) => ({ kind, fields }));

describe('parseLine', () => {
  it.each(kinds)('reads $kind', ({ kind, fields }) => {
    const text = line(kind, fields);
    expect(parseLine(text)).toEqual(JSON.parse(text));
  });

  it.each(kinds)(
    'wants the keys of $kind in their order, each once, those that must be there, and no others',
    ({ kind, fields }) => {
      const whole = fieldsOf(line(kind, fields));
      const optional = whole.filter((_, i) => typeof parseLine(line(kind, textOf(whole.toSpliced(i, 1)))) !== 'string');
      const layout = whole.map(([key]) => key + (optional.some(([name]) => name === key) ? '?' : '')).join(' ');
      expect(layout).toBe(LAYOUT[kind]);
      for (const [i, field] of whole.entries()) {
        const twice = parseLine(line(kind, textOf(whole.toSpliced(i, 0, field))));
        expect(twice).toBe('E_DUPKEY');
        const other = whole[i + 1];
        if (other === undefined) continue;
        expect(parseLine(line(kind, textOf(whole.with(i, other).with(i + 1, field))))).toBe('E_FORMAT');
      }
      for (let i = 0; i <= whole.length; i++) {
        expect(parseLine(line(kind, textOf(whole.toSpliced(i, 0, ['more', 'x']))))).toBe('E_FORMAT');
        expect(parseLine(line(kind, textOf(whole.toSpliced(i, 0, ['__proto__', 'x']))))).toBe('E_FORMAT');
      }
    },
  );

  it.each(kinds)('wants every value of $kind to be of its kind', ({ kind, fields }) => {
    const whole = fieldsOf(line(kind, fields));
    for (const [i, [key, value]] of whole.entries()) {
      for (const wrong of [null, true, 0.5, -1, 2 ** 53, '\ud800', 'x'.repeat(257), [], [1], { a: 1 }, '', 7, '7']) {
        const same = JSON.stringify(wrong) === JSON.stringify(value);
        const text = line(kind, textOf(whole.with(i, [key, wrong])));
        const asText = typeof value === 'string' && ['', '7'].includes(wrong as string);
        const asCount = typeof value === 'number' && wrong === 7;
        const asRecord = key === 'x' && JSON.stringify(wrong).startsWith('{');
        const asList = key === 'prior' && JSON.stringify(wrong) === '[]';
        if (same || asText || asCount || asRecord || asList) continue;
        expect(parseLine(text), text).toBe('E_FORMAT');
      }
    }
  });

  it.each([
    ['{"enforce":"declared"}', true],
    ['{"enforce":"process","leash":"held"}', true],
    [
      `{"enforce":"scope",${'leash fetch ws http https net tls http2 udp lookup dns child worker unix binding'
        .split(' ')
        .map((key) => `"${key}":"held"`)
        .join(',')}}`,
      true,
    ],
    ['{}', false],
    ['{"leash":"held"}', false],
    ['{"leash":"held","enforce":"scope"}', false],
    ['{"enforce":"all"}', false],
    ['{"enforce":"held"}', false],
    ['{"enforce":["scope"]}', false],
    ['{"enforce":"scope","leash":"scope"}', false],
    ['{"enforce":"scope","leash":["held"]}', false],
    ['{"enforce":"scope","leash":1}', false],
    ['{"enforce":"scope","fetch":"held","leash":"held"}', false],
    ['{"enforce":"scope","quic":"held"}', false],
    ['{"enforce":"scope","__proto__":"held"}', false],
    ['["enforce","scope"]', false],
    ['"scope"', false],
    ['null', false],
  ])('takes of what is held %s: %s', (egress, right) => {
    const { session_open: fields = '' } = WHOLE as { session_open?: string };
    const text = line('session_open', fields.replace(/"egress":\{[^}]*\}/, `"egress":${egress}`));
    expect(typeof parseLine(text) !== 'string').toBe(right);
  });

  it('takes at most 64 earlier logs', () => {
    const { session_open: fields = '' } = WHOLE as { session_open?: string };
    const head = `{"log":"${LOG}","size":3,"hash":"${HASH}"}`;
    const with64 = (more: string) =>
      fields.replace(/"prior":\[.*\]/, `"prior":[${Array(64).fill(head).join(',')}${more}]`);
    expect(parseLine(line('session_open', with64('')))).not.toBe('E_FORMAT');
    expect(parseLine(line('session_open', with64(`,${head}`)))).toBe('E_FORMAT');
  });

  it('takes arguments as deep as a call may have them, and no deeper', () => {
    const nested = (depth: number): string =>
      `${'['.repeat(depth)}${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}${']'.repeat(depth)}`;
    const raw = (depth: number) => parseLine(line('charge', `,"x":{"raw":${nested(depth)}}`));
    expect(snapshotJson(JSON.parse(nested(256)))).toEqual(JSON.parse(nested(256)));
    expect(raw(256)).toMatchObject({ kind: 'charge' });
    expect(() => snapshotJson(JSON.parse(`[${nested(256)}]`))).toThrow('too_deep');
    expect(raw(257)).toBe('E_FORMAT');
    expect(parseLine(line('charge', `,"x":{"a":${nested(257)}}`))).toBe('E_FORMAT');
  });

  it('wants an earlier log to have a line', () => {
    const { session_open: fields = '' } = WHOLE as { session_open?: string };
    const { parent, prior } = JSON.parse(line('session_open', fields));
    expect([parent.seq, prior[0].size]).not.toContain(0);
    const zero = (text: string, key: string) =>
      text.replace(new RegExp(`("log":"[^"]+","${key}"):\\d+(?=,"hash")`), '$1:0');
    expect(parseLine(line('session_open', zero(fields, 'size')))).toBe('E_FORMAT');
    expect(parseLine(line('session_open', zero(fields, 'seq')))).toMatchObject({ parent: { seq: 0 } });
  });

  it.each([
    { name: 'a space', text: line('kill_switch', ',"reason": "r"') },
    { name: 'a space at the end', text: `${line('kill_switch', ',"reason":"r"')} ` },
    { name: 'a CR at the end', text: `${line('kill_switch', ',"reason":"r"')}\r` },
    { name: 'a byte order mark', text: `\ufeff${line('kill_switch', ',"reason":"r"')}` },
    { name: 'nothing', text: '' },
    { name: 'an array', text: '[]' },
    { name: 'null', text: 'null' },
    { name: 'no JSON', text: '{"v":1' },
    { name: 'a deep nest', text: line('charge', `,"x":{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`) },
    { name: 'an escape that is not needed', text: line('kill_switch', ',"reason":"\\u0072"') },
    { name: 'an escape in capitals', text: line('kill_switch', ',"reason":"\\u001F"') },
    { name: 'an escaped solidus', text: line('kill_switch', ',"reason":"\\/"') },
    { name: 'a control character as it is', text: line('kill_switch', ',"reason":"\u0001"') },
    { name: 'a lone surrogate', text: line('kill_switch', ',"reason":"\\ud800"') },
    { name: 'a number with a point', text: line('log_recovered', `,"bytes":65.0,"sha256":"${HASH}"`) },
    { name: 'a number with an exponent', text: line('log_recovered', `,"bytes":65e0,"sha256":"${HASH}"`) },
    { name: 'a negative zero', text: line('log_recovered', `,"bytes":-0,"sha256":"${HASH}"`) },
    {
      name: 'a number that none holds exactly',
      text: line('log_recovered', `,"bytes":9007199254740993,"sha256":"${HASH}"`),
    },
    { name: 'true for 1', text: line('kill_switch', ',"reason":"r"').replace('"v":1', '"v":true') },
    { name: 'another version', text: line('kill_switch', ',"reason":"r"').replace('"v":1', '"v":2') },
    { name: 'an unknown kind', text: line('tool_done', '') },
    { name: 'a kind without keys yet', text: line('policy_changed', '') },
    { name: 'a kind that every object has', text: line('constructor', '') },
    { name: 'no kind', text: line('kill_switch', ',"reason":"r"').replace('"kind"', '"kin"') },
    {
      name: 'a checkpoint with a time',
      text: line('checkpoint', whole('checkpoint')).replace('"kind"', '"ts":"2026-11-20T04:34:13.387Z","kind"'),
    },
    {
      name: 'an event without one',
      text: line('kill_switch', ',"reason":"r"').replace('"ts":"2026-11-20T04:34:13.387Z",', ''),
    },
    { name: 'a log that is no UUID', text: line('kill_switch', ',"reason":"r"').replace(LOG, LOG.toUpperCase()) },
    { name: 'a prev in capitals', text: line('kill_switch', ',"reason":"r"').replace(GENESIS, 'A'.repeat(64)) },
    { name: 'a day that is none', text: line('kill_switch', ',"reason":"r"').replace('11-20T', '11-31T') },
    {
      name: 'the 29th of a February with 28 days',
      text: line('kill_switch', ',"reason":"r"').replace('11-20T', '02-29T'),
    },
    { name: 'an hour that is none', text: line('kill_switch', ',"reason":"r"').replace('T04', 'T24') },
    { name: 'a second that is none', text: line('kill_switch', ',"reason":"r"').replace(':13.', ':60.') },
    { name: 'a time without milliseconds', text: line('kill_switch', ',"reason":"r"').replace('.387', '') },
    { name: 'a time of another zone', text: line('kill_switch', ',"reason":"r"').replace('387Z', '387+00:00') },
    { name: 'money with a zero at its end', text: line('charge', ',"usd":"0.50"') },
    { name: 'money with a zero at its front', text: line('charge', ',"usd":"00.5"') },
    { name: 'money with a point alone', text: line('charge', ',"usd":"5."') },
    { name: 'money of 257 digits', text: line('charge', `,"usd":"1${'0'.repeat(256)}"`) },
    { name: 'money that is negative', text: line('charge', ',"usd":"-5"') },
    { name: 'money with an exponent', text: line('charge', ',"usd":"5e3"') },
    { name: 'a port that is none', text: line('egress_ok', ',"scheme":"s","host":"h","port":65536') },
    { name: 'another way to hash', text: line('tool_start', `,"call":"c","tool":"t","args":"md5:${HASH}"`) },
    { name: 'a short hash', text: line('tool_start', `,"call":"c","tool":"t","args":"s1:${HASH.slice(1)}"`) },
    {
      name: 'a key with bits that no byte has',
      text: line('key_rotated', `,"key":"${KEY.slice(0, 42)}d=","cert":"${SIG}"`),
    },
    {
      name: 'a signature with bits that no byte has',
      text: line('key_rotated', `,"key":"${KEY}","cert":"${SIG.slice(0, 85)}x=="`),
    },
    {
      name: 'a parent with more to say',
      text: line('session_open', whole('session_open').replace('"seq":3', '"seq":3,"x":1')),
    },
    {
      name: 'a parent in another order',
      text: line('session_open', whole('session_open').replace(`"log":"${LOG}","seq":3`, `"seq":3,"log":"${LOG}"`)),
    },
    ...[
      ['log', '"x"'],
      ['seq', '-1'],
      ['hash', '"x"'],
      ['hash', `["${HASH}"]`],
    ].flatMap(([key = '', value = '']) => {
      const right: Record<string, string> = { log: `"${LOG}"`, seq: '3', hash: `"${HASH}"` };
      const wrong = { ...right, [key]: value };
      const parent = `"parent":{"log":${wrong['log']},"seq":${wrong['seq']},"hash":${wrong['hash']}}`;
      const head = `{"log":${wrong['log']},"size":${wrong['seq']},"hash":${wrong['hash']}}`;
      const one = `{"log":"${LOG}","size":3,"hash":"${HASH}"}`;
      const open = whole('session_open');
      return [
        {
          name: `${value} for the ${key} of a parent`,
          text: line('session_open', open.replace(/"parent":\{[^}]*\}/, parent)),
        },
        {
          name: `${value} for the ${key === 'seq' ? 'size' : key} of a second earlier log`,
          text: line('session_open', open.replace(/"prior":\[.*\]/, `"prior":[${one},${head}]`)),
        },
      ];
    }),
    { name: 'a time in a list', text: line('kill_switch', ',"reason":"r"').replace(/"ts":("[^"]*")/, '"ts":[$1]') },
    { name: 'something in front of the time', text: line('kill_switch', ',"reason":"r"').replace('"2026', '"x2026') },
    { name: 'something behind the time', text: line('kill_switch', ',"reason":"r"').replace('387Z', '387Zx') },
    { name: 'the day before the first', text: line('kill_switch', ',"reason":"r"').replace('11-20T', '11-00T') },
    { name: 'a key behind prev', text: line('kill_switch', ',"reason":"r"').replace(/\}$/, ',"more":1}') },
    { name: 'a true in x', text: line('charge', ',"x":{"a":true}') },
    { name: 'a fraction in x', text: line('charge', ',"x":{"a":[0.5]}') },
    { name: 'a long text in x', text: line('charge', `,"x":{"a":"${'x'.repeat(257)}"}`) },
    { name: 'a lone surrogate in a key of x', text: line('charge', ',"x":{"\\ud800":1}') },
  ])('refuses $name', ({ text }) => {
    expect(parseLine(text)).toBe('E_FORMAT');
  });

  it.each([
    { name: 'escapes and wide characters', fields: ',"reason":"\\n\\u001f\\"\\\\é€😀\u2028\u007f"' },
    { name: 'a text of 256 characters', fields: `,"reason":"${'😀'.repeat(128)}"` },
    { name: 'no text', fields: ',"reason":""' },
  ])('reads $name', ({ fields }) => {
    expect(typeof parseLine(line('kill_switch', fields))).toBe('object');
  });

  it('reads the arguments themselves in x.raw, whatever they are', () => {
    const raw = JSON.stringify({ a: 0.5, b: [true, null, 'x'.repeat(1000)], c: 1e-7, d: 'é' });
    expect(typeof parseLine(line('charge', `,"x":{"raw":${raw}}`))).toBe('object');
    expect(parseLine(line('charge', ',"x":{"raw":"\\ud800"}'))).toBe('E_FORMAT');
    expect(parseLine(line('charge', ',"x":{"raw":{"a":5.0}}'))).toBe('E_FORMAT');
  });

  it.each(['11-01T', '11-09T', '01-31T', '12-10T'])('reads a time of %s', (day) => {
    const text = line('kill_switch', ',"reason":"r"').replace('11-20T', day);
    expect(typeof parseLine(text)).toBe('object');
  });

  it('reads numbers as large as they may be', () => {
    const text = line('tool_ok', `,"call":"c","tool":"t","us":${Number.MAX_SAFE_INTEGER}`);
    expect(parseLine(text)).toMatchObject({ us: Number.MAX_SAFE_INTEGER });
  });

  it('reads a leap day', () => {
    const text = line('kill_switch', ',"reason":"r"').replace('2026-11-20T', '2028-02-29T');
    expect(typeof parseLine(text)).toBe('object');
  });
});

describe('hasDuplicateKey', () => {
  it.each([
    { json: '{"a":1,"a":1}', has: true },
    { json: '{"a":1,"\\u0061":1}', has: true },
    { json: '{"x":{"a":1,"b":{},"a":1}}', has: true },
    { json: '{"x":[{"a":1},{"a":1}]}', has: false },
    { json: '{"a":{"a":{"a":1}}}', has: false },
    { json: '{"a":"a","b":"\\"a\\":1,\\"a\\""}', has: false },
    { json: '{"a":{},"a":[]}', has: true },
    { json: '[["a","a"],{"":1,"":2}]', has: true },
    { json: '{"__proto__":1,"__proto__":2}', has: true },
    { json: '{"a" : 1 , "a" : 2}', has: true },
  ])('says $has of $json', ({ json, has }) => {
    expect(hasDuplicateKey(json)).toBe(has);
  });

  it('sees in any JSON what reading and writing loses', () => {
    fc.assert(
      fc.property(fc.json(), (json) => {
        expect(hasDuplicateKey(json)).toBe(false);
        expect(hasDuplicateKey(`{"a":${json},"b":[{"a":${json},"a":${json}}]}`)).toBe(true);
      }),
    );
  });
});

/** What `PlainLines` says of a line that stands in the middle of others. */
function matches(mode: string, text: string): boolean {
  const around = `x\n${text}\nx`;
  // Where `seq` ends, as the log has it; what else stands before the time is in the way.
  const [head = ''] = /^.*?,"seq":[0-9]+/.exec(text) ?? [];
  const start = 2 + head.length;
  return new PlainLines(mode).matches(around, start, 2 + text.length - 66);
}

function modeOf(text: string): string {
  return /"(s1|h1|sha256):/.exec(text)?.[1] ?? 's1';
}

describe('PlainLines', () => {
  const plain = kinds.filter(({ kind }) => /^(?:tool|budget|egress|charge)/.test(kind));

  it.each(plain)('knows $kind, with and without what may be absent', ({ kind, fields }) => {
    const whole = fieldsOf(line(kind, fields)).filter(([key]) => key !== 'x');
    const port = whole.map(([key, value]) => [key, key === 'port' ? 443 : value] as const);
    const texts = [port, ...port.map((_, i) => port.toSpliced(i, 1))].map((some) => line(kind, textOf(some)));
    for (const text of texts) expect(matches(modeOf(text), text)).toBe(typeof parseLine(text) !== 'string');
  });

  it.each(kinds.filter(({ kind }) => !plain.some((one) => one.kind === kind)))(
    'leaves $kind to others',
    ({ kind, fields }) => {
      expect(matches('s1', line(kind, fields))).toBe(false);
    },
  );

  it('leaves a log that hashes in another way to others', () => {
    const text = line('tool_start', `,"call":"c","tool":"t","args":"s1:${HASH}"`);
    expect(matches('s1', text)).toBe(true);
    expect(matches('h1', text)).toBe(false);
  });

  it('knows a text of 256 characters, and none of more', () => {
    for (const [length, knows] of [
      [256, true],
      [257, false],
    ] as const) {
      const text = line('charge', `,"note":"${'x'.repeat(length)}"`);
      expect(matches('s1', text)).toBe(knows);
      expect(typeof parseLine(text) !== 'string').toBe(knows);
    }
  });

  it.each([
    {
      name: 'a port',
      known: ',"scheme":"s","host":"h","port":9999',
      kind: 'egress_ok',
      text: ',"scheme":"s","host":"h","port":65536',
    },
    {
      name: 'a number',
      known: ',"call":"c","tool":"t","us":999999999999999',
      kind: 'tool_ok',
      text: ',"call":"c","tool":"t","us":9007199254740993',
    },
  ])('knows no $name that is too large', ({ known, kind, text }) => {
    expect(matches('s1', line(kind, known))).toBe(true);
    expect(parseLine(line(kind, text))).toBe('E_FORMAT');
    expect(matches('s1', line(kind, text))).toBe(false);
  });

  it('remembers a day without taking another for it', () => {
    const lines = new PlainLines('s1');
    for (const [day, is] of [
      ['11-30', true],
      ['11-31', false],
      ['11-30', true],
      ['02-29', false],
      ['02-28', true],
    ] as const) {
      const text = line('charge', ',"note":"n"').replace('11-20T', `${day}T`);
      expect(lines.matches(text, text.indexOf(',"ts"'), text.length - 66)).toBe(is);
    }
  });

  it.each(['-026-11-20T04:34:13.', '-'.repeat(20), '-not-a-time-at-all--', ' '.repeat(20)])(
    'does not take %j for a second, also as the first that it sees',
    (second) => {
      const text = line('charge', ',"usd":"1"').replace('2026-11-20T04:34:13.', second);
      expect(parseLine(text)).toBe('E_FORMAT');
      expect(matches('sha256', text)).toBe(false);
    },
  );

  it.each([
    { name: 'another key of the time', text: line('charge', ',"note":"n"').replace(',"ts":', ',"tz":') },
    { name: 'x that is a text', text: line('charge', ',"note":"n","x":"a"') },
  ])('does not know $name', ({ text }) => {
    expect(parseLine(text)).toBe('E_FORMAT');
    expect(new PlainLines('s1').matches(text, text.indexOf(',"t'), text.length - 66)).toBe(false);
  });

  it('does not look behind what stands between `seq` and the time', () => {
    const text = line('charge', ',"note":"n"').replace(',"ts"', ',"usd":"1","ts"');
    expect(parseLine(text)).toBe('E_FORMAT');
    expect(matches('s1', text)).toBe(false);
  });

  it('never knows a line that the whole parser refuses', () => {
    const piece = fc.constantFrom(
      '"',
      ',',
      ':',
      '{',
      '}',
      '0',
      '1',
      '9',
      '.',
      '-',
      'a',
      'Z',
      '\\',
      '\n',
      ' ',
      '\u0001',
      'é',
      '"x":1',
      ',"usd":"1"',
      ',"observed":1',
      '65.0',
      '00',
      'tool_ok',
    );
    const text = fc
      .constantFrom(...plain)
      .map(({ kind, fields }) => line(kind, textOf(fieldsOf(line(kind, fields)).filter(([key]) => key !== 'x'))));
    const edit = fc.record({ at: fc.nat(), remove: fc.nat({ max: 12 }), insert: fc.oneof(piece, fc.constant('')) });
    let known = 0;
    fc.assert(
      fc.property(text, fc.array(edit, { maxLength: 2 }), (whole, edits) => {
        let text = whole;
        for (const { at, remove, insert } of edits) {
          const place = at % text.length;
          text = text.slice(0, place) + insert + text.slice(place + remove);
        }
        const parsed: LogLine | string = parseLine(text);
        // The head and the tail are for the log to compare.
        const framed =
          text.startsWith(whole.slice(0, whole.indexOf('ts"'))) &&
          text.endsWith(whole.slice(-66)) &&
          text.includes(',"ts"');
        if (!framed || !matches(modeOf(text), text)) return;
        known++;
        expect(typeof parsed, text).toBe('object');
      }),
      { numRuns: 20_000 },
    );
    expect(known).toBeGreaterThan(2_000);
  });
});
