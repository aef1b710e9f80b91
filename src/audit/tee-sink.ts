import { isPromiseLike, type MaybePromise, quietly } from '../internal/maybe-promise.ts';
import { checkInteger, checkOptions, shown } from '../internal/options.ts';
import { codeWord, failed } from './failure.ts';
import type { AuditSink, Recovered, TornTail } from './sink.ts';

/** So many writes without an answer, and a sink counts as failed: a stalled one must not fill the memory. */
const MAX_UNANSWERED = 10_000;

export interface TeeSinkOptions {
  /**
   * How many sinks must have recorded a line before it counts: `'all'`, `'any'`, or 1 to the number of sinks.
   * Default: `'all'`.
   */
  readonly quorum?: 'all' | 'any' | number;
  /**
   * Told once of each sink that is left out from now on, with its name, why, and its place in the list. What it throws is
   * ignored. Default: a process warning that names the sink and the error's code.
   */
  readonly onFailure?: (name: string, error: unknown, index: number) => void;
}

/**
 * Hands the same bytes to several sinks, so that every copy verifies by itself. A write succeeds as soon as the quorum has
 * it (at once, where enough sinks answer at once) and fails when the quorum cannot be reached any more.
 *
 * A sink that failed once has a gap, and is left out for good; when fewer than the quorum are left, every later write
 * throws the error of the sink that was one too many, and nothing is written to the others either. A sink that leaves
 * 10 000 writes unanswered counts as failed.
 *
 * Of the place where a log begins all copies say what the first sink says that knows it: its torn line (`log_recovered`),
 * which the others need not have, and the heads of earlier logs. A copy that has lost lines of those shows it. One log can
 * put one torn line on record, so a sink that ends in another one is left out; to take it up again, open one session with
 * that sink alone.
 *
 * `sync` and `close` wait for all sinks that are left, and succeed when the quorum does.
 *
 * @throws {TypeError} not a list of sinks, a sink twice, an unknown option; @throws {RangeError} an empty list, a quorum
 * that cannot be reached.
 */
export function teeSink(sinks: readonly AuditSink[], options: TeeSinkOptions = {}): AuditSink {
  if (!Array.isArray(sinks)) throw new TypeError(`teeSink expects an array of sinks, got ${shown(sinks)}`);
  if (sinks.length === 0) throw new RangeError('teeSink expects at least one sink');
  // Unlike forEach(), entries() does not step over holes.
  for (const [i, sink] of (sinks as readonly AuditSink[]).entries()) {
    if (typeof (sink as Partial<AuditSink> | null | undefined)?.write !== 'function') {
      throw new TypeError(`teeSink: sinks[${i}] must be a sink such as fileSink(path), got ${shown(sink)}`);
    }
    if (sinks.indexOf(sink) !== i) throw new TypeError(`teeSink: sinks[${i}] is in the list twice`);
  }
  checkOptions('teeSink', options, ['quorum', 'onFailure']);
  const { quorum = 'all', onFailure = warn } = options;
  if (typeof onFailure !== 'function') {
    throw new TypeError(`\`teeSink.onFailure\` must be a function, got ${shown(onFailure)}`);
  }
  return new TeeSink([...sinks], readQuorum(quorum, sinks.length), onFailure);
}

function readQuorum(quorum: unknown, count: number): number {
  if (quorum === 'all') return count;
  if (quorum === 'any') return 1;
  if (typeof quorum !== 'number') {
    throw new TypeError(`\`teeSink.quorum\` must be 'all', 'any' or a number of sinks, got ${shown(quorum)}`);
  }
  checkInteger('teeSink.quorum', quorum, 1);
  if (quorum > count) throw new RangeError(`\`teeSink.quorum\` is ${quorum}, and there are ${count} sinks`);
  return quorum;
}

function warn(name: string, error: unknown): void {
  process.emitWarning(`the audit sink "${name}" failed${codeWord(error)} and is left out`, {
    code: 'LEASHKIT_AUDIT_SINK_FAILED',
  });
}

interface Member {
  readonly sink: AuditSink;
  readonly index: number;
  failed: boolean;
  /** Writes without an answer: each takes whether the line, and all before it, were recorded. */
  readonly unanswered: Set<(recorded: boolean) => void>;
  /** The answer to the newest write that had to wait for one. */
  last: Promise<boolean> | undefined;
}

class TeeSink implements AuditSink {
  readonly name = 'tee';
  readonly #members: readonly Member[];
  readonly #quorum: number;
  readonly #onFailure: NonNullable<TeeSinkOptions['onFailure']>;
  #left: number;
  /** Fewer than the quorum are left: the error that made it so. */
  #failure: { readonly error: unknown } | undefined;

  constructor(sinks: readonly AuditSink[], quorum: number, onFailure: NonNullable<TeeSinkOptions['onFailure']>) {
    this.#members = sinks.map((sink, index) => ({
      sink,
      index,
      failed: false,
      unanswered: new Set(),
      last: undefined,
    }));
    this.#quorum = quorum;
    this.#onFailure = onFailure;
    this.#left = sinks.length;
  }

  #fail(member: Member, error: unknown): void {
    if (member.failed) return;
    member.failed = true;
    this.#left--;
    if (this.#left < this.#quorum) this.#failure ??= { error: error ?? new Error('an audit sink failed') };
    try {
      this.#onFailure(member.sink.name, error, member.index);
    } catch {
      // It was told; what it does with that is its own affair.
    }
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  recover(): Recovered | undefined {
    this.#check();
    let torn: TornTail | undefined;
    let prior: Recovered['prior'];
    for (const member of this.#members) {
      if (member.failed) continue;
      try {
        const found = member.sink.recover?.();
        torn ??= found?.torn;
        prior ??= found?.prior;
        if (found?.torn === undefined || found.torn.sha256 === torn?.sha256) continue;
        this.#fail(member, tornOtherwise());
        // Others may want to go on behind its torn line.
        quietly(() => member.sink.close?.());
      } catch (error) {
        this.#fail(member, error);
      }
    }
    this.#check();
    return torn === undefined && prior === undefined ? undefined : { torn, prior };
  }

  write(lines: string, first: number, last: number): MaybePromise<void> {
    let recorded = 0;
    const answers: Promise<boolean>[] = [];
    for (const member of this.#members) {
      this.#check();
      if (member.failed) continue;
      try {
        const written = member.sink.write(lines, first, last) as unknown;
        if (isPromiseLike(written) || member.unanswered.size > 0) answers.push(this.#answer(member, written));
        else recorded++;
      } catch (error) {
        this.#fail(member, error);
      }
    }
    if (recorded >= this.#quorum) return undefined;
    this.#check();
    return this.#reach(this.#quorum - recorded, answers);
  }

  /** Whether the sink has the lines and all before them: behind a gap they are no copy. Never rejects. */
  #answer(member: Member, written: unknown): Promise<boolean> {
    const before = member.last;
    const answer = new Promise<boolean>((resolve) => {
      member.unanswered.add(resolve);
      const settle = (recorded: boolean): void => {
        member.unanswered.delete(resolve);
        resolve(recorded);
      };
      Promise.all([written, before]).then(
        ([, recorded]) => settle(recorded !== false),
        (error) => {
          this.#fail(member, error);
          settle(false);
        },
      );
    });
    member.last = answer;
    if (member.unanswered.size > MAX_UNANSWERED) {
      this.#fail(member, failed('ETIMEDOUT', 'the sink does not answer'));
      for (const resolve of member.unanswered) resolve(false);
      member.unanswered.clear();
    }
    return answer;
  }

  #reach(wanted: number, answers: readonly Promise<boolean>[]): Promise<void> {
    let yes = 0;
    let open = answers.length;
    return new Promise((resolve, reject) => {
      for (const answer of answers) {
        void answer.then((recorded) => {
          open--;
          if (recorded) yes++;
          if (yes >= wanted) resolve();
          else if (yes + open < wanted) reject(this.#failure?.error ?? new Error('an audit sink failed'));
        });
      }
    });
  }

  async sync(): Promise<void> {
    await this.#each((sink) => sink.sync?.());
  }

  async close(): Promise<void> {
    for (const { sink, failed } of this.#members) {
      // It may hold a descriptor; what it has to say was said.
      if (failed) quietly(() => sink.close?.());
    }
    await this.#each((sink) => sink.close?.());
  }

  async #each(act: (sink: AuditSink) => MaybePromise<void> | undefined): Promise<void> {
    const left = this.#members.filter(({ failed }) => !failed);
    await Promise.all(
      left.map(async (member) => {
        try {
          await act(member.sink);
        } catch (error) {
          this.#fail(member, error);
        }
      }),
    );
    this.#check();
  }
}

function tornOtherwise(): Error {
  const message = 'the copy ends in another torn line than the first: open a session with this sink alone';
  return failed('TORN_COPY', message);
}
