#!/usr/bin/env node
import { realpathSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isLeashError } from '../errors.ts';
import { VERSION } from '../internal/version.ts';
import { checkpoint } from './checkpoint.ts';
import { type Command, columns, helpOf, parseInput, UsageError } from './command.ts';
import { visible } from './escape.ts';
import { exportLog } from './export.ts';
import { reasonOf } from './file.ts';
import { keygen } from './keygen.ts';
import { migration } from './migration.ts';
import { open } from './open.ts';
import { proof } from './proof.ts';
import { stats } from './stats.ts';
import { tail } from './tail.ts';
import { type Context, EXIT, Terminal } from './terminal.ts';
import { verify } from './verify.ts';

const COMMANDS: readonly Command[] = [verify, tail, stats, exportLog, open, proof, checkpoint, keygen, migration];

const HELP = `Usage: leash COMMAND [OPTIONS]

Reads the audit logs that leashkit writes, and changes none of them. Makes keys, and the SQL that a store needs.

Commands:
${columns(COMMANDS.map(({ name, summary }) => [name, summary] as const))}
Exit codes: 0 ok, 1 tampered or a check failed, 2 wrong usage or unreadable input, 3 not closed where it had to be.
leash COMMAND --help tells more of each.
`;

/**
 * Runs the command line.
 *
 * @param args what follows the program's name.
 * @returns the exit code: 0 ok, 1 tampered or a check failed, 2 wrong usage or unreadable input, 3 not closed where it had
 * to be.
 */
export async function run(args: readonly string[], context: Context): Promise<number> {
  const terminal = new Terminal(context);
  const code = await runCommand(args, terminal);
  const { failure } = terminal.out;
  if (failure === undefined) return code;
  await terminal.err.write(`leash: cannot write the output: ${reasonOf(failure) ?? visible(failure.message)}\n`);
  return code === EXIT.ok ? EXIT.usage : code;
}

async function runCommand(args: readonly string[], terminal: Terminal): Promise<number> {
  const [first, ...rest] = args;
  if (first === '--version') return await print(terminal, `${VERSION}\n`);
  if (first === '--help' || first === '-h') return await print(terminal, HELP);
  const name = first === 'help' ? rest[0] : first;
  if (name === undefined && first === 'help') return await print(terminal, HELP);
  const command = COMMANDS.find((one) => one.name === name);
  if (command === undefined) {
    const what = name === undefined ? 'a command is missing' : `there is no command ${visible(name)}`;
    await terminal.err.write(`leash: ${what}\n\n${HELP}`);
    return EXIT.usage;
  }
  if (first === 'help') return await print(terminal, helpOf(command));
  try {
    const input = parseInput(command, rest);
    return input.flag('help') ? await print(terminal, helpOf(command)) : await command.run(input, terminal);
  } catch (error) {
    const expected = error instanceof UsageError || isLeashError(error);
    // The lines of a stack stay lines; a file's name has but one.
    const text = expected
      ? visible(error.message)
      : `unexpected: ${String((error as Error)?.stack ?? error)
          .split('\n')
          .map(visible)
          .join('\n')}`;
    await terminal.err.write(`leash ${command.name}: ${text}\n`);
    return EXIT.usage;
  }
}

async function print(terminal: Terminal, text: string): Promise<number> {
  await terminal.out.write(text);
  return EXIT.ok;
}

function processContext(): Context {
  const { stdout, stderr, env } = process;
  return {
    stdout,
    stderr,
    cwd: process.cwd(),
    env,
    now: () => performance.now(),
    isTerminal: { stdout: stdout.isTTY === true, stderr: stderr.isTTY === true },
    interruption: () => {
      const controller = new AbortController();
      process.once('SIGINT', () => controller.abort());
      return controller.signal;
    },
    // A timer that keeps the process: nothing else does while it waits for what is written.
    wait: (ms, signal) => sleep(ms, undefined, { signal }).catch(() => {}),
  };
}

/** Whether this file is what the process was started with, and not imported. */
function isEntry(): boolean {
  try {
    // The command's file in a `bin` folder is a link to this one.
    return realpathSync(process.argv[1] ?? '') === fileURLToPath(import.meta.url);
  } catch {
    return false;
  }
}

if (isEntry()) process.exitCode = await run(process.argv.slice(2), processContext());
