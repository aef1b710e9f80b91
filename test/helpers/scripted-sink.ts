import type { AuditSink } from '../../src/audit/sink.ts';
import { type Report, readLogs } from './log-verifier.ts';

export interface Batch {
  readonly lines: string;
  readonly first: number;
  readonly last: number;
}

/** A sink that does what the test wants with every write, and keeps what it took. */
export class ScriptedSink implements AuditSink {
  readonly name = 'scripted';
  readonly taken: Batch[] = [];
  /** What it was to take, whatever became of that. */
  readonly offered: Batch[] = [];
  closed = 0;
  /** Throws, or answers with what the log is to get. */
  answer: (batch: Batch) => void | Promise<void> = () => undefined;

  write(lines: string, first: number, last: number): void | Promise<void> {
    const batch = { lines, first, last };
    this.offered.push(batch);
    const answer = this.answer(batch);
    if (answer === undefined) {
      this.taken.push(batch);
      return undefined;
    }
    return answer.then(() => {
      this.taken.push(batch);
    });
  }

  close(): void {
    this.closed++;
  }

  /** Everything that it took. */
  get text(): string {
    return this.taken.map(({ lines }) => lines).join('');
  }

  get report(): Report {
    return readLogs(this.text);
  }

  get kinds(): string[] {
    return this.taken.flatMap(({ lines }) => [...lines.matchAll(/"kind":"(\w+)"/g)].map(([, kind]) => kind as string));
  }
}
