import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { LOG_KEY_VARIABLE, type LogKey, readLogKey } from '../../src/audit/log-key.ts';
import { checkOpening, matchesCommitment, openCommitment } from '../../src/audit/opening.ts';
import { call, openSession } from '../helpers/signed-session.ts';

let directory: string;
let file: string;
let files = 0;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'leashkit-log-key-'));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});
beforeEach(() => {
  file = join(directory, `key-${files++}`);
  vi.stubEnv(LOG_KEY_VARIABLE, undefined);
});
afterEach(() => {
  vi.unstubAllEnvs();
});

const KEY = Buffer.from('0123456789abcdef0123456789abcdef');
const BASE64 = KEY.toString('base64');

describe('readLogKey', () => {
  it('takes bytes, as they are at that moment', () => {
    const bytes = Uint8Array.from(KEY);
    const key = readLogKey('key', bytes);
    bytes.fill(0);
    expect(Buffer.from(key).equals(KEY)).toBe(true);
    expect(readLogKey('key', new Uint8Array(16))).toHaveLength(16);
    expect(Buffer.from(readLogKey('key', KEY.subarray(0, 20)))).toHaveLength(20);
  });

  it('makes the file of a new key, which only its owner can read', () => {
    const key = readLogKey('key', { file });
    expect(key).toHaveLength(32);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, 'utf8')).toBe(`${Buffer.from(key).toString('base64')}\n`);
    expect(Buffer.from(readLogKey('key', { file })).equals(Buffer.from(key))).toBe(true);
    expect(Buffer.from(readLogKey('key', { file: `${file}-2` })).equals(Buffer.from(key))).toBe(false);
  });

  it('reads a file that only its owner can read, and does not change it', () => {
    for (const text of [BASE64, `${BASE64}\n`]) {
      writeFileSync(file, text, { mode: 0o400 });
      expect(Buffer.from(readLogKey('key', { file })).equals(KEY)).toBe(true);
      expect(readFileSync(file, 'utf8')).toBe(text);
      rmSync(file);
    }
  });

  it.skipIf(!existsSync('/proc/self/fd'))('closes the file, also one that it refuses', () => {
    readLogKey('key', { file });
    chmodSync(file, 0o644);
    expect(() => readLogKey('key', { file })).toThrow(RangeError);
    const open = readdirSync('/proc/self/fd').filter((name) => {
      const link = `/proc/self/fd/${name}`;
      return existsSync(link) && readlinkSync(link) === file;
    });
    expect(open).toEqual([]);
  });

  it.each([0o640, 0o604, 0o660, 0o610, 0o601, 0o644])('refuses a file with mode %o', (mode) => {
    writeFileSync(file, BASE64);
    chmodSync(file, mode);
    expect(() => readLogKey('audit.key', { file })).toThrow(
      new RangeError('the file of `audit.key` can be read by others than its owner: set its mode to 0600'),
    );
  });

  it('waits for the key of a file that another process has just made', async () => {
    writeFileSync(file, '', { mode: 0o600 });
    const other = new Worker(
      `const { workerData } = require('node:worker_threads');
       setTimeout(() => require('node:fs').writeFileSync(workerData.file, workerData.text), 50);`,
      { eval: true, workerData: { file, text: `${BASE64}\n` } },
    );
    await once(other, 'online');
    expect(Buffer.from(readLogKey('key', { file })).equals(KEY)).toBe(true);
    await other.terminate();
  });

  it('takes that of the variable where no option gives one, and a random one without it', () => {
    const random = [readLogKey('key', undefined), readLogKey('key', undefined)] as const;
    expect(random.map(({ length }) => length)).toEqual([32, 32]);
    expect(Buffer.from(random[0]).equals(random[1])).toBe(false);
    vi.stubEnv(LOG_KEY_VARIABLE, BASE64);
    expect(Buffer.from(readLogKey('key', undefined)).equals(KEY)).toBe(true);
    expect(Buffer.from(readLogKey('key', new Uint8Array(16))).equals(new Uint8Array(16))).toBe(true);
    vi.stubEnv(LOG_KEY_VARIABLE, '');
    expect(Buffer.from(readLogKey('key', undefined)).equals(KEY)).toBe(false);
  });

  const SECRET = 'c2VjcmV0LXNlY3JldA';
  it.each<{ name: string; text: string }>([
    { name: 'no base64', text: `${SECRET}!` },
    { name: 'base64 without its padding', text: SECRET },
    { name: 'base64 for URLs', text: `${SECRET}-_-_-_-_-_-_-_-_-_` },
    { name: 'too short', text: Buffer.from('secret-secret').toString('base64') },
    { name: 'two lines', text: `${BASE64}\n${BASE64}` },
    { name: 'nothing', text: '' },
  ])('never shows a key that it refuses: $name', ({ text }) => {
    writeFileSync(file, text, { mode: 0o600 });
    const tries: (() => unknown)[] = [() => readLogKey('audit.key', { file })];
    if (text !== '') {
      tries.push(() => {
        vi.stubEnv(LOG_KEY_VARIABLE, text);
        return readLogKey('audit.key', undefined);
      });
    }
    for (const attempt of tries) {
      const error = errorOf(attempt);
      expect(error).toBeInstanceOf(RangeError);
      expect(error.message).toMatch(/`audit\.key`|LEASH_AUDIT_KEY/);
      if (text !== '') expect(error.message).not.toContain(text.slice(0, 8));
    }
  });

  it.each<{ name: string; key: unknown; error: typeof TypeError | typeof RangeError }>([
    { name: '15 bytes', key: new Uint8Array(15), error: RangeError },
    { name: 'no bytes', key: new Uint8Array(0), error: RangeError },
    { name: 'text', key: `${SECRET}${SECRET}`, error: TypeError },
    { name: 'an array', key: [...KEY], error: TypeError },
    { name: 'null', key: null, error: TypeError },
    { name: 'no file', key: {}, error: TypeError },
    { name: 'a file without a name', key: { file: '' }, error: TypeError },
    { name: 'a file that is a number', key: { file: 3 }, error: TypeError },
  ])('refuses $name', ({ key, error }) => {
    const thrown = errorOf(() => readLogKey('createLeash.audit.key', key as LogKey));
    expect(thrown).toBeInstanceOf(error);
    expect(thrown.message).toContain('`createLeash.audit.key`');
    expect(thrown.message).not.toContain(SECRET.slice(0, 8));
  });

  it('makes no file where there is no directory for it', () => {
    const nowhere = join(file, 'key');
    expect(errorOf(() => readLogKey('key', { file: nowhere }))).toMatchObject({ code: 'ENOENT' });
    expect(existsSync(nowhere)).toBe(false);
  });
});

describe('the log key of a session', () => {
  const lastStart = async (audit: Parameters<typeof openSession>[0]): Promise<Record<string, never>> => {
    const { sink, leash } = openSession(audit);
    await call(leash);
    await leash.close();
    return JSON.parse(sink.lines[1] as string);
  };

  it('of the variable opens its events', async () => {
    vi.stubEnv(LOG_KEY_VARIABLE, BASE64);
    const { log = '', seq = 0, args = '' } = await lastStart({});
    expect(checkOpening(openCommitment({ key: KEY, log, seq, args: { i: 0 } }), args)).toBe(true);
  });

  it('of a file opens its events', async () => {
    const { args = '' } = await lastStart({ key: { file }, args: 'h1' });
    expect(matchesCommitment({ i: 0 }, args, readLogKey('key', { file }))).toBe(true);
    expect(matchesCommitment({ i: 0 }, args, KEY)).toBe(false);
  });

  it('is in no line', async () => {
    for (const args of ['s1', 'h1'] as const) {
      const { sink, leash } = openSession({ key: KEY, args });
      await call(leash, 3);
      await leash.close();
      for (const way of ['base64', 'base64url', 'hex', 'utf8'] as const) {
        expect(sink.lines.join('\n')).not.toContain(KEY.toString(way).slice(0, 16));
      }
    }
  });
});

function errorOf(act: () => unknown): Error {
  try {
    act();
  } catch (error) {
    return error as Error;
  }
  return expect.fail('nothing was thrown');
}
