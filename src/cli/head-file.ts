import { headOfNote } from '../audit/head.ts';
import { type LogHead, verifyLog } from '../audit/verify.ts';
import { UsageError } from './command.ts';
import { readText } from './file.ts';
import type { Terminal } from './terminal.ts';

/**
 * What a file says of a log: a C2SP signed note, as `leash checkpoint` prints it and `onCheckpoint` gets it, or a JSON
 * object with `log` and either `size` and `root` or `seq` and `hash`.
 *
 * The signatures of a note are not looked at: a head comes from where the user kept it, and what it names is compared
 * with the log. A wrong one can only fail.
 *
 * @throws {UsageError} the file cannot be read, or holds neither.
 */
export async function readHead(terminal: Terminal, file: string): Promise<LogHead> {
  const text = await readText(terminal, file);
  try {
    const head = text.startsWith('{') ? headOfJson(text) : headOfNote(text);
    // Nothing to compare it with, but it is looked at.
    await verifyLog(nothing(), { heads: [head] });
    return head;
  } catch (error) {
    throw new UsageError(`${file} holds neither a signed note nor the head of a log`, { cause: error });
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

function headOfJson(text: string): LogHead {
  const { log, size, root, seq, hash } = JSON.parse(text) as Record<string, unknown>;
  return (size === undefined ? { log, seq, hash } : { log, size, root }) as LogHead;
}
