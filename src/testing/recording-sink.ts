import type { AuditSink } from '../audit/sink.ts';
import { checkInteger, checkName, shown } from '../internal/options.ts';
import { type AnyCode, checkExpected, described, type ExpectedDenial, matches } from './denial.ts';
import { failure } from './failure.ts';

/** A line of the log. It has the fields that its kind has in the format `leash-log/1`. */
export interface RecordedEvent {
  /** Id of the log. */
  readonly log: string;
  readonly seq: number;
  /** ISO 8601, in UTC. */
  readonly ts: string;
  readonly kind: string;
  /** Id of the call. */
  readonly call?: string;
  readonly tool?: string;
  /** Of a refusal: its code, who refused (not in `egress_denied`), and the short word for why. */
  readonly code?: string;
  readonly guard?: string;
  readonly reason?: string;
  /** The leash only observes: the call ran all the same. */
  readonly observed?: 1;
  /** Decimal amounts. */
  readonly usd?: string;
  readonly sat?: string;
  readonly [field: string]: unknown;
}

/** What refusals in a log are to say, and how many there are to be. */
export interface ExpectedDenials extends ExpectedDenial {
  /** How many there are to be. Integer >= 0. Default: one or more. */
  readonly times?: number;
}

/**
 * Keeps the log, and fails a test with what is in it. Several leashes may share one. It is the bytes of the log too, for
 * `verifyLog(sink)`.
 */
export interface RecordingSink extends AuditSink, AsyncIterable<Uint8Array> {
  /** The lines without LF. */
  readonly lines: readonly string[];
  readonly events: readonly RecordedEvent[];
  /** The kinds of the events, in order, without `checkpoint` and `key_rotated`, which come by the clock. */
  readonly kinds: readonly string[];
  /** `tool_denied`, `budget_denied` and `egress_denied`, in order; also what was only observed. */
  readonly denials: readonly RecordedEvent[];
  /** How many calls have begun, of one tool or of all. */
  ran(tool?: string): number;
  /** @throws {AssertionError} the kinds are others, or in another order. */
  expectKinds(kinds: readonly string[]): void;
  /** @throws {AssertionError} more or fewer calls of the tool have begun. */
  expectRan(tool: string, times: number): void;
  /** The events of these refusals. @throws {AssertionError} there are none, or not as many. */
  expectDenied(code: AnyCode, expected?: ExpectedDenials): readonly RecordedEvent[];
  /** @throws {AssertionError} something was refused, or would have been. */
  expectNothingDenied(): void;
  /** The events as a table, which the failures show too. */
  toString(): string;
}

/** For `createLeash({ audit })`. What its methods cannot make sense of is a `TypeError` or a `RangeError`. */
export function recordingSink(): RecordingSink {
  return new Recording();
}

const DENIALS: readonly string[] = ['tool_denied', 'budget_denied', 'egress_denied'];
const BY_THE_CLOCK: readonly string[] = ['checkpoint', 'key_rotated'];

class Recording implements RecordingSink {
  readonly name = 'recording';
  readonly lines: string[] = [];

  write(text: string): void {
    for (const line of text.slice(0, -1).split('\n')) this.lines.push(line);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (const line of this.lines) yield Buffer.from(`${line}\n`);
  }

  get events(): readonly RecordedEvent[] {
    return this.lines.map((line) => JSON.parse(line));
  }

  get kinds(): readonly string[] {
    return this.events.map(({ kind }) => kind).filter((kind) => !BY_THE_CLOCK.includes(kind));
  }

  get denials(): readonly RecordedEvent[] {
    return this.events.filter(({ kind }) => DENIALS.includes(kind));
  }

  ran(tool?: string): number {
    return this.events.filter((event) => event.kind === 'tool_start' && (tool ?? event.tool) === event.tool).length;
  }

  expectKinds(kinds: readonly string[]): void {
    if (!Array.isArray(kinds)) throw new TypeError(`expectKinds expects an array of kinds, got ${shown(kinds)}`);
    const { kinds: actual } = this;
    const same = actual.length === kinds.length && actual.every((kind, i) => kind === kinds[i]);
    if (!same) throw this.#failure(`expected the events ${kinds.join(' ')}`, actual, kinds, this.expectKinds);
  }

  expectRan(tool: string, times: number): void {
    checkName('tool', tool);
    const actual = this.ran(tool);
    if (actual === checkInteger('times', times, 0)) return;
    throw this.#failure(
      `expected ${counted(times, 'call')} of tool "${tool}" to run, got ${actual}`,
      actual,
      times,
      this.expectRan,
    );
  }

  expectDenied(code: AnyCode, expected: ExpectedDenials = {}): readonly RecordedEvent[] {
    checkName('code', code);
    checkExpected('expectDenied', expected, ['times']);
    const { times, ...rest } = expected;
    if (times !== undefined) checkInteger('times', times, 0);
    const wanted = { code, ...rest };
    const found = this.denials.filter((event) => matches(event, wanted));
    if (times === undefined ? found.length > 0 : found.length === times) return found;
    const asked = `expected ${described(wanted)}${times === undefined ? '' : ` ${counted(times, 'time')}`}`;
    const got = found.length === 0 ? 'none' : found.length;
    throw this.#failure(`${asked}, got ${got}`, this.#denied(), [wanted], this.expectDenied);
  }

  expectNothingDenied(): void {
    const denied = this.#denied();
    if (denied.length > 0) throw this.#failure('expected no refusal', denied, [], this.expectNothingDenied);
  }

  /** Worth a line in a difference. */
  #denied(): readonly object[] {
    return this.denials.map(({ code, tool, guard, reason }) => ({ code, tool, guard, reason }));
  }

  #failure(what: string, actual: unknown, expected: unknown, from: (...args: never[]) => unknown): Error {
    return failure({ message: `${what}.\nThe log:\n${this}`, actual, expected }, from);
  }

  toString(): string {
    if (this.lines.length === 0) return '  (empty)';
    return this.events
      .map((event) => {
        const denied = DENIALS.includes(event.kind) ? described({ ...event, tool: undefined }) : '';
        const observed = event.observed === undefined ? '' : 'observed: ';
        const cells = [String(event.seq).padStart(4), event.kind.padEnd(14), event.tool ?? '', observed + denied];
        return cells.join(' ').trimEnd();
      })
      .join('\n');
  }
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
