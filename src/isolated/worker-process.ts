import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import type { Duplex, Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { ownWork } from '../internal/own-work.ts';
import { LINK_FD } from './link.ts';

/**
 * Parts of the runtime that its permission model lets be: SQLite opens, writes and makes any file, and what a page stores is
 * a file too.
 */
const CLOSED = ['--no-experimental-sqlite', '--no-experimental-ffi', '--no-experimental-webstorage'];

export interface WorkerProcessInit {
  /** Files and folders that may be read. */
  readonly read: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly maxHeapMb: number;
}

/** The process of a worker, which can do nothing but compute, read what it may, and talk over its link. */
export interface WorkerProcess {
  readonly link: Duplex;
  /** Resolves when it is gone, with how it went. Never rejects. */
  readonly gone: Promise<string>;
  kill(): void;
  /** Lets the program go on until it is gone. Without that, it does not: a program ends when it has nothing else to do. */
  ref(): void;
}

const living = new Set<ChildProcess>();

/** Nothing of a worker is left when the program ends. */
const killAll = (): void => {
  for (const child of living) child.kill('SIGKILL');
};

/**
 * A process, not a thread: threads of a process share its open files and sockets, and the permission model does not ask who
 * reads and writes by their numbers.
 */
export async function startWorkerProcess({ read, env, maxHeapMb }: WorkerProcessInit): Promise<WorkerProcess> {
  const bootstrap = bootstrapFile();
  const flags = [
    '--permission',
    ...CLOSED.filter((flag) => process.allowedNodeEnvironmentFlags.has(flag)),
    ...[bootstrap.folder, ...read].map((path) => `--allow-fs-read=${path}`),
    `--max-old-space-size=${maxHeapMb}`,
  ];
  const child = ownWork(() =>
    spawn(process.execPath, [...flags, bootstrap.file, ...inheritable().map(String)], {
      env: { ...env },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      windowsHide: true,
    }),
  );
  await once(child, 'spawn');
  if (living.size === 0) process.on('exit', killAll);
  living.add(child);
  const gone = new Promise<string>((resolve) => {
    // Its pipes have been read to their ends then.
    child.once('close', (code, signal) => {
      living.delete(child);
      if (living.size === 0) process.off('exit', killAll);
      resolve(signal ?? `code ${code}`);
    });
    // It could not be killed: its end is still to come.
    child.on('error', () => {});
  });
  showOutput(child.stdout as Readable);
  showOutput(child.stderr as Readable);
  const handles = [child, ...child.stdio] as unknown as ({ ref(): void; unref(): void } | null)[];
  for (const handle of handles) handle?.unref();
  return {
    link: child.stdio[LINK_FD] as Duplex,
    gone,
    kill: () => child.kill('SIGKILL'),
    ref: () => {
      for (const handle of handles) handle?.ref();
    },
  };
}

/** On stderr: stdout may be where a program speaks a protocol. */
function showOutput(output: Readable): void {
  output.on('data', (chunk: Buffer) => {
    if (process.stderr.write(chunk)) return;
    output.pause();
    process.stderr.once('drain', () => output.resume());
  });
  output.on('error', () => {});
}

const O_CLOEXEC = 0o2000000;

/**
 * Descriptors that a process on Linux hands down beside its pipes: those that it was itself started with. No other system
 * tells them.
 */
function inheritable(): readonly number[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc/self/fdinfo')
    .map(Number)
    .filter((descriptor) => descriptor > LINK_FD && !closesOnExec(descriptor));
}

function closesOnExec(descriptor: number): boolean {
  let info: string;
  try {
    info = readFileSync(`/proc/self/fdinfo/${descriptor}`, 'utf8');
  } catch {
    // That of the folder, which has been read.
    return true;
  }
  const flags = /^flags:\s*([0-7]+)$/m.exec(info)?.[1] ?? '0';
  return (Number.parseInt(flags, 8) & O_CLOEXEC) !== 0;
}

/** The worker's own part, in the sources or as it is built; it loads its other files from the folder. */
function bootstrapFile(): { readonly file: string; readonly folder: string } {
  const isSource = import.meta.url.endsWith('.ts');
  const file = fileURLToPath(new URL(isSource ? './worker-main.ts' : './isolated-worker.js', import.meta.url));
  const folder = fileURLToPath(new URL(isSource ? '../' : './', import.meta.url));
  if (existsSync(file)) return { file, folder };
  throw new Error("leashkit/isolated cannot find its worker, a file beside it: leave 'leashkit' out of your bundle");
}
