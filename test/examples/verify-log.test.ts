import { execFile, spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { rawPublicKey } from '../../src/audit/keys.ts';
import { verifyLog } from '../../src/audit/verify.ts';
import { attacksOn, longLog } from '../helpers/log-attacks.ts';
import { python, VERIFIER } from '../helpers/python.ts';
import { SignedLog, textOf } from '../helpers/signed-log.ts';

const directory = mkdtempSync(join(tmpdir(), 'leashkit-python-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Runs the script once for each file, in one process: starting Python takes longer than all the rest. */
const MANY = `
import contextlib, io, json, runpy, sys
for path, keys in json.load(sys.stdin):
    sys.argv, said = ["verify_log.py", path, *keys], io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            runpy.run_path(${JSON.stringify(VERIFIER)})
        print(json.dumps([0, said.getvalue().strip()]))
    except SystemExit as ended:
        print(json.dumps([1, str(ended.code)]))
`;

type Verdict = readonly [exitCode: number, said: string];

let files = 0;

function saved(file: string | Uint8Array): string {
  const path = join(directory, `${files++}.jsonl`);
  writeFileSync(path, file);
  return path;
}

async function verdicts(jobs: readonly { file: string | Uint8Array; keys?: readonly string[] }[]): Promise<Verdict[]> {
  const running = promisify(execFile)(python ?? '', ['-c', MANY], { maxBuffer: 1 << 26 });
  running.child.stdin?.end(JSON.stringify(jobs.map(({ file, keys = [] }) => [saved(file), keys])));
  const { stdout } = await running;
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Verdict);
}

async function verdict(file: string | Uint8Array, keys: readonly string[] = []): Promise<Verdict> {
  const [only] = await verdicts([{ file, keys }]);
  if (only === undefined) throw new Error('the script said nothing');
  return only;
}

const root = generateKeyPairSync('ed25519');
const trust = [rawPublicKey(root.publicKey).toString('base64')];

describe('the Python verifier', () => {
  it('has a Python with the cryptography package to run in, at least where all tests must run', () => {
    const { CI } = process.env;
    if (CI !== undefined) expect(python, 'no python3 with the package `cryptography`').toBeDefined();
  });

  it('has at most 60 lines, and checks nothing with assert, which python -O leaves out', () => {
    const text = readFileSync(VERIFIER, 'utf8');
    expect(text.trimEnd().split('\n').length).toBeLessThanOrEqual(60);
    expect(text).not.toMatch(/\bassert\b/);
  });
});

describe.skipIf(python === undefined)('examples/verify_log.py', () => {
  const log = longLog(root.privateKey);

  it('is a program: says what it found, and ends with 1 where something is wrong', async () => {
    const run = (file: string): ReturnType<typeof spawnSync> =>
      spawnSync(python ?? '', [VERIFIER, saved(file), ...trust], { encoding: 'utf8' });
    expect(run(log.text)).toMatchObject({ status: 0, stdout: 'closed 300 lines, 299 signed\n', stderr: '' });
    expect(run(log.text.replace('"us":65', '"us":66'))).toMatchObject({
      status: 1,
      stdout: '',
      stderr: 'line 4: E_CHAIN\n',
    });
  });

  it.each<{ name: string; file: () => string; said: string }>([
    { name: 'a closed log', file: () => log.text, said: 'closed 300 lines, 299 signed' },
    { name: 'an open one', file: () => new SignedLog().checkpoint().call().text, said: 'open 4 lines, 1 signed' },
    {
      name: 'one without a key',
      file: () => new SignedLog({ key: null }).call().close().text,
      said: 'closed 4 lines, 0 signed',
    },
    {
      name: 'several',
      file: () => log.text + new SignedLog().call('é').rotate().close().text,
      said: 'closed 306 lines, 304 signed',
    },
    { name: 'a torn tail', file: () => log.text.slice(0, -1), said: 'torn-tail 299 lines, 283 signed' },
    { name: 'nothing', file: () => '', said: 'open 0 lines, 0 signed' },
    {
      name: 'a torn line that is on record',
      file: () => `${new SignedLog().text}{"v":\n${new SignedLog().recovered('{"v":').close().text}`,
      said: 'open 5 lines, 3 signed',
    },
    {
      name: 'strings of every kind',
      file: () => new SignedLog().call('\u0000\u001f"\\/\u007f\u2028é😀').call('\u00001.5').close().text,
      said: 'closed 7 lines, 6 signed',
    },
    {
      name: 'arguments as they were',
      file: () =>
        new SignedLog()
          .event('charge', `,"x":{"raw":${JSON.stringify({ 1: 0.1, b: 1e-7, c: [1e21, null, true, -0.5] })}}`)
          .close().text,
      said: 'closed 4 lines, 3 signed',
    },
  ])('takes $name', async ({ file, said }) => {
    expect(await verdict(file())).toEqual([0, said]);
  });

  it('refuses every attack, at the line and with the code of the library', async () => {
    const attacks = attacksOn(log);
    const trusting = await verdicts(attacks.map(({ change }) => ({ file: change(log), keys: trust })));
    const said = attacks.map(({ name }, i) => `${name}: ${trusting[i]?.join(' ')}`);
    expect(said).toEqual(attacks.map(({ name, code, line }) => `${name}: 1 line ${line}: ${code}`));
    const alone = attacks.filter(({ needsTrust }) => needsTrust !== true);
    const plain = await verdicts(alone.map(({ change }) => ({ file: change(log) })));
    expect(plain.map(([exitCode]) => exitCode)).toEqual(alone.map(() => 1));
  });

  it('refuses any bit of a closed log changed, but for the last LF', async () => {
    const bytes = Buffer.from(new SignedLog({ root: root.privateKey }).charge().close().text);
    const flips = Array.from({ length: bytes.length * 8 }, (_, i) => i).filter(
      (i) => i % 11 === 0 || i >= (bytes.length - 1) * 8,
    );
    const found = await verdicts(
      flips.map((i) => {
        const file = Buffer.from(bytes);
        file[i >> 3] = (file[i >> 3] as number) ^ (1 << (i & 7));
        return { file };
      }),
    );
    const passed = flips.filter((_, i) => found[i]?.[0] === 0);
    expect(passed).toEqual(Array.from({ length: 8 }, (_, bit) => (bytes.length - 1) * 8 + bit));
    expect(found.slice(-8)).toEqual(Array.from({ length: 8 }, () => [0, expect.stringMatching(/^torn-tail /)]));
  });

  describe.each([
    { by: 'prior', naming: ({ id, prev }: SignedLog) => ({ prior: [{ log: id, size: 5, hash: prev }] }) },
    { by: 'parent', naming: ({ id, prev }: SignedLog) => ({ parent: { log: id, seq: 4, hash: prev } }) },
  ])('a line that another log names as $by', ({ naming }) => {
    const log = new SignedLog().calls(2);
    const first = [...log.lines];
    const { lines: second } = new SignedLog(naming(log)).calls(2);
    const more = log.charge().lines.slice(5);
    const cut = first.slice(0, 4);
    const other = first.with(4, (first[4] as string).replace('"us":65', '"us":66'));
    const forged = new SignedLog({ id: log.id }).calls(2).charge().lines;
    it.each<{ name: string; lines: readonly string[]; said: string }>([
      { name: 'stands before', lines: [...first, ...second], said: 'open 10 lines, 0 signed' },
      { name: 'comes later', lines: [...second, ...first], said: 'open 10 lines, 0 signed' },
      {
        name: 'comes in between',
        lines: [...cut, ...second, ...first.slice(4)],
        said: 'open 10 lines, 0 signed',
      },
      { name: 'is of a log that is elsewhere', lines: second, said: 'open 5 lines, 0 signed' },
      { name: 'was another before', lines: [...other, ...second], said: 'line 6: E_CHAIN' },
      { name: 'is another later', lines: [...second, ...other], said: 'line 10: E_CHAIN' },
      { name: 'was cut off before', lines: [...cut, ...second], said: 'line 10: E_TRUNCATED' },
      { name: 'is cut off later', lines: [...second, ...cut], said: 'line 10: E_TRUNCATED' },
      { name: 'stands before others', lines: [...first, ...more, ...second], said: 'open 11 lines, 0 signed' },
      { name: 'was another before others', lines: [...forged, ...second], said: 'line 7: E_CHAIN' },
    ])('$name: the library says the same', async ({ lines, said }) => {
      const file = textOf(lines);
      expect((await verdict(file))[1]).toBe(said);
      const { ok, state, events, code, firstBadLine, signedThrough } = await verifyLog(saved(file));
      expect(ok ? `${state} ${events} lines, ${signedThrough} signed` : `line ${firstBadLine}: ${code}`).toBe(said);
    });
  });

  const session = new SignedLog();
  const behind = new SignedLog().recovered('{"v":');
  const [opened = '', recovered = ''] = behind.lines;
  it.each<{ name: string; lines: readonly string[]; said: string }>([
    { name: 'is on record', lines: ['{"v":', opened, recovered], said: 'open 2 lines, 0 signed' },
    {
      name: 'is on record too late',
      lines: ['{"v":', ...new SignedLog().charge().recovered('{"v":').lines],
      said: '1',
    },
    { name: 'is on record behind another log', lines: ['{"v":', opened, ...session.lines, recovered], said: '1' },
    { name: 'is on record of a log that began before', lines: [opened, '{"v":', recovered], said: '2' },
    { name: 'stands before another log', lines: ['{"v":', ...session.lines, opened, recovered], said: '1' },
    { name: 'is blank', lines: ['', ...new SignedLog().recovered('').lines], said: '1' },
  ])('a torn line that $name: the library says the same', async ({ lines, said }) => {
    const file = textOf(lines);
    const expected = said.length === 1 ? `line ${said}: E_FORMAT` : said;
    const { ok, state, events, code, firstBadLine, signedThrough } = await verifyLog(saved(file));
    expect(ok ? `${state} ${events} lines, ${signedThrough} signed` : `line ${firstBadLine}: ${code}`).toBe(expected);
    expect((await verdict(file))[1]).toBe(expected);
  });

  it('refuses what no root that it is given certified, and roots that are weak', async () => {
    const other = rawPublicKey(generateKeyPairSync('ed25519').publicKey).toString('base64');
    expect(await verdict(log.text, [other])).toEqual([1, 'line 1: E_CERT']);
    expect(await verdict(log.text, [other, ...trust])).toEqual([0, 'closed 300 lines, 299 signed']);
    expect(await verdict(new SignedLog().text, trust)).toEqual([1, 'line 1: E_CERT']);
    expect(await verdict(new SignedLog({ key: null }).text, trust)).toEqual([1, 'line 1: E_KEY']);
  });

  it('refuses a session key of small order, and one that is not canonical', async () => {
    const vectors = JSON.parse(readFileSync(new URL('../vectors/ed25519.json', import.meta.url), 'utf8')) as {
      lowOrder: { key: string }[];
    };
    const jobs = vectors.lowOrder.map(({ key }) => {
      const first = new SignedLog({ key: null }).lines[0] as string;
      const text = Buffer.from(key, 'hex').toString('base64');
      return { file: textOf([first.replace(',"prev"', `,"key":"${text}","prev"`)]) };
    });
    expect(await verdicts(jobs)).toEqual(jobs.map(() => [1, 'line 1: E_KEY']));
  });
});
