import childProcess, { type ChildProcess } from 'node:child_process';
import cluster from 'node:cluster';
import { once } from 'node:events';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { type Attack, family, type Scene } from '../attack.ts';
import { binding } from '../binding.ts';
import { exited } from '../outcome.ts';

const node = process.execPath;
const quiet = { stdio: 'ignore' } as const;
const args = ({ program, evil }: Scene): string[] => [program, String(evil.port)];
const line = (scene: Scene): string => [node, ...args(scene)].map((word) => `'${word}'`).join(' ');

const SYNC = { layers: ['child-processes', 'saved-functions'] } as const;

export const processAttacks: readonly Attack[] = [
  ...family(
    'node:child_process',
    ['child-processes'],
    [
      ['spawn', 'child-process', (scene) => exited(childProcess.spawn(node, args(scene), quiet))],
      ['spawn in a shell', 'child-process', (scene) => exited(childProcess.spawn(line(scene), { ...quiet, shell: true }))],
      ['spawn, detached', 'child-process', (scene) => exited(childProcess.spawn(node, args(scene), { ...quiet, detached: true }))],
      ['exec', 'child-process', (scene) => promisify((done: (error: Error | null) => void) => childProcess.exec(line(scene), done))()],
      ['execFile', 'child-process', (scene) => promisify((done: (error: Error | null) => void) => childProcess.execFile(node, args(scene), done))()],
      ['promisify(exec)', 'child-process', (scene) => promisify(childProcess.exec)(line(scene))],
      ['promisify(execFile)', 'child-process', (scene) => promisify(childProcess.execFile)(node, args(scene))],
      ['fork', 'child-process', ({ program, evil }) => exited(childProcess.fork(program, [String(evil.port)], { silent: true }))],
      ['spawnSync', 'child-process', (scene) => sync(childProcess.spawnSync(node, args(scene))), SYNC],
      ['execSync', 'child-process', (scene) => childProcess.execSync(line(scene), quiet), SYNC],
      ['execFileSync', 'child-process', (scene) => childProcess.execFileSync(node, args(scene), quiet), SYNC],
      ['an execFileSync that was taken before', 'child-process', (scene) => scene.early.execFileSync(node, args(scene), quiet), { layers: ['saved-functions'] }],
      ['new ChildProcess().spawn', 'child-process', (scene) => exited(spawned(Reflect.construct(childProcess.ChildProcess, []), scene))],
      ['cluster.fork', 'child-process', (scene) => forked(scene)],
      ['process.execve', 'held', (scene) => (process as { execve?(...args: unknown[]): never }).execve?.(node, [node, ...args(scene)], {}) ?? Promise.reject(new Error('not on this Node')), { control: 'skipped' }],
    ],
  ),
  ...family(
    'node:worker_threads',
    ['workers'],
    [
      ['a Worker', 'worker', ({ program, evil }) => ended(new Worker(program, { argv: [evil.port] }))],
      ['a Worker of a URL', 'worker', ({ program, evil }) => ended(new Worker(pathToFileURL(program), { argv: [evil.port] }))],
      ['a Worker of text', 'worker', ({ evil }) => ended(new Worker(`require('node:net').connect(${evil.port}, '127.0.0.1').end('x')`, { eval: true }))],
      ['a Worker of a data: URL', 'worker', ({ evil }) => ended(new Worker(new URL(`data:text/javascript,import { connect } from 'node:net'; connect(${evil.port}, '127.0.0.1').end('x')`)))],
      ['a class of its own', 'worker', ({ program, evil }) => ended(new (class extends Worker {})(program, { argv: [evil.port] }))],
      ['a class that was taken before', 'worker', ({ early, program, evil }) => ended(new early.Worker(program, { argv: [evil.port] })), { quiet: true }],
      ['Reflect.construct', 'worker', ({ program, evil }) => ended(Reflect.construct(Worker, [program, { argv: [evil.port] }]))],
    ],
  ),
  ...family('process.binding', ['process-binding', 'saved-functions'], [['spawn_sync', 'process-binding', (scene) => natively({ file: node, args: [node, ...args(scene)], envPairs: [], stdio: pipes() })]]),
];

function sync({ error }: { readonly error?: Error | undefined }): void {
  if (error !== undefined) throw error;
}

/** `spawn` below the functions of the module. */
function spawned(child: ChildProcess, scene: Scene): ChildProcess {
  const options = { file: node, args: [node, ...args(scene)], envPairs: [], stdio: 'ignore' };
  (child as unknown as { spawn(options: object): void }).spawn(options);
  return child;
}

async function forked(scene: Scene): Promise<void> {
  cluster.setupPrimary({ exec: scene.program, args: [String(scene.evil.port)], silent: true });
  await once(cluster.fork(), 'exit');
}

async function ended(worker: Worker): Promise<void> {
  await once(worker, 'exit');
}

function pipes(): readonly object[] {
  return [{ type: 'ignore' }, { type: 'ignore' }, { type: 'ignore' }];
}

/** What is below `spawnSync`. */
async function natively(options: object): Promise<void> {
  const { spawn } = binding('spawn_sync' as never) as unknown as { spawn(options: object): { error?: number } };
  const { error } = spawn(options);
  if (error !== undefined) throw new Error(`status ${error}`);
}
