import type {
  Decision,
  Forfeited,
  HoldState,
  Line,
  Reading,
  Reserve,
  Settle,
  Settled,
  Store,
} from '../../src/stores/store.ts';

/** A database in its simplest form: each call is atomic, and two of them are not. */
export interface Cells {
  get(key: string): Promise<string | undefined>;
  set(key: string, value: string): Promise<void>;
  add(key: string, amount: number): Promise<void>;
  remove(key: string): Promise<void>;
  /** Keys that begin like this. */
  list(prefix: string): Promise<string[]>;
}

interface Hold {
  readonly state: HoldState;
  readonly lines: readonly Pick<Line, 'scope' | 'meter' | 'amount'>[];
  readonly leaseEnd: number;
  readonly corrected?: true;
}

/**
 * What one writes first: read what is spent, check, add. Right for one caller at a time, on counters without a window whose
 * amounts are booked when they are settled; nobody can be sure of it with more. It shows that a harness sees what it is for.
 */
export function naiveStore(cells: Cells): Store {
  const number = async (key: string): Promise<number> => Number(await cells.get(key)) || 0;
  const hold = async (id: string): Promise<Hold | undefined> => {
    const text = await cells.get(`hold ${id}`);
    return text === undefined ? undefined : JSON.parse(text);
  };
  const keep = (id: string, value: Hold): Promise<void> => cells.set(`hold ${id}`, JSON.stringify(value));
  const used = ({ scope, meter }: Hold['lines'][number]): string => `used ${scope} ${meter}`;
  const held = ({ scope, meter }: Hold['lines'][number]): string => `held ${scope} ${meter}`;

  async function reserve({ id, lines, leaseMs }: Reserve): Promise<Decision> {
    const refused = (why: 'conflict' | 'terminal' | 'stopped', line = -1): Decision => {
      return { ok: false, why, line, nowMs: Date.now() };
    };
    const known = await hold(id);
    if (known?.state === 'void') return refused('terminal');
    const rooms: number[] = [];
    const wanted = new Map<string, number>();
    for (const [i, line] of lines.entries()) {
      const [spent, open] = [await number(used(line)), await number(held(line))];
      const before = wanted.get(used(line)) ?? 0;
      rooms.push(line.cap - spent - open);
      if (known !== undefined) continue;
      if ((await cells.get(`stop ${line.scope}`)) === 'yes') return refused('stopped', i);
      const own = before + line.amount;
      const left = line.cap - spent - open - before;
      if (own > line.cap) return { ok: false, why: 'exceeds_cap', line: i, left };
      if (own > line.cap - spent) return { ok: false, why: 'exhausted', line: i, left };
      if (line.amount > left) return { ok: false, why: 'in_flight', line: i, left };
      wanted.set(used(line), own);
    }
    const left = lines.map((line, i) => (rooms[i] as number) - (wanted.get(used(line)) ?? 0));
    if (known !== undefined) {
      const same =
        known.lines.length === lines.length && known.lines.every(({ amount }, i) => amount === lines[i]?.amount);
      return same ? { ok: true, repeat: known.state, left } : refused('conflict');
    }
    for (const line of lines) await cells.add(held(line), line.amount);
    await cells.set(`open ${id}`, '');
    await keep(id, {
      state: 'held',
      lines: lines.map(({ scope, meter, amount }) => ({ scope, meter, amount })),
      leaseEnd: Date.now() + leaseMs,
    });
    return { ok: true, repeat: undefined, left };
  }

  async function settle({ id, actual }: Settle): Promise<Settled> {
    const known = await hold(id);
    if (known === undefined) {
      await keep(id, { state: 'void', lines: [], leaseEnd: 0 });
      return { state: 'unknown', first: true, overrun: [] };
    }
    const beyond = known.lines.map(({ amount }, i) =>
      typeof actual === 'string' ? 0 : Math.max(0, (actual[i] ?? 0) - amount),
    );
    if (known.state !== 'held') {
      if (known.state !== 'forfeited' || known.corrected || typeof actual === 'string') {
        return { state: known.state, first: false, overrun: [] };
      }
      await keep(id, { ...known, corrected: true });
      for (const [i, line] of known.lines.entries()) await cells.add(used(line), beyond[i] as number);
      return { state: known.state, first: false, overrun: beyond };
    }
    const state = actual === 'void' ? 'void' : actual === 'forfeit' ? 'forfeited' : 'settled';
    await keep(id, { ...known, state });
    await cells.remove(`open ${id}`);
    for (const [i, line] of known.lines.entries()) {
      await cells.add(held(line), -line.amount);
      if (actual !== 'void') await cells.add(used(line), actual === 'forfeit' ? line.amount : (actual[i] as number));
    }
    return { state, first: true, overrun: beyond };
  }

  return {
    open: async (scopes) => Object.fromEntries(scopes.map((scope) => [scope, 'naive'])),
    reserve: (batch) => inTurn(batch, reserve),
    settle: (batch) => inTurn(batch, settle),
    read: async (scopes) => {
      const readings: Record<string, Record<string, Reading>> = {};
      for (const scope of scopes) {
        const meters: Record<string, Reading> = {};
        readings[scope] = meters;
        for (const key of await cells.list(`held ${scope} `)) {
          const meter = key.slice(`held ${scope} `.length);
          meters[meter] = { used: await number(`used ${scope} ${meter}`), held: await number(key) };
        }
      }
      return readings;
    },
    sweep: async (limit) => {
      const forfeited: Forfeited[] = [];
      for (const key of await cells.list('open ')) {
        const id = key.slice('open '.length);
        const known = await hold(id);
        if (forfeited.length >= limit) break;
        if (known?.state !== 'held' || known.leaseEnd > Date.now()) continue;
        await settle({ id, actual: 'forfeit' });
        forfeited.push({ id });
      }
      return forfeited;
    },
    shut: () => undefined,
    stop: (scope) => cells.set(`stop ${scope}`, 'yes'),
    resume: (scope) => cells.set(`stop ${scope}`, 'no'),
  };
}

async function inTurn<T, R>(batch: readonly T[], decide: (item: T) => Promise<R>): Promise<R[]> {
  const answers: R[] = [];
  for (const item of batch) answers.push(await decide(item));
  return answers;
}
