import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { egress } from '../../../src/guards/egress.ts';
import { type Isolated, isolated } from '../../../src/isolated/index.ts';
import { createLeash } from '../../../src/leash.ts';
import type * as WaysOut from './modules/ways-out.ts';
import { openScene, type Scene } from './scene.ts';

type Way = Exclude<keyof typeof WaysOut, 'environment' | 'reportEnvironment'>;

interface Row {
  readonly way: Way;
  /** What the code in a worker is told. */
  readonly told: RegExp;
  /** What the same code reaches in a plain thread: a place of the scene, or only that it gets something. */
  readonly plain: string | undefined;
}

const DENIED =
  /ERR_ACCESS_DENIED|^Access to this API has been restricted|^fs\.symlink API requires full|^process\.binding$/;
const ABSENT = /^there is no|^No such built-in module|is not a function$|reading 'writeReport'/;
const NOT_ITS_OWN = /EBADF|EINVAL|Unsupported fd type/;
const GOT = 'something';

const rows: readonly Row[] = [
  { way: 'connectTcp', told: DENIED, plain: 'tcp' },
  { way: 'connectBySocketClass', told: DENIED, plain: 'tcp' },
  { way: 'connectTls', told: DENIED, plain: 'tcp' },
  { way: 'connectHttp2', told: DENIED, plain: 'tcp' },
  { way: 'getByHttp', told: DENIED, plain: 'tcp' },
  { way: 'dispatch', told: DENIED, plain: 'tcp' },
  { way: 'openWebSocket', told: /^the WebSocket failed$/, plain: 'tcp' },
  { way: 'connectUnixSocket', told: DENIED, plain: 'unix' },
  { way: 'sendDatagram', told: DENIED, plain: 'udp' },
  { way: 'queryDns', told: DENIED, plain: 'udp' },
  { way: 'lookUpName', told: DENIED, plain: GOT },
  { way: 'spawnChild', told: DENIED, plain: 'tcp' },
  { way: 'execChild', told: DENIED, plain: 'tcp' },
  // Threads have no `execve`, and a thread that forks a cluster is no program that ends well.
  { way: 'execInPlace', told: DENIED, plain: undefined },
  { way: 'forkCluster', told: DENIED, plain: undefined },
  { way: 'startThread', told: DENIED, plain: 'tcp' },
  { way: 'registerHooks', told: DENIED, plain: 'tcp' },
  { way: 'useBinding', told: DENIED, plain: GOT },
  { way: 'useLinkedBinding', told: DENIED, plain: undefined },
  { way: 'openInspector', told: DENIED, plain: GOT },
  { way: 'inspectMain', told: /^Current thread is not a worker$/, plain: GOT },
  { way: 'loadAddon', told: /loading addons is disabled/, plain: undefined },
  { way: 'openLibrary', told: ABSENT, plain: GOT },
  { way: 'startWasi', told: DENIED, plain: GOT },
  { way: 'openDatabase', told: ABSENT, plain: 'new file' },
  { way: 'importDatabase', told: ABSENT, plain: GOT },
  { way: 'readFile', told: DENIED, plain: GOT },
  { way: 'readFileLater', told: DENIED, plain: GOT },
  { way: 'streamFile', told: DENIED, plain: GOT },
  { way: 'importFile', told: DENIED, plain: GOT },
  { way: 'requireFile', told: DENIED, plain: GOT },
  { way: 'listFolder', told: DENIED, plain: GOT },
  { way: 'writeFile', told: DENIED, plain: 'new file' },
  { way: 'linkFile', told: DENIED, plain: 'new file' },
  { way: 'readEnvironment', told: DENIED, plain: GOT },
  { way: 'readEnvironmentOfParent', told: DENIED, plain: GOT },
  { way: 'writeToConnection', told: NOT_ITS_OWN, plain: 'connection' },
  // Two loops that poll one connection: whether the thread gets to write is a matter of luck.
  { way: 'adoptConnection', told: NOT_ITS_OWN, plain: undefined },
  { way: 'overwriteLog', told: NOT_ITS_OWN, plain: 'log' },
  { way: 'truncateLog', told: NOT_ITS_OWN, plain: 'log' },
  { way: 'signalParent', told: ABSENT, plain: GOT },
  { way: 'signalByImport', told: ABSENT, plain: GOT },
  { way: 'slowParent', told: ABSENT, plain: GOT },
  { way: 'slowParentByImport', told: ABSENT, plain: GOT },
  { way: 'setFlags', told: ABSENT, plain: GOT },
  { way: 'setFlagsByImport', told: ABSENT, plain: GOT },
  { way: 'reportToFile', told: ABSENT, plain: 'new file' },
];

const MODULE = new URL('./modules/ways-out.ts', import.meta.url);
const SECRET = 'a secret of the environment';

beforeAll(() => {
  process.env['SECRET'] = SECRET;
});
afterAll(() => {
  delete process.env['SECRET'];
});

describe('an isolated worker', () => {
  const leash = createLeash({ guards: [egress({ allow: [] })] });
  let worker: Isolated<typeof WaysOut>;
  beforeAll(async () => {
    worker = await isolated<typeof WaysOut>(MODULE, { leash });
  });
  afterAll(async () => {
    await leash.close();
  });

  it.each(rows)('cannot $way', async ({ way, told }) => {
    await using scene = await openScene();
    const outcome = await worker.exports[way](scene.goal).then(
      (got) => `got ${got}`,
      (error: Error) => error.message,
    );
    expect(outcome).toMatch(told);
    expect(await scene.contacts()).toEqual([]);
  });

  it('sees nothing of the environment, not in a report either', async () => {
    expect(await worker.exports.environment()).toBe('{}');
    expect(await worker.exports.reportEnvironment()).toBe(undefined);
  });

  it('is told of every way out that the list has', async () => {
    const listed = rows.map(({ way }) => way);
    expect(Object.keys(worker.exports).sort()).toEqual([...listed, 'environment', 'reportEnvironment'].sort());
  });
});

interface Outcome {
  readonly got?: string;
  readonly error?: string;
}

async function inThread(way: string, scene: Scene, execArgv: readonly string[]): Promise<Outcome> {
  const workerData = { name: way, goal: scene.goal };
  const thread = new Worker(new URL('./control.ts', import.meta.url), {
    workerData,
    execArgv: [...execArgv],
    stdout: true,
    stderr: true,
  });
  try {
    const [outcome] = (await once(thread, 'message')) as [Outcome];
    return outcome;
  } finally {
    await thread.terminate();
  }
}

describe('a plain thread, so that no row above passes by accident', () => {
  it.each(rows.filter(({ plain }) => plain !== undefined))('can $way: $plain', async ({ way, plain }) => {
    await using scene = await openScene();
    const outcome = await inThread(way, scene, []);
    const contacts = await scene.contacts();
    if (plain === GOT) expect(outcome.got, outcome.error).toBeDefined();
    else expect(contacts).toContain(plain);
  });
});

describe('a thread under the permission model, which is why a worker is a process', () => {
  const folder = fileURLToPath(new URL('.', import.meta.url));
  const execArgv = ['--permission', `--allow-fs-read=${folder}`];

  it.each([
    { way: 'writeToConnection', reached: 'connection' },
    { way: 'overwriteLog', reached: 'log' },
    { way: 'truncateLog', reached: 'log' },
    { way: 'openDatabase', reached: 'new file' },
  ] as const)('can $way: $reached', async ({ way, reached }) => {
    await using scene = await openScene();
    await inThread(way, scene, execArgv);
    expect(await scene.contacts()).toContain(reached);
  });

  it('sees the environment of the program in a report', async () => {
    await using scene = await openScene();
    expect((await inThread('reportEnvironment', scene, execArgv)).got).toContain(SECRET);
  });
});
