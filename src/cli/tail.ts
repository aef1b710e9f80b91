import { isUtf8 } from 'node:buffer';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { parseLine } from '../audit/line.ts';
import { LineReader } from '../audit/line-reader.ts';
import type { Command, Input } from './command.ts';
import { jsonLine, visible, visibleJson } from './escape.ts';
import { eventText } from './event-text.ts';
import { withFile } from './file.ts';
import type { LogEvent } from './read-log.ts';
import { EXIT, type Terminal } from './terminal.ts';

const DEFAULT_LINES = 10;
const POLL_MS = 250;
const CHUNK = 1 << 16;
const LF = 0x0a;

export const tail: Command = {
  name: 'tail',
  summary: 'show the last events, and those that come',
  usage: 'FILE [-n N] [--follow] [--json]',
  description: 'Shows the last events of a log, one a line. Checks no link and no signature: for that there is verify.',
  options: {
    lines: { type: 'string', short: 'n', argument: 'N', help: `how many; default: ${DEFAULT_LINES}` },
    follow: { type: 'boolean', short: 'f', help: 'go on with what is written, until interrupted' },
    json: { type: 'boolean', help: 'the lines as JSON' },
  },
  example: 'tail audit.jsonl -n 20 --follow',

  async run(input: Input, terminal: Terminal): Promise<number> {
    const { file } = input;
    const wanted = input.count('lines') ?? DEFAULT_LINES;
    const printer = new Printer(terminal, input.flag('json'));
    const follow = input.flag('follow');
    // Before the first line is out: whoever sees it may interrupt.
    const until = follow ? terminal.context.interruption() : undefined;
    await withFile('read', file, async () => {
      const path = terminal.path(file);
      const reading = new Reading(await open(path, 'r'));
      try {
        reading.at = await lastLines(reading.handle, wanted);
        await reading.printTo(printer);
        if (until === undefined) await printer.torn(reading.held);
        else await followFile(path, file, reading, printer, terminal, until);
      } finally {
        await reading.handle.close();
      }
    });
    return printer.wrong === 0 || follow ? EXIT.ok : EXIT.bad;
  },
};

/** Where the last lines begin: only the end of the file is looked at. */
async function lastLines(handle: FileHandle, wanted: number): Promise<number> {
  const buffer = Buffer.allocUnsafe(CHUNK);
  const { size } = await handle.stat();
  // The last LF ends a line; one more than are wanted is where the line before them ends.
  let missing = wanted + 1;
  for (let end = size; end > 0; ) {
    const start = Math.max(0, end - CHUNK);
    const { bytesRead } = await handle.read(buffer, 0, end - start, start);
    const part = buffer.subarray(0, bytesRead);
    for (let at = part.lastIndexOf(LF); at !== -1; at = at === 0 ? -1 : part.lastIndexOf(LF, at - 1)) {
      missing--;
      if (missing === 0) return start + at + 1;
    }
    end = start;
  }
  return 0;
}

/** A file that is read on and on. */
class Reading {
  handle: FileHandle;
  at = 0;
  readonly #lines: Buffer[] = [];
  readonly #buffer: Buffer = Buffer.allocUnsafe(CHUNK);
  #reader: LineReader;

  constructor(handle: FileHandle) {
    this.handle = handle;
    this.#reader = this.#newReader();
  }

  /** Bytes after the last LF. */
  get held(): number {
    return this.#reader.held;
  }

  #newReader(): LineReader {
    return new LineReader((_text, start, end, bytes) => this.#lines.push(Buffer.from(bytes.subarray(start, end))));
  }

  /** Prints the lines that are there by now. */
  async printTo(printer: Printer): Promise<void> {
    while (!printer.broken) {
      const { bytesRead } = await this.handle.read(this.#buffer, 0, CHUNK, this.at);
      if (bytesRead === 0) return;
      this.at += bytesRead;
      this.#reader.read(this.#buffer.subarray(0, bytesRead));
      await printer.print(this.#lines.splice(0));
    }
  }

  /** From the beginning, of this file. */
  async restart(handle: FileHandle): Promise<void> {
    await this.handle.close();
    this.handle = handle;
    this.at = 0;
    this.#reader = this.#newReader();
  }
}

/** Prints what comes until the user interrupts or nobody reads any more. */
async function followFile(
  path: string,
  file: string,
  reading: Reading,
  printer: Printer,
  terminal: Terminal,
  until: AbortSignal,
): Promise<void> {
  while (!until.aborted && !printer.broken) {
    await terminal.context.wait(POLL_MS, until);
    const before = reading.at;
    const now = await stat(path).catch(() => undefined);
    // Renamed or removed: what comes to the old file still shows, until there is a new one.
    await reading.printTo(printer);
    if (now === undefined) continue;
    const held = await reading.handle.stat();
    const replaced = now.ino !== held.ino || now.dev !== held.dev;
    if (!replaced && now.size >= before) continue;
    const next = await open(path, 'r').catch(() => undefined);
    if (next === undefined) continue;
    const what = replaced ? 'is another file now' : 'was cut off';
    await terminal.err.write(`leash: ${visible(file)} ${what}: reading it from its beginning\n`);
    await reading.restart(next);
    await reading.printTo(printer);
  }
}

class Printer {
  /** Lines that are none of the format. */
  wrong = 0;
  readonly #terminal: Terminal;
  readonly #json: boolean;

  constructor(terminal: Terminal, json: boolean) {
    this.#terminal = terminal;
    this.#json = json;
  }

  get broken(): boolean {
    return this.#terminal.out.broken;
  }

  async print(lines: readonly Buffer[]): Promise<void> {
    await this.#terminal.out.write(lines.map((line) => this.#textOf(line)).join(''));
  }

  #textOf(bytes: Buffer): string {
    const text = bytes.toString();
    const parsed = isUtf8(bytes) ? parseLine(text) : 'E_FORMAT';
    if (typeof parsed !== 'string') {
      return `${this.#json ? visibleJson(text) : eventText(this.#terminal, parsed as LogEvent)}\n`;
    }
    this.wrong++;
    if (this.#json) return jsonLine({ wrong: parsed, bytes: bytes.length });
    return `${this.#terminal.paint('red', `no line of leash-log/1 (${parsed}), ${bytes.length} bytes`)}\n`;
  }

  async torn(bytes: number): Promise<void> {
    if (bytes === 0) return;
    const words = `the last line has no end, ${bytes} bytes`;
    await this.#terminal.out.write(
      this.#json ? jsonLine({ wrong: 'torn', bytes }) : `${this.#terminal.paint('yellow', words)}\n`,
    );
  }
}
