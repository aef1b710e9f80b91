import type { LogInit } from '../../src/audit/log.ts';
import { FakeClock } from './clock.ts';

/** What a log needs to begin: unsigned, with nothing before it. */
export function logInit(sink: LogInit['sink'], more: Partial<LogInit> = {}): LogInit {
  return {
    sink,
    clock: new FakeClock(),
    originName: 'leash.local',
    args: 's1',
    key: new Uint8Array(32),
    lib: 'leashkit/0.1.0',
    agent: 'agent',
    session: 'session',
    mode: 'enforce',
    guards: '0'.repeat(64),
    parent: undefined,
    sign: 'none',
    signer: undefined,
    rotateEvery: Number.POSITIVE_INFINITY,
    onError: 'deny',
    onCheckpoint: undefined,
    timeoutMs: 10_000,
    ...more,
  };
}
