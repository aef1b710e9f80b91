import { readFile, writeFile } from 'node:fs/promises';
import { UsageError } from './command.ts';
import { visible } from './escape.ts';
import type { Terminal } from './terminal.ts';

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  ENOTDIR: 'no such file',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EISDIR: 'it is a directory',
  EEXIST: 'it exists already, and is not overwritten',
  ENOSPC: 'the disk is full',
};

/** The system's reason for what went wrong with a file, in words. `undefined` for errors that are not the system's. */
export function reasonOf(error: unknown): string | undefined {
  const { code, syscall } = (error ?? {}) as NodeJS.ErrnoException;
  return code === undefined || syscall === undefined ? undefined : (REASONS[code] ?? visible(code));
}

/** Does something with a file, and tells of what the system refuses as wrong usage. @throws {UsageError} */
export async function withFile<T>(verb: 'read' | 'write', file: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    const reason = reasonOf(error);
    if (reason === undefined) throw error;
    throw new UsageError(`cannot ${verb} ${file}: ${reason}`, { cause: error });
  }
}

/** @throws {UsageError} the file cannot be read. */
export async function readText(terminal: Terminal, file: string): Promise<string> {
  return await withFile('read', file, () => readFile(terminal.path(file), 'utf8'));
}

/** @param what is to be in the file, for the message. @throws {UsageError} the file cannot be read, or holds no JSON. */
export async function readJson(terminal: Terminal, file: string, what: string): Promise<unknown> {
  const text = await readText(terminal, file);
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    // The error's own message shows a part of the text.
    throw new UsageError(`${file} holds no ${what}`, { cause: error });
  }
}

/** For what only its owner may read. */
export const SECRET = 0o600;

/** Writes a file that must not exist: no command ever overwrites one. @throws {UsageError} */
export async function writeNewFile(terminal: Terminal, file: string, text: string, mode = 0o666): Promise<void> {
  await withFile('write', file, () => writeFile(terminal.path(file), text, { mode, flag: 'wx' }));
}

/** Writes a result to a file of its own, or to standard output where none is named. */
export async function writeResult(
  terminal: Terminal,
  file: string | undefined,
  text: string,
  mode?: number,
): Promise<void> {
  if (file === undefined) await terminal.out.write(text);
  else await writeNewFile(terminal, file, text, mode);
}
