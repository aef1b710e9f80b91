import { createPrivateKey } from 'node:crypto';
import { statSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { parseNoteKey, rawPublicKey } from '../../src/audit/keys.ts';
import { readLogKey } from '../../src/audit/log-key.ts';
import { Bench } from './fixture.ts';

const bench = new Bench();
afterAll(() => bench.remove());

const modeOf = (file: string): number => statSync(bench.path(file)).mode & 0o777;

describe('leash keygen', () => {
  it('writes a root key for its owner alone, and prints the public half in both forms', async () => {
    const { code, out, err } = await bench.run(['keygen', 'root.pem', '--name', 'example.com/agents']);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const pem = bench.read('root.pem');
    const key = createPrivateKey(pem);
    expect(key.asymmetricKeyType).toBe('ed25519');
    const raw = rawPublicKey(key);
    const [, publicKey, noteKey] =
      /^root\.pem: a root key\. Keep it secret\.\npublic key: (\S+)\nnote key: {3}(\S+)\n$/.exec(out) ?? [];
    expect(publicKey).toBe(raw.toString('base64'));
    const parsed = parseNoteKey(noteKey ?? '');
    expect(parsed.name).toBe('example.com/agents');
    expect(rawPublicKey(parsed.key)).toEqual(raw);
    expect(out).not.toContain(pem.split('\n')[1]);
    if (process.platform !== 'win32') expect(modeOf('root.pem')).toBe(0o600);
  });

  it('tells programs the same', async () => {
    const { out } = await bench.run(['keygen', 'json.pem', '--json']);
    const raw = rawPublicKey(createPrivateKey(bench.read('json.pem')));
    expect(JSON.parse(out)).toEqual({
      file: 'json.pem',
      kind: 'root',
      publicKey: raw.toString('base64'),
      noteKey: expect.stringMatching(/^leash\.local\+[0-9a-f]{8}\+/),
    });
  });

  it('writes a log key that a session can read, and prints nothing of it', async () => {
    const { code, out } = await bench.run(['keygen', 'log.key', '--log-key']);
    expect(code).toBe(0);
    expect(readLogKey('key', { file: bench.path('log.key') })).toHaveLength(32);
    expect(out).not.toContain(bench.read('log.key').trim());
    if (process.platform !== 'win32') expect(modeOf('log.key')).toBe(0o600);
    const json = await bench.run(['keygen', 'other.key', '--log-key', '--json']);
    expect(JSON.parse(json.out)).toEqual({ file: 'other.key', kind: 'log-key' });
    expect(bench.read('other.key')).not.toBe(bench.read('log.key'));
  });

  it.each([{ args: [] }, { args: ['--log-key'] }])('overwrites nothing: $args', async ({ args }) => {
    bench.write('kept', 'precious');
    expect((await bench.run(['keygen', 'kept', ...args])).code).toBe(2);
    expect(bench.read('kept')).toBe('precious');
  });
});
