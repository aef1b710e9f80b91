import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { egress } from '../../../src/guards/egress.ts';
import { isolated } from '../../../src/isolated/index.ts';
import { createLeash } from '../../../src/leash.ts';
import type { Leash } from '../../../src/leash-contract.ts';
import { rejection } from '../../helpers/refused.ts';
import type * as Bare from './modules/bare.ts';
import type * as Fetches from './modules/fetches.ts';
import type * as Imports from './modules/imports.ts';
import type * as Tools from './modules/tools.ts';
import { isGone } from './processes.ts';

const moduleAt = (name: string): URL => new URL(`./modules/${name}.ts`, import.meta.url);
const open = (): Leash => createLeash({ guards: [egress({ allow: [] })] });

const folder = mkdtempSync(join(tmpdir(), 'leashkit-isolated-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('isolated', () => {
  it('takes the path of a module, and one that exports no function', async () => {
    await using leash = open();
    const worker = await isolated<typeof Bare>(fileURLToPath(moduleAt('bare')), { leash });
    expect(Object.keys(worker.exports)).toEqual([]);
  });

  it('takes a module of CommonJS', async () => {
    const file = join(folder, 'common.cjs');
    writeFileSync(file, 'exports.twice = (n) => 2 * n; exports.exported = true;');
    await using leash = open();
    const worker = await isolated<{ twice(n: number): number }>(file, { leash });
    expect(await worker.exports.twice(4)).toBe(8);
  });

  it('takes a link to a module', async () => {
    const link = join(folder, 'link.ts');
    symlinkSync(fileURLToPath(moduleAt('tools')), link);
    await using leash = open();
    const worker = await isolated<typeof Tools>(link, { leash });
    expect(await worker.exports.count(1)).toBe(1);
  });

  it.each([
    { name: 'throws', message: 'isolated() could not load the module: it does not want to' },
    { name: 'never-loads', message: 'the isolated worker has ended: the module took longer than 1500 ms to load' },
    { name: 'spins', message: 'the isolated worker has ended: the module took longer than 1500 ms to load' },
  ])('refuses a module that $name', async ({ name, message }) => {
    await using leash = open();
    const error = await rejection(isolated(moduleAt(name), { leash, timeoutMs: 1_500 }));
    expect(error.message).toBe(message);
  });

  it('refuses a module that is none', async () => {
    const file = join(folder, 'broken.mjs');
    writeFileSync(file, 'export const broken = ;');
    await using leash = open();
    const error = await rejection(isolated(file, { leash }));
    expect(error.message).toMatch(/^isolated\(\) could not load the module: Unexpected token/);
    expect(error.cause).toMatchObject({ name: 'SyntaxError' });
  });

  it('lets nothing be fetched before a call', async () => {
    await using leash = open();
    const worker = await isolated<typeof Fetches>(moduleAt('fetches'), { leash });
    expect(await worker.exports.whatWasEarly()).toMatch(/^fetch works while a call of an export runs/);
  });

  it('gives an environment that is listed, and no other', async () => {
    await using leash = open();
    const env = Object.assign(Object.create({ INHERITED: 'x' }), { TOKEN: 'given', NODE_ENV: 'test' });
    const worker = await isolated<typeof Tools>(moduleAt('tools'), { leash, env });
    expect(await worker.exports.env()).toEqual({ TOKEN: 'given', NODE_ENV: 'test' });
  });
});

describe('isolated.read', () => {
  it('is asked for by the name of the file', async () => {
    await using leash = open();
    const error = await rejection(isolated(moduleAt('imports'), { leash }));
    const file = fileURLToPath(new URL('./modules/imported/word.ts', import.meta.url));
    expect(error.message).toBe(`isolated() could not load the module: it reads ${file}, which \`read\` does not list`);
  });

  it.each([
    { what: 'the file', read: new URL('./modules/imported/word.ts', import.meta.url) },
    { what: 'its folder', read: new URL('./modules/imported', import.meta.url) },
    { what: 'its folder, with a slash', read: new URL('./modules/imported/', import.meta.url) },
    { what: 'a path from the working directory', read: 'test/isolated/node-26/modules' },
  ])('lets the module read $what', async ({ read }) => {
    await using leash = open();
    const worker = await isolated<typeof Imports>(moduleAt('imports'), { leash, read: [read] });
    expect(await worker.exports.say()).toBe('imported');
  });

  it('lets a package be read by its link', async () => {
    const link = join(folder, 'linked');
    symlinkSync(fileURLToPath(new URL('./modules/imported', import.meta.url)), link);
    const file = join(folder, 'through-link.mts');
    writeFileSync(file, "import { word } from './linked/word.ts'; export const say = () => word;");
    await using leash = open();
    const worker = await isolated<typeof Imports>(file, { leash, read: [link] });
    expect(await worker.exports.say()).toBe('imported');
  });
});

describe('isolated in a leashed call', () => {
  it('is refused as a worker', async () => {
    await using leash = open();
    const error = await rejection(leash.run({ tool: 't' }, () => isolated(moduleAt('bare'), { leash })));
    expect(error).toMatchObject({ code: 'EGRESS_DENIED', reason: 'worker', tool: 't' });
  });

  it('starts one where the guard opens workers', async () => {
    await using leash = createLeash({ guards: [egress({ allow: [], workers: 'allow' })] });
    const worker = await leash.run({ tool: 't' }, () => isolated<typeof Tools>(moduleAt('tools'), { leash }));
    expect(await worker.exports.count()).toBe(0);
  });

  it('starts one outside of calls also where the whole process is held', async () => {
    await using leash = createLeash({ guards: [egress({ allow: [], enforce: 'process' })] });
    const worker = await isolated<typeof Tools>(moduleAt('tools'), { leash });
    expect(await worker.exports.count()).toBe(0);
  });
});

let programs = 0;

/** The command of a program that uses the package as it is built; `start()` starts the module of tools. */
function program(body: string, flags: readonly string[] = []): readonly string[] {
  const file = join(folder, `program-${programs++}.mjs`);
  const from = (name: string): string => JSON.stringify(new URL(`../../../dist/${name}.js`, import.meta.url).href);
  writeFileSync(
    file,
    `import { isolated } from ${from('isolated')};
    import { createLeash, egress } from ${from('index')};
    const leash = createLeash({ guards: [egress({ allow: [] })] });
    const start = () => isolated(new URL(${JSON.stringify(moduleAt('tools').href)}), { leash });
    ${body}`,
  );
  return [process.execPath, ...flags, file];
}

const run = async ([node = '', ...args]: readonly string[]) =>
  await promisify(execFile)(node, args, { timeout: 20_000 });

describe('a program with an isolated worker', () => {
  it('ends when it has nothing left to do, and its worker with it', async () => {
    const { stdout } = await run(program('const { exports } = await start(); console.log(await exports.pid());'));
    await isGone(Number(stdout));
  });

  it('ends when it has made no call at all', async () => {
    expect((await run(program('await start(); console.log("started");'))).stdout).toBe('started\n');
  });

  it('waits for calls that run', async () => {
    const body = 'const { exports } = await start(); exports.slowly(7).then((n) => console.log(n));';
    expect((await run(program(body))).stdout).toBe('7\n');
  });

  it.each(['process.exit(0)', 'setImmediate(() => { throw new Error() })'])(
    'takes it along when it ends by %s',
    async (end) => {
      const body = `const { exports } = await start(); console.log(await exports.pid()); ${end};`;
      const { stdout } = await run(program(body)).catch((error: { stdout: string }) => error);
      await isGone(Number(stdout));
    },
  );

  it('takes it along when it ends, also where its code never gives way', async () => {
    const endings = JSON.stringify(moduleAt('endings').href);
    const { stdout } = await run(
      program(`const { exports } = await isolated(new URL(${endings}), { leash });
      console.log(await exports.pid());
      exports.spin().catch(() => {});
      setTimeout(() => process.exit(), 200);`),
    );
    await isGone(Number(stdout));
  });

  it('takes it along when it is killed, if its code gives way', async () => {
    const [node = '', ...args] = program(
      'const { exports } = await start(); console.log(await exports.hold()); setInterval(() => {}, 1000);',
    );
    const child = spawn(node, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const [pid] = (await once(child.stdout, 'data')) as [Buffer];
    child.kill('SIGKILL');
    await isGone(Number(pid));
  });

  it('has what the worker prints on stderr, for stdout may be a protocol', async () => {
    const { stdout, stderr } = await run(
      program("const worker = await start(); await worker.exports.print('from the worker'); await worker.close();"),
    );
    expect({ stdout, stderr }).toEqual({ stdout: '', stderr: 'from the worker\n' });
  });

  it('hands no descriptor down, not even one that it was started with', async () => {
    const log = join(folder, 'log');
    writeFileSync(log, 'precious');
    const ways = JSON.stringify(moduleAt('ways-out').href);
    const command = program(`
      const { exports } = await isolated(new URL(${ways}), { leash });
      const { fstatSync } = await import('node:fs');
      const own = fstatSync(40).isFile();
      console.log(own, await exports.overwriteLog({ log: 40 }).catch((error) => error.message));`);
    const quoted = command.map((word) => `'${word}'`).join(' ');
    const { stdout } = await promisify(execFile)('bash', ['-c', `exec 40<>'${log}'; exec ${quoted}`]);
    expect(stdout).toBe('true EBADF: bad file descriptor, write\n');
    expect(readFileSync(log, 'utf8')).toBe('precious');
  });

  it('may be under the permission model itself, where that lets it start a process', async () => {
    const root = fileURLToPath(new URL('../../../', import.meta.url));
    const reads = [root, folder, '/proc/self/'].map((path) => `--allow-fs-read=${path}`);
    const flags = ['--permission', '--allow-child-process', '--allow-net', ...reads];
    const ways = JSON.stringify(moduleAt('ways-out').href);
    const command = program(
      `const worker = await isolated(new URL(${ways}), { leash });
      console.log(await worker.exports.connectTcp({ port: 9 }).catch((error) => error.code ?? error.message));
      await worker.close();`,
      flags,
    );
    expect((await run(command)).stdout).toMatch(/ERR_ACCESS_DENIED/);
  });
});
