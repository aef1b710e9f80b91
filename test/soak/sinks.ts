import { appendFileSync, renameSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { fileSink } from '../../src/audit/file-sink.ts';
import type { AuditSink } from '../../src/audit/sink.ts';
import type { SeededRandom } from '../helpers/random.ts';

/**
 * Where logs go. `throws`: now and then a write is refused, and nothing of it recorded. `slow`: each takes a while.
 * `rotating`: the file is moved away while it is written. `breaks`: one day a write rejects, which ends the log.
 * `short disk`: one day half of a line is written, and then nothing any more.
 */
export const SINKS = ['steady', 'throws', 'slow', 'rotating', 'breaks', 'short disk'] as const;
export type SinkKind = (typeof SINKS)[number];

/** After so many writes a sink that breaks does. */
const LIFE = [50, 400] as const;

export class FaultySink implements AuditSink {
  readonly name = 'faulty';
  readonly kind: SinkKind;
  readonly path: string;
  calm = false;
  /** Takes nothing any more. */
  dead = false;
  /** Another one goes on behind the torn line. */
  continued = false;
  faults = 0;
  /** By log: how many refusals of calls could not be recorded, so that they were refused for that. */
  readonly unrecorded: Map<string, number> = new Map();
  /** Where the file was moved. */
  readonly moved: string[] = [];
  readonly #file: AuditSink;
  readonly #random: SeededRandom;
  #left: number;
  #last: Promise<void> = Promise.resolve();

  constructor(kind: SinkKind, path: string, random: SeededRandom) {
    this.kind = kind;
    this.path = path;
    this.#random = random;
    this.#left = random.integer(...LIFE);
    this.#file = fileSink(path, { durability: 'never' });
  }

  recover(): ReturnType<NonNullable<AuditSink['recover']>> {
    return this.#file.recover?.();
  }

  write(lines: string, first: number, last: number): void | Promise<void> {
    if (this.dead) throw new Error('the disk is full');
    try {
      return this.#write(lines, first, last);
    } catch (error) {
      const [, log = ''] = /"log":"([^"]+)"[^\n]*"kind":"(?:tool|budget)_denied"[^\n]*\n$/.exec(lines) ?? [];
      if (log !== '' && !lines.includes('"observed":1,')) this.unrecorded.set(log, (this.unrecorded.get(log) ?? 0) + 1);
      throw error;
    }
  }

  #write(lines: string, first: number, last: number): void | Promise<void> {
    this.#left--;
    switch (this.kind) {
      case 'throws':
        if (!this.calm && this.#random.happens(40)) {
          this.faults++;
          throw new Error('try again');
        }
        break;
      case 'slow':
        this.#last = this.#last.then(async () => {
          if (this.#random.happens(4)) await pause(this.#random.integer(1, 15));
          await this.#file.write(lines, first, last);
        });
        return this.#last;
      case 'rotating':
        if (this.#left <= 0 && this.moved.length < 3 && !this.calm) {
          this.faults++;
          this.#left = this.#random.integer(...LIFE);
          this.moved.push(`${this.path}.${crypto.randomUUID()}`);
          renameSync(this.moved.at(-2) ?? this.path, this.moved.at(-1) as string);
        }
        break;
      case 'breaks':
        if (this.#left <= 0 && !this.calm) {
          this.faults++;
          this.dead = true;
          return Promise.reject(new Error('the connection was reset'));
        }
        break;
      case 'short disk':
        if (this.#left <= 0 && !this.calm) {
          this.faults++;
          this.dead = true;
          appendFileSync(this.path, lines.slice(0, this.#random.integer(1, lines.length - 2)));
          throw new Error('the disk is full');
        }
        break;
      case 'steady':
        break;
    }
    return this.#file.write(lines, first, last);
  }

  async close(): Promise<void> {
    await this.#last;
    await this.#file.close?.();
  }
}
