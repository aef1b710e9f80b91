import { type ChildProcess, execFileSync, type SpawnOptions, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  accessSync,
  chmodSync,
  chownSync,
  constants,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
} from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';

/** A database server on a free port of 127.0.0.1, with a folder of its own that goes with it. */
export interface DatabaseServer {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Ends the server; the folder stays for `restart`. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again on the same port. */
  restart(): Promise<void>;
  /** Ends the server and removes its folder. */
  stop(): Promise<void>;
}

/** The server that `npm test` has started, or the one that the variable names. */
export const redisUrl: string | undefined = process.env['LEASHKIT_TEST_REDIS_URL'] || undefined;
export const postgresUrl: string | undefined = process.env['LEASHKIT_TEST_POSTGRES_URL'] || undefined;

const STARTS_WITHIN_MS = 20_000;

/** Path of `redis-server` or `valkey-server`, where one is installed. */
export function redisExecutable(): string | undefined {
  return executable('redis-server', []) ?? executable('valkey-server', []);
}

/** Folder with `initdb` and `postgres`, where they are installed; Debian keeps them out of PATH. */
export function postgresFolder(): string | undefined {
  const debian = '/usr/lib/postgresql';
  let versions: string[] = [];
  try {
    versions = readdirSync(debian).sort((a, b) => Number(b) - Number(a));
  } catch {
    // Not a Debian.
  }
  const found = executable(
    'initdb',
    versions.map((version) => join(debian, version, 'bin')),
  );
  // A link to it may stand alone where the others are not.
  return found === undefined ? undefined : dirname(realpathSync(found));
}

function executable(name: string, folders: readonly string[]): string | undefined {
  for (const folder of [...(process.env['PATH'] ?? '').split(delimiter), ...folders]) {
    const path = join(folder, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not there.
    }
  }
  return undefined;
}

/** @param settings lines of `redis.conf`. Default: nothing is written to disk. */
export function startRedis(settings: Readonly<Record<string, string>> = {}): Promise<DatabaseServer> {
  return onFreePort(() => startRedisOnce(settings));
}

async function startRedisOnce(settings: Readonly<Record<string, string>>): Promise<DatabaseServer> {
  const server = redisExecutable();
  if (server === undefined) throw new Error('neither redis-server nor valkey-server is installed');
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'leashkit-redis-'));
  const all = { port: String(port), bind: '127.0.0.1', save: '', appendonly: 'no', dir: folder, ...settings };
  const args = Object.entries({ ...all, loglevel: 'warning' }).flatMap(([key, value]) => [`--${key}`, value]);
  return start(`redis://127.0.0.1:${port}`, port, folder, () => spawn(server, args, { stdio: 'ignore' }), answersPing);
}

/** @param settings as in `postgresql.conf`. Default: the server's own. */
export function startPostgres(settings: Readonly<Record<string, string>> = {}): Promise<DatabaseServer> {
  return onFreePort(() => startPostgresOnce(settings));
}

async function startPostgresOnce(settings: Readonly<Record<string, string>>): Promise<DatabaseServer> {
  const binaries = postgresFolder();
  if (binaries === undefined) throw new Error('postgres is not installed');
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'leashkit-postgres-'));
  const user = unprivileged();
  if (user.uid !== undefined) chownSync(folder, user.uid, user.gid ?? user.uid);
  chmodSync(folder, 0o700);
  const options: SpawnOptions = { ...user, stdio: 'ignore', cwd: folder, env: { ...process.env, LC_ALL: 'C' } };
  const init = ['-D', folder, '-U', 'leash', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'];
  execFileSync(join(binaries, 'initdb'), init, options);
  const all = { listen_addresses: '127.0.0.1', unix_socket_directories: '', ...settings };
  const args = Object.entries(all).flatMap(([key, value]) => ['-c', `${key}=${value}`]);
  const run = (): ChildProcess =>
    spawn(join(binaries, 'postgres'), ['-D', folder, '-p', String(port), ...args], options);
  const ready = (): Promise<boolean> => {
    const { status } = spawnSync(join(binaries, 'pg_isready'), ['-q', '-h', '127.0.0.1', '-p', String(port)]);
    return Promise.resolve(status === 0);
  };
  return start(`postgres://leash@127.0.0.1:${port}/postgres`, port, folder, run, ready);
}

/** PostgreSQL does not run as root. */
function unprivileged(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {};
  for (const name of ['postgres', 'nobody']) {
    const found = readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .find((line) => line.startsWith(`${name}:`));
    if (found === undefined) continue;
    const [, , uid, gid] = found.split(':');
    return { uid: Number(uid), gid: Number(gid) };
  }
  throw new Error('PostgreSQL does not run as root, and there is no user postgres or nobody');
}

async function start(
  url: string,
  port: number,
  folder: string,
  run: () => ChildProcess,
  ready: (port: number) => Promise<boolean>,
): Promise<DatabaseServer> {
  let child: ChildProcess;
  const restart = async (): Promise<void> => {
    child = run();
    const until = Date.now() + STARTS_WITHIN_MS;
    while (!(await ready(port))) {
      if (child.exitCode !== null || Date.now() > until) {
        child.kill('SIGKILL');
        throw new Error(`a database server did not start on port ${port}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  const kill = async (signal: NodeJS.Signals = 'SIGKILL'): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    // A stopped process takes no signal but this one.
    child.kill('SIGCONT');
    child.kill(signal);
    await ended;
  };
  await restart();
  return {
    url,
    port,
    get pid() {
      return child.pid as number;
    },
    kill,
    restart,
    stop: async () => {
      // PostgreSQL: the fast way that ends its children too.
      await kill(url.startsWith('postgres') ? 'SIGINT' : 'SIGKILL');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A port that was free may be taken by somebody else until the server is there. */
async function onFreePort(attempt: () => Promise<DatabaseServer>, attempts = 5): Promise<DatabaseServer> {
  try {
    return await attempt();
  } catch (error) {
    if (attempts === 1) throw error;
    return onFreePort(attempt, attempts - 1);
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

function answersPing(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'));
    socket.setTimeout(500, () => socket.destroy());
    socket.once('data', (data) => {
      socket.destroy();
      resolve(String(data).startsWith('+PONG'));
    });
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
  });
}
