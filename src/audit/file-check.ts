import { createHash } from 'node:crypto';
import { lineHash } from './chain.ts';
import { type LogLine, parseLine, type VerifyCode } from './line.ts';
import { type Expectation, LogCheck, type Mark, type Trust } from './log-check.ts';

/** A character of more than one byte, in a text that has one for each. */
const WIDE = /[\x80-\xff]/;
const HEAD = /^\{"v":1,"log":"([0-9a-f-]{36})"/;
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A line that is none. It may be the end of a log whose writer died, if the next session says so. */
interface Fragment {
  readonly line: number;
  readonly code: VerifyCode;
  readonly bytes: number;
  readonly sha256: string;
  /** Id of the log that it seems to be of. */
  readonly log: string | undefined;
  /** Id of the log that was opened right after it. */
  opener?: string;
}

/** A checkpoint that was taken before its signature was looked at. */
interface Signature {
  readonly log: LogCheck;
  readonly line: number;
  /** Where the log stood before it. */
  readonly before: Mark;
  readonly holds: Promise<boolean>;
}

/** What a first line says of a line that was read long before. */
export interface Passed {
  /** Who says it, in which line of the file. */
  readonly log: LogCheck;
  readonly line: number;
  /** Id of the log that it is said of, and number and hash of its line. */
  readonly named: string;
  readonly seq: number;
  readonly hash: string;
}

/** Gets each line that is right, once its log has taken it. */
export type OnEvent = (check: LogCheck, line: LogLine, text: string) => void;

/** Checks a file line by line. The lines of several logs may stand in it, each is checked by itself. */
export class FileCheck {
  readonly logs: Map<string, LogCheck> = new Map();
  /** What is expected of logs that did not come yet. */
  readonly expected: Map<string, Expectation[]>;
  /** The first line that is wrong, whichever log it is of. */
  bad: { readonly line: number; readonly code: VerifyCode } | undefined;
  lines = 0;
  /** Lines that are none, and that a later log vouches for. */
  fragments = 0;
  /** What nobody can tell without reading the file again. */
  readonly passed: Passed[] = [];
  readonly #trust: Trust;
  readonly #onEvent: OnEvent | undefined;
  #last: LogCheck | undefined;
  #fragment: Fragment | undefined;
  readonly #signatures: Signature[] = [];

  /** @param onEvent slows the check down: every line is then read in full. */
  constructor(trust: Trust, expected: ReadonlyMap<string, readonly Expectation[]>, onEvent?: OnEvent) {
    this.#trust = trust;
    this.#onEvent = onEvent;
    this.expected = new Map([...expected].map(([id, list]) => [id, [...list]]));
  }

  readonly onLine = (text: string, start: number, end: number, bytes: Buffer): void => {
    this.lines++;
    const last = this.#last;
    if (last !== undefined && this.#fragment === undefined) {
      // What follows the first bad line of a log is wrong for that reason alone.
      if (last.bad !== undefined && last.isOwn(text, start)) return;
      if (this.#onEvent === undefined && last.isNext(text, start, end)) {
        // Every character is one byte of ASCII here, so the text is hashed to the same as the bytes.
        this.#take(last, text.slice(start, end));
        return;
      }
    }
    const slice = text.slice(start, end);
    const line = WIDE.test(slice) ? decode(bytes.subarray(start, end)) : slice;
    const parsed = line === undefined ? 'E_FORMAT' : parseLine(line);
    if (line === undefined || typeof parsed === 'string') {
      this.#giveUpFragment();
      this.#fragment = fragmentOf(this.lines, parsed as VerifyCode, bytes.subarray(start, end), slice);
    } else this.#event(parsed, line);
  };

  #event(line: LogLine, text: string): void {
    if (this.#fragment !== undefined && !this.#vouches(this.#fragment, line)) this.#giveUpFragment();
    const log = this.logs.get(line.log) ?? this.#begin(line.log);
    this.#last = log;
    if (log.bad !== undefined) return;
    const before = log.mark();
    const problem = log.problem(line) ?? this.#problemNamed(log, line);
    if (problem !== undefined) return void this.#fail(log, this.lines, problem);
    if (!this.#take(log, text)) return;
    if (line.kind === 'checkpoint')
      this.#signatures.push({ log, line: this.lines, before, holds: log.signatureHolds(line) });
    this.#onEvent?.(log, line, text);
  }

  /** Waits for signatures, which are a sixth of all work and looked at by other threads, until this many are left. */
  async settle(left: number): Promise<void> {
    if (this.#signatures.length <= left) return;
    const signatures = this.#signatures.splice(0, this.#signatures.length - left);
    const verdicts = await Promise.all(signatures.map(({ holds }) => holds));
    for (const [i, { log, line, before }] of signatures.entries()) {
      // A log that broke before this line is where it should be.
      if (verdicts[i] === true || (log.bad !== undefined && log.bad.line < line)) continue;
      log.rewind(before);
      this.#fail(log, line, 'E_SIG');
    }
  }

  #take(log: LogCheck, text: string): boolean {
    const problem = log.take(lineHash(text));
    if (problem !== undefined) this.#fail(log, this.lines, problem);
    return problem === undefined;
  }

  #begin(id: string): LogCheck {
    const log = new LogCheck(id, this.#trust, this.expected.get(id) ?? []);
    this.expected.delete(id);
    this.logs.set(id, log);
    return log;
  }

  /** What a first line says of other logs: of the line that opened it, and of the logs that were there before. */
  #problemNamed(by: LogCheck, { parent, prior = [] }: LogLine): VerifyCode | undefined {
    const heads = parent === undefined ? prior : [...prior, { ...parent, size: parent.seq + 1 }];
    for (const { log, size, hash } of heads) {
      const other = this.logs.get(log);
      const expectation: Expectation = { size, hash, code: 'E_CHAIN', ifPresent: true };
      if (other === undefined) this.#expect(log, expectation);
      else if (other.bad === undefined) {
        if (size < other.size) this.passed.push({ log: by, line: this.lines, named: log, seq: size - 1, hash });
        const problem = other.expect(expectation);
        if (problem !== undefined) return problem;
      }
    }
    return undefined;
  }

  #expect(id: string, expectation: Expectation): void {
    const here = this.expected.get(id);
    if (here === undefined) this.expected.set(id, [expectation]);
    else here.push(expectation);
  }

  /** What it says is not so. */
  refuse({ log, line }: Passed): void {
    log.rewind({ size: 0, signedThrough: 0 });
    this.#fail(log, line, 'E_CHAIN');
  }

  /** The fragment, the first line of the next session and its `log_recovered` stand one after the other. */
  #vouches(fragment: Fragment, line: LogLine): boolean {
    if (fragment.opener === undefined) {
      if (line.kind !== 'session_open') return false;
      fragment.opener = line.log;
      return true;
    }
    const { kind, log, bytes, sha256 } = line;
    const same = bytes === fragment.bytes && bytes > 0 && sha256 === fragment.sha256;
    if (kind !== 'log_recovered' || log !== fragment.opener || !same) return false;
    this.fragments++;
    this.#fragment = undefined;
    return true;
  }

  #giveUpFragment(): void {
    const fragment = this.#fragment;
    if (fragment === undefined) return;
    this.#fragment = undefined;
    const { line, code } = fragment;
    const log = this.logs.get(fragment.log ?? '');
    if (log !== undefined) this.#fail(log, line, code);
    else this.#note(line, code);
  }

  #fail(log: LogCheck, line: number, code: VerifyCode): void {
    if (log.bad === undefined || log.bad.line > line) log.bad = { line, code };
    this.#note(line, code);
  }

  #note(line: number, code: VerifyCode): void {
    if (this.bad === undefined || this.bad.line > line) this.bad = { line, code };
  }

  /** No line comes any more. What had to be there and is not is wrong with the line after the last one. */
  end(requireClosed: boolean, torn: boolean): void {
    this.#giveUpFragment();
    const after = this.lines + 1;
    for (const log of this.logs.values()) {
      if (log.bad === undefined && (log.isShort || (requireClosed && !log.closed))) {
        this.#fail(log, after, 'E_TRUNCATED');
      }
    }
    const absent = [...this.expected.values()].some((list) => list.some(({ ifPresent }) => ifPresent !== true));
    if (absent || (requireClosed && (torn || this.logs.size === 0))) this.#note(after, 'E_TRUNCATED');
  }
}

function decode(bytes: Buffer): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

function fragmentOf(line: number, code: VerifyCode, bytes: Buffer, text: string): Fragment {
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { line, code, bytes: bytes.length, sha256, log: HEAD.exec(text)?.[1] };
}
