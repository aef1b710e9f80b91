import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  type DatabaseServer,
  postgresFolder,
  postgresUrl,
  redisExecutable,
  redisUrl,
  startPostgres,
  startRedis,
} from './helpers/databases.ts';

/**
 * Runs a command with a Redis and a PostgreSQL at hand: those that LEASHKIT_TEST_REDIS_URL and LEASHKIT_TEST_POSTGRES_URL
 * name, or servers of its own on free loopback ports, which end with the command.
 *
 *   node test/with-databases.ts vitest run
 */
const [command, ...args] = process.argv.slice(2);
if (command === undefined) {
  console.error('usage: node test/with-databases.ts COMMAND [ARGUMENT...]');
  process.exit(2);
}

const started: DatabaseServer[] = [];
const missing: string[] = [];

async function database(
  name: string,
  variable: string,
  given: string | undefined,
  installed: boolean,
  start: () => Promise<DatabaseServer>,
): Promise<Record<string, string>> {
  if (given !== undefined) return { [variable]: given };
  if (!installed) {
    missing.push(`${name} (install it, or set ${variable})`);
    return {};
  }
  const server = await start();
  started.push(server);
  return { [variable]: server.url };
}

function tellMissing(): void {
  if (missing.length === 0) return;
  console.error(`\n  Tests of stores ran WITHOUT ${missing.join(' and ')}.\n`);
}

let code: number;
try {
  const redis = await database(
    'Redis',
    'LEASHKIT_TEST_REDIS_URL',
    redisUrl,
    redisExecutable() !== undefined,
    startRedis,
  );
  // What is tested is the store, and not the disk.
  const postgres = await database(
    'PostgreSQL',
    'LEASHKIT_TEST_POSTGRES_URL',
    postgresUrl,
    postgresFolder() !== undefined,
    () => startPostgres({ fsync: 'off', max_connections: '200' }),
  );
  if (missing.length > 0 && process.env['CI'] === 'true') {
    tellMissing();
    code = 1;
  } else {
    const child = spawn(command, args, { stdio: 'inherit', env: { ...process.env, ...redis, ...postgres } });
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
    const [exitCode] = (await once(child, 'exit')) as [number | null];
    code = exitCode ?? 1;
    tellMissing();
  }
} finally {
  await Promise.all(started.map((server) => server.stop()));
}
process.exitCode = code;
