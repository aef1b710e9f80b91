import { describe, expect, it } from 'vitest';
import { denialIn, toldOf } from '../../../src/adapters/framework/denial.ts';
import { AuditUnavailableError } from '../../../src/errors.ts';
import { callCap } from '../../../src/guards/call-cap.ts';
import { rateLimit } from '../../../src/guards/rate-limit.ts';
import { createLeash } from '../../../src/leash.ts';
import type { Leash } from '../../../src/leash-contract.ts';
import { rejection, thrownBy } from '../../helpers/refused.ts';

const denied = async (leash: Leash): Promise<Error> => rejection(leash.run({ tool: 't' }, () => 1));
const once = (): Leash => createLeash({ guards: [rateLimit({ max: 1, per: '1h' })] });

describe('denialIn', () => {
  it('finds a refusal in what a framework made of it, and nothing else', async () => {
    const leash = createLeash({ guards: [callCap(0)] });
    const denial = await denied(leash);
    const wrapped = Object.assign(new Error('framework'), { error: new Error('more', { cause: denial }) });
    expect([denialIn(denial), denialIn(wrapped)]).toEqual([denial, denial]);
    for (const other of [new Error('own'), new AuditUnavailableError('disk full'), 'text', undefined]) {
      expect(denialIn(other)).toBeUndefined();
    }
  });
});

describe('toldOf', () => {
  it('is the message of a refusal that leaves the session open', async () => {
    const leash = once();
    await leash.run({ tool: 't' }, () => 1);
    const denial = await denied(leash);
    expect(toldOf(leash, denial)).toBe(denial.message);
    expect(toldOf(leash, new Error('framework', { cause: denial }))).toBe(denial.message);
  });

  it('throws what is no refusal, as it is', () => {
    for (const other of [new RangeError('own'), new AuditUnavailableError('disk full'), 'text']) {
      expect(thrownBy(() => toldOf(once(), other))).toBe(other);
    }
  });

  it('throws why the session has ended', async () => {
    const leash = createLeash({ guards: [callCap(0)] });
    const first = await denied(leash);
    const second = await denied(leash);
    expect(second).not.toBe(first);
    const aborted = new DOMException('aborted', 'AbortError');
    for (const error of [first, second, aborted]) expect(thrownBy(() => toldOf(leash, error))).toBe(leash.breach);
  });

  it('throws that it was closed', async () => {
    const leash = once();
    await leash.close();
    const denial = await denied(leash);
    expect(leash.breach).toBeUndefined();
    expect(thrownBy(() => toldOf(leash, denial))).toBe(denial);
  });
});
