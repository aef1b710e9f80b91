import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ToWorker } from '../../src/isolated/messages.ts';
import { WorkerCalls } from '../../src/isolated/worker-calls.ts';
import { thrownBy } from '../helpers/refused.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

interface Trial {
  readonly calls: WorkerCalls;
  readonly posted: ToWorker[];
  readonly overdue: string[];
}

function trial(): Trial {
  const posted: ToWorker[] = [];
  const overdue: string[] = [];
  const calls = new WorkerCalls({
    post: (message) => posted.push(message),
    ended: () => {},
    timeoutMs: 1_000,
    overdue: (name) => overdue.push(name),
  });
  return { calls, posted, overdue };
}

describe('the time of a call', () => {
  it('runs from its own beginning', async () => {
    const { calls, overdue } = trial();
    for (let call = 1; call <= 5; call++) {
      const running = calls.start('quick', []);
      vi.advanceTimersByTime(900);
      calls.returned(call, 'done');
      expect(await running).toBe('done');
    }
    calls.start('slow', []).catch(() => {});
    vi.advanceTimersByTime(999);
    expect(overdue).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(overdue).toEqual(['slow']);
    calls.rejectAll(new Error('over'));
    vi.advanceTimersByTime(10_000);
    expect(overdue).toEqual(['slow']);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('calls of a worker', () => {
  it('are answered once', () => {
    const { calls } = trial();
    calls.start('a', []).catch(() => {});
    calls.returned(1, 'a');
    const error = { kind: 'thrown', call: 1, error: { name: 'Error', message: '' }, refused: undefined } as const;
    expect(thrownBy(() => calls.returned(1, 'a'))).toBeInstanceOf(TypeError);
    expect(thrownBy(() => calls.thrown(1, error))).toBeInstanceOf(TypeError);
  });
});
