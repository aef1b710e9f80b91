import { stat } from 'node:fs/promises';
import { FileCheck } from '../audit/file-check.ts';
import type { LogLine, VerifyCode } from '../audit/line.ts';
import { readFile } from '../audit/line-reader.ts';
import type { LogCheck } from '../audit/log-check.ts';
import { lookBack } from '../audit/look-back.ts';
import { checkSource } from '../audit/verify.ts';
import type { MoneyUnit } from '../money.ts';
import { UsageError } from './command.ts';
import { visible } from './escape.ts';
import { withFile } from './file.ts';
import { Progress } from './progress.ts';
import type { Terminal } from './terminal.ts';

/** A line of the log with all that its kind may say. */
export interface LogEvent extends LogLine {
  readonly ts?: string;
  readonly lib?: string;
  readonly agent?: string;
  readonly session?: string;
  readonly mode?: string;
  readonly call?: string;
  readonly tool?: string;
  readonly guard?: string;
  readonly code?: string;
  readonly reason?: string;
  readonly error?: string;
  readonly note?: string;
  readonly us?: number;
  readonly usd?: string;
  readonly sat?: string;
  readonly unit?: MoneyUnit;
  readonly cap?: string;
  readonly requested?: string;
  readonly remaining?: string;
  readonly observed?: 1;
  readonly overrun?: 1;
  readonly scheme?: string;
  readonly host?: string;
  readonly port?: number;
  readonly addr?: string;
  readonly count?: number;
  readonly from?: number;
  readonly to?: number;
  readonly calls?: number;
  readonly denied?: number;
}

const MAX_SHOWN = 5;

/** What became of reading a file. */
export interface LogRead {
  /** The first line that is wrong; nothing of its log after it was given out. */
  readonly bad: { readonly line: number; readonly code: VerifyCode } | undefined;
  /** How many bytes stand after the last LF. */
  readonly torn: number;
  /** By id, in the order of their first lines. */
  readonly logs: ReadonlyMap<string, LogCheck>;
}

export interface ReadOptions {
  /** Gets each line that is right, in the order of the file. */
  readonly onEvent?: (event: LogEvent, text: string, log: LogCheck) => void;
  /** Called after each part of the file, and waited for; `false` ends the reading. */
  readonly afterPart?: () => Promise<boolean>;
}

/** Does something with a log file that shows how far it has come. @throws {UsageError} it cannot be read. */
export async function withLog<T>(
  terminal: Terminal,
  file: string,
  act: (path: string, progress: Progress) => Promise<T>,
): Promise<T> {
  const path = terminal.path(file);
  return await withFile('read', file, async () => {
    const progress = new Progress(terminal, file, (await stat(path)).size);
    try {
      return await act(path, progress);
    } finally {
      await progress.end();
    }
  });
}

/** Reads a file of logs, part by part, and gives out what verifies on its own: every link, signature and spelling. */
export async function readLog(terminal: Terminal, file: string, options: ReadOptions): Promise<LogRead> {
  return await withLog(terminal, file, async (path, progress) => {
    const { onEvent, afterPart } = options;
    const check = new FileCheck(
      { onFirstUse: false },
      new Map(),
      onEvent && ((log, line, text) => onEvent(line as LogEvent, text, log)),
    );
    const reader = await checkSource(partsOf(path, afterPart), check, progress.update);
    await lookBack(path, check);
    check.end(false, reader.held > 0);
    return { bad: check.bad, torn: reader.held, logs: check.logs };
  });
}

async function* partsOf(path: string, afterPart: ReadOptions['afterPart']): AsyncGenerator<Uint8Array> {
  for await (const part of readFile(path)) {
    yield part;
    if (afterPart !== undefined && !(await afterPart())) return;
  }
}

/** Tells of a file that does not verify. */
export async function tellBad(terminal: Terminal, file: string, bad: NonNullable<LogRead['bad']>): Promise<void> {
  const place = `line ${bad.line} is the first that is wrong (${bad.code})`;
  await terminal.err.write(`leash: ${visible(file)} does not verify: ${place}\n`);
}

/**
 * The log that the user means: by its id, or the only one in the file.
 *
 * @throws {UsageError} none, or one of several without a word which.
 */
export function chooseLog(file: string, logs: ReadonlyMap<string, LogCheck>, id: string | undefined): LogCheck {
  const ids = [...logs.keys()];
  const chosen = id ?? (ids.length === 1 ? ids[0] : undefined);
  if (chosen === undefined && ids.length === 0) throw new UsageError(`${file} holds no log`);
  if (chosen === undefined) {
    const shown = ids.slice(0, MAX_SHOWN).join(', ') + (ids.length > MAX_SHOWN ? ', …' : '');
    throw new UsageError(`${file} holds ${ids.length} logs, say which with --log: ${shown}`);
  }
  const log = logs.get(chosen);
  if (log === undefined) throw new UsageError(`${file} holds no log ${chosen}`);
  return log;
}
