import { writeFile } from 'node:fs/promises';
import { withFile } from './command.ts';
import type { Terminal } from './terminal.ts';

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
