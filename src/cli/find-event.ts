import { type Input, UsageError } from './command.ts';
import { chooseLog, type LogEvent, readLog, tellBad } from './read-log.ts';
import type { Terminal } from './terminal.ts';

/**
 * The event that `--log` and `--seq` name. The file must verify as far as that goes without a key.
 *
 * @returns `undefined` where it does not; the user is told then.
 * @throws {UsageError} there is no such event.
 */
export async function findEvent(
  terminal: Terminal,
  file: string,
  at: { readonly log: string | undefined; readonly seq: number },
): Promise<LogEvent | undefined> {
  /** By log: which is meant may show only at the end. */
  const found = new Map<string, LogEvent>();
  const read = await readLog(terminal, file, {
    onEvent: (event) => {
      if (event.seq === at.seq && (at.log === undefined || at.log === event.log)) found.set(event.log, event);
    },
  });
  const log = chooseLog(file, read.logs, at.log);
  if (log.bad !== undefined) {
    await tellBad(terminal, file, log.bad);
    return undefined;
  }
  const event = found.get(log.id);
  if (event === undefined) throw new UsageError(`log ${log.id} has no event ${at.seq}: it has ${log.size} lines`);
  return event;
}

/** @throws {UsageError} no `--seq`. */
export function placeOf(input: Input): { readonly log: string | undefined; readonly seq: number } {
  const seq = input.count('seq');
  if (seq === undefined) throw new UsageError('--seq is missing');
  return { log: input.value('log'), seq };
}
