import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { memorySink } from '../src/audit/memory-sink.ts';
import type { AuditSink } from '../src/audit/sink.ts';
import { currentCall } from '../src/call.ts';
import { type BudgetExceededError, isLeashError } from '../src/errors.ts';
import type { Guard } from '../src/guard.ts';
import { budget } from '../src/guards/budget.ts';
import { callCap } from '../src/guards/call-cap.ts';
import { rateLimit } from '../src/guards/rate-limit.ts';
import { createLeash } from '../src/leash.ts';
import type { Leash } from '../src/leash-contract.ts';
import type { Hold } from '../src/session/hold.ts';
import type { Ticket } from '../src/session/ticket.ts';
import type { OnError } from '../src/session/tool.ts';
import type { LimitUsage, Readings } from '../src/session/usage.ts';
import { memoryStore } from '../src/stores/memory.ts';
import type { Reserve, Store } from '../src/stores/store.ts';
import { FakeClock } from './helpers/clock.ts';
import { storeThrough, storeWith } from './helpers/store-around.ts';

const DAY_MS = 86_400_000;
const LEASE_MS = 300_000;

interface Money {
  readonly usd: number;
  readonly sat: number;
}

/** A guard in plain words: all amounts are whole dollars, sats and calls. */
interface Rule {
  readonly kind: 'budget' | 'callCap' | 'rateLimit' | 'pure';
  readonly unit: 'usd' | 'sat' | 'call';
  readonly cap: number;
  /** Rolling windows are at most 360 ms long, so that they are counted to the millisecond. */
  readonly per: 'session' | 'call' | 'day' | number;
  readonly scope: string | undefined;
  readonly tools: readonly string[] | undefined;
}

function guardOf({ kind, unit, cap, per, scope, tools }: Rule): Guard {
  const more = { ...(scope === undefined ? {} : { scope }), ...(tools === undefined ? {} : { tools }) };
  switch (kind) {
    case 'budget':
      return budget(unit === 'usd' ? { usd: cap, per, ...more } : { sat: cap, per, ...more });
    case 'callCap':
      return callCap({ max: cap, per: per as 'day', ...more });
    case 'rateLimit':
      return rateLimit({ max: cap, per: per as number, ...more });
    case 'pure': {
      const no = { allow: false, code: 'MINE', reason: 'bad' } as const;
      return { name: 'mine', check: ({ args }) => ((args as { bad?: boolean }).bad ? no : { allow: true }) };
    }
  }
}

interface Refusal {
  readonly code: string;
  readonly reason: string;
  readonly guard: string;
  readonly limit?: string | undefined;
  readonly cap?: string | number | undefined;
  readonly requested?: string | undefined;
  readonly remaining?: string | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly resetsAt?: number | undefined;
}

interface Booking {
  readonly now: number;
  readonly wall: number;
  readonly units: number;
}

/** What is counted under one name: a list of all that was ever booked. */
interface Counter {
  readonly scope: string;
  readonly per: Rule['per'];
  booked: Booking[];
  /** Booked on a day after the last one that a reservation was made on. */
  late: Booking[];
  day: number;
  held: number;
}

interface Line {
  readonly counter: Counter;
  readonly amount: number;
  readonly unit: Rule['unit'];
  readonly booking: Booking | undefined;
}

/** A reservation. */
interface Held {
  readonly session: Session;
  readonly isCall: boolean;
  readonly cost: Money;
  readonly onError: OnError;
  readonly lines: readonly Line[];
  readonly leaseEnd: number;
  told: Money | undefined;
  /** What has become of it in the store, and for its session. */
  store: 'held' | 'ended' | 'forfeited' | 'told';
  state: 'open' | 'ended' | 'forfeited';
}

interface Session {
  readonly parent: Session | undefined;
  readonly children: Session[];
  readonly id: string;
  readonly rules: readonly Rule[];
  readonly observes: boolean;
  readonly stopsOn: 'default' | 'none' | 'any';
  over: { code: string; reason: string } | undefined;
  breach: string | undefined;
  aborted: boolean;
  open: Held[];
  calls: number;
  denied: number;
  spent: Money;
  /** What `usage` goes on to say after the end. */
  last: { readonly limits: readonly string[] | undefined; readonly numbers: unknown } | undefined;
}

/** The limits on one counter. */
interface Group {
  readonly key: string;
  readonly limits: readonly [Rule, Session][];
}

const FREE: Money = { usd: 0, sat: 0 };
const NAMES = { budget: 'budget', callCap: 'call-cap', rateLimit: 'rate-limit', pure: 'mine' } as const;
const CODES = { budget: 'BUDGET_EXCEEDED', callCap: 'CALL_CAP_REACHED', rateLimit: 'RATE_LIMITED', pure: 'MINE' };
const UNITS = ['usd', 'sat'] as const;
const perName = (per: Rule['per']): string => (typeof per === 'number' ? `${per}ms` : per);
const most = (a: Money, b: Money): Money => ({ usd: Math.max(a.usd, b.usd), sat: Math.max(a.sat, b.sat) });
const plus = (a: Money, b: Money): Money => ({ usd: a.usd + b.usd, sat: a.sat + b.sat });
const sum = (all: readonly Booking[]): number => all.reduce((total, { units }) => total + units, 0);

/** Sessions in the plainest words. It shares nothing with src. */
class Model {
  readonly clock = new FakeClock(1_000, 20_000 * DAY_MS + DAY_MS / 2);
  readonly counters = new Map<string, Counter>();
  /** The latest time that each scope has seen. */
  readonly times = new Map<string, { now: number; wall: number }>();
  readonly sessions: Session[] = [];
  readonly held: Held[] = [];
  readonly #groups = new Map<string, readonly Group[]>();

  add(parent: Session | undefined, rules: readonly Rule[], observes: boolean, stopsOn: Session['stopsOn']): Session {
    const id = `s${this.sessions.length}`;
    const aborted = parent?.aborted ?? false;
    const session: Session = {
      ...{ parent, children: [], id, rules, observes, stopsOn, aborted, over: undefined, breach: undefined, open: [] },
      ...{ calls: 0, denied: 0, spent: FREE, last: undefined },
    };
    parent?.children.push(session);
    this.sessions.push(session);
    return session;
  }

  levels(session: Session): Session[] {
    return session.parent === undefined ? [session] : [session, ...this.levels(session.parent)];
  }

  over(session: Session): Session['over'] {
    const ends = this.levels(session).flatMap(({ over }) => over ?? []);
    return ends.find(({ code }) => code !== 'SESSION_BREACHED') ?? ends[0];
  }

  time(scope: string, after = 0): { now: number; wall: number } {
    const seen = this.times.get(scope) ?? { now: Number.NEGATIVE_INFINITY, wall: 0 };
    return { now: Math.max(seen.now, this.clock.now() + after), wall: Math.max(seen.wall, this.clock.wall() + after) };
  }

  /** Every scope that was used is looked at after each step. */
  look(): void {
    for (const scope of this.times.keys()) this.times.set(scope, this.time(scope));
  }

  used(counter: Counter, after = 0): number {
    const { now, wall } = this.time(counter.scope, after);
    const { per, booked, late, day } = counter;
    if (typeof per === 'number') return sum(booked.filter((each) => now - each.now <= per));
    return sum(per === 'day' && Math.floor(wall / DAY_MS) > day ? late : booked);
  }

  book(counter: Counter, units: number): Booking {
    const booking = { ...this.time(counter.scope), units };
    const late = counter.per === 'day' && Math.floor(booking.wall / DAY_MS) > counter.day;
    (late ? counter.late : counter.booked).push(booking);
    return booking;
  }

  /** The rules that concern a tool, or spend that is no call, each with its level; by counter, strictest first. */
  groups(session: Session, tool: string | undefined, all = false): readonly Group[] {
    const name = `${session.id} ${tool ?? ''} ${all}`;
    const known = this.#groups.get(name);
    if (known !== undefined) return known;
    const groups = new Map<string, [Rule, Session][]>();
    for (const level of this.levels(session)) {
      for (const rule of level.rules) {
        if (rule.kind === 'pure') continue;
        const concerns =
          tool === undefined ? !rule.tools && rule.unit !== 'call' : (rule.tools?.includes(tool) ?? true);
        if (!all && !concerns) continue;
        const scope = rule.scope === undefined ? level.id : `shared ${rule.scope}`;
        const key = JSON.stringify([scope, rule.unit, rule.per, rule.tools ?? null]);
        groups.set(key, [...(groups.get(key) ?? []), [rule, level]]);
      }
    }
    const rank = ([rule, level]: [Rule, Session]) => rule.cap + (level.observes ? 1_000 : 0);
    const made = [...groups].map(([key, limits]) => ({ key, limits: limits.toSorted((a, b) => rank(a) - rank(b)) }));
    this.#groups.set(name, made);
    return made;
  }

  counter(key: string): Counter {
    const [scope, , per] = JSON.parse(key) as [string, string, Rule['per']];
    const day = Math.floor(this.time(scope).wall / DAY_MS);
    const known = this.counters.get(key) ?? { scope, per, booked: [], late: [], day, held: 0 };
    this.counters.set(key, known);
    if (per === 'day' && day > known.day) {
      known.booked = known.late.some(({ wall }) => Math.floor(wall / DAY_MS) >= day) ? known.late : [];
      known.late = [];
      known.day = day;
    }
    return known;
  }

  /** A unit that a level with budgets has no budget for. */
  uncovered(session: Session, tool: string | undefined, cost: Money): Refusal | undefined {
    const groups = this.groups(session, tool).flatMap(({ limits }) => limits);
    for (const level of this.levels(session)) {
      const units = groups.filter(([rule, at]) => at === level && rule.unit !== 'call').map(([{ unit }]) => unit);
      const unit = UNITS.find((each) => units.length > 0 && cost[each] > 0 && !units.includes(each));
      if (unit === undefined || level.observes) continue;
      const why = { code: 'BUDGET_EXCEEDED', reason: 'exceeds_cap', guard: 'budget', limit: `${unit}/none` };
      return { ...why, cap: '0', requested: String(cost[unit]), remaining: '0' };
    }
    return undefined;
  }

  /** What needs no counter: units, and caps on each call. */
  checkMoney(session: Session, tool: string | undefined, cost: Money): Refusal | undefined {
    const uncovered = this.uncovered(session, tool, cost);
    if (uncovered !== undefined) return uncovered;
    for (const level of this.levels(session)) {
      for (const rule of level.rules) {
        const { unit, per, cap, tools, kind } = rule;
        if (kind !== 'budget' || per !== 'call' || level.observes) continue;
        if (tools !== undefined && !(tool !== undefined && tools.includes(tool))) continue;
        const amount = cost[unit as 'usd'];
        if (amount > cap) return refusal(rule, amount, cap, 'exceeds_cap');
      }
    }
    return undefined;
  }

  /** The first limit that has no room, without taking any. `name` is told of each counter that was looked at. */
  short(session: Session, tool: string | undefined, cost: Money, at: (key: string) => Counter): Refusal | undefined {
    for (const { key, limits } of this.groups(session, tool)) {
      const [rule, level] = limits[0] as [Rule, Session];
      const { unit, per } = rule;
      if (per === 'call') continue;
      const counter = at(key);
      const amount = unit === 'call' ? 1 : cost[unit];
      const room = (after?: number): number => rule.cap - this.used(counter, after) - counter.held;
      if (level.observes || amount === 0 || amount <= room()) continue;
      if (amount > rule.cap) return refusal(rule, amount, room(), 'exceeds_cap');
      if (this.used(counter) + amount <= rule.cap) return refusal(rule, amount, room(), 'in_flight');
      const more: { retryAfterMs?: number; resetsAt?: number } = {};
      if (per === 'day' && amount - room() <= sum(counter.booked)) {
        const resetsAt = (counter.day + 1) * DAY_MS;
        more.retryAfterMs = resetsAt - this.clock.wall();
        if (unit !== 'call') more.resetsAt = resetsAt;
      } else if (typeof per === 'number') {
        let wait = 1;
        while (wait < 1_200 && amount > room(wait)) wait++;
        if (wait < 1_200) more.retryAfterMs = wait;
      }
      return { ...refusal(rule, amount, room(), 'exhausted'), ...more };
    }
    return undefined;
  }

  /** Why a call cannot even come to be counted. */
  refusedAtOnce(session: Session, tool: string | undefined, cost: Money, bad: boolean): Refusal | undefined {
    const over = this.over(session);
    if (over !== undefined) return { ...over, guard: 'session' };
    const strict = this.levels(session).filter(({ observes }) => !observes);
    if (bad && strict.some(({ rules }) => rules.some(({ kind }) => kind === 'pure'))) {
      return { code: 'MINE', reason: 'bad', guard: 'mine' };
    }
    return this.checkMoney(session, tool, cost);
  }

  peek(session: Session, tool: string, cost: Money, bad: boolean): Refusal | undefined {
    const nothing = { booked: [], late: [], day: 0, held: 0 };
    const at = (key: string): Counter => {
      const [scope, , per] = JSON.parse(key) as [string, string, Rule['per']];
      return this.counters.get(key) ?? { scope, per, ...nothing };
    };
    return this.refusedAtOnce(session, tool, cost, bad) ?? this.short(session, tool, cost, at);
  }

  /** The reservation of a call, or of spend that is none (`tool` undefined). */
  admit(session: Session, tool: string | undefined, cost: Money, bad: boolean, onError: OnError): Held | Refusal {
    const refused = this.refusedAtOnce(session, tool, cost, bad);
    if (refused !== undefined) return this.refuse(session, refused);
    const groups = this.groups(session, tool).filter(({ limits }) => limits[0]?.[0].per !== 'call');
    this.open(groups);
    const short = this.short(session, tool, cost, (key) => this.counter(key));
    if (short !== undefined) return this.refuse(session, short);
    const lines = groups.map(({ key, limits: [[{ unit }] = fail()] }): Line => {
      const counter = this.counter(key);
      if (unit === 'call') return { counter, unit, amount: 1, booking: this.book(counter, 1) };
      counter.held += cost[unit];
      return { counter, unit, amount: cost[unit], booking: undefined };
    });
    const leaseEnd = this.clock.now() + LEASE_MS;
    const isCall = tool !== undefined;
    const held: Held = {
      session,
      isCall,
      cost,
      onError,
      lines,
      leaseEnd,
      told: undefined,
      store: 'held',
      state: 'open',
    };
    this.held.push(held);
    session.open.push(held);
    if (isCall) session.calls++;
    return held;
  }

  open(groups: readonly { readonly key: string }[]): void {
    for (const { key } of groups) {
      const [scope] = JSON.parse(key) as [string];
      if (!this.times.has(scope)) this.times.set(scope, { now: Number.NEGATIVE_INFINITY, wall: 0 });
    }
  }

  refuse(session: Session, refused: Refusal): Refusal {
    session.denied++;
    const { code } = refused;
    const stops = { default: ['BUDGET_EXCEEDED', 'CALL_CAP_REACHED'].includes(code), none: false, any: true };
    if (!code.startsWith('SESSION_') && stops[session.stopsOn] && session.over === undefined) {
      session.over = { code: 'SESSION_BREACHED', reason: `ended by ${code}` };
      session.breach = code;
      this.abort(session);
    }
    return refused;
  }

  abort(session: Session): void {
    if (session.aborted) return;
    session.aborted = true;
    for (const child of session.children) if (child.last === undefined) this.abort(child);
  }

  stop(session: Session): void {
    if (['SESSION_STOPPED', 'SESSION_CLOSED'].includes(this.over(session)?.code ?? '')) return;
    session.over = { code: 'SESSION_STOPPED', reason: 'stopped' };
    session.breach ??= 'SESSION_STOPPED';
    this.abort(session);
  }

  close(session: Session, told = true): void {
    if (session.last !== undefined) return;
    session.over = { code: 'SESSION_CLOSED', reason: 'closed' };
    if (session.open.length > 0) this.abort(session);
    for (const child of session.children) this.close(child, false);
    for (const held of [...session.open]) this.end(held, 'forfeit');
    session.last = { limits: told ? this.limits(session) : undefined, numbers: this.numbers(session) };
    for (const [key, { scope }] of this.counters) if (scope === session.id) this.counters.delete(key);
  }

  /** What a call or hold turned out to cost; `'void'`: it never was; `'forfeit'`: nobody knows. */
  end(held: Held, actual: Money | 'void' | 'forfeit'): void {
    const { session, cost, told = FREE } = held;
    if (held.state === 'open') {
      held.state = actual === 'forfeit' ? 'forfeited' : 'ended';
      session.open.splice(session.open.indexOf(held), 1);
      const forfeited = most(cost, told);
      session.spent = plus(session.spent, actual === 'void' ? FREE : actual === 'forfeit' ? forfeited : actual);
    } else if (held.state === 'forfeited' && typeof actual !== 'string') held.state = 'ended';
    else return;
    const more = told.usd > cost.usd || told.sat > cost.sat;
    this.settle(held, actual === 'forfeit' && more ? most(cost, told) : actual);
    // Only what the truth has beyond it is booked then.
    if (actual === 'forfeit' && more) held.store = 'told';
  }

  settle(held: Held, actual: Money | 'void' | 'forfeit'): void {
    for (const { counter, amount, unit, booking } of held.lines) {
      if (unit === 'call') {
        if (held.store === 'held' && actual === 'void')
          counter.booked = counter.booked.filter((each) => each !== booking);
        continue;
      }
      let units = typeof actual === 'string' ? (actual === 'void' ? 0 : amount) : actual[unit];
      if (held.store === 'held') counter.held -= amount;
      else if (held.store === 'told') units -= Math.max(amount, held.told?.[unit] ?? 0);
      else units = held.store === 'forfeited' && typeof actual !== 'string' ? units - amount : 0;
      if (units > 0) this.book(counter, units);
    }
    if (held.store === 'held') held.store = actual === 'forfeit' ? 'forfeited' : 'ended';
    else if (typeof actual !== 'string') held.store = 'ended';
  }

  /** Reservations whose lease has ended count as spent, whatever their session thinks. */
  sweep(): void {
    for (const held of this.held) {
      if (held.store === 'held' && held.leaseEnd <= this.clock.now()) this.settle(held, 'forfeit');
    }
  }

  charge(session: Session, cost: Money): Refusal | undefined {
    if (session.last !== undefined)
      return this.refuse(session, { code: 'SESSION_CLOSED', reason: 'closed', guard: 'session' });
    const groups = this.groups(session, undefined).filter(({ limits }) => limits[0]?.[0].per !== 'call');
    this.open(groups);
    for (const { key, limits } of groups) {
      const units = cost[limits[0]?.[0].unit as 'usd'];
      const counter = this.counter(key);
      if (units > 0) this.book(counter, units);
    }
    session.spent = plus(session.spent, cost);
    const over = groups.flatMap(({ key, limits }) => {
      const counter = this.counter(key);
      return limits.flatMap(([rule, { observes }]) => {
        const amount = cost[rule.unit as 'usd'];
        const left = rule.cap - this.used(counter) - counter.held;
        if (observes || amount === 0 || left >= 0) return [];
        return [refusal(rule, amount, left + amount, amount > rule.cap ? 'exceeds_cap' : 'exhausted')];
      });
    });
    const refused = this.checkMoney(session, undefined, cost) ?? over[0];
    return refused === undefined ? undefined : this.refuse(session, refused);
  }

  numbers({ calls, denied, spent: { usd, sat } }: Session): unknown {
    return { calls, denied, usd: String(usd), sat: String(sat) };
  }

  limits(session: Session): readonly string[] {
    const all = this.groups(session, undefined, true).flatMap(({ key, limits }) => {
      const known = this.counters.get(key);
      const [spent, held] = known === undefined ? [0, 0] : [this.used(known), known.held];
      return limits.map(([{ kind, unit, cap, per, scope, tools }, { observes }]) => {
        const text = (units: number) => (unit === 'call' ? units : String(units));
        const resetsAt = per === 'day' ? (Math.floor(this.clock.wall() / DAY_MS) + 1) * DAY_MS : undefined;
        const where = { guard: NAMES[kind], limit: `${unit}/${perName(per)}`, per: perName(per), scope, tools };
        const numbers = { cap: text(cap), spent: text(spent), held: text(held), remaining: text(cap - spent - held) };
        return limitText({ ...where, unit, ...numbers, resetsAt, ...(observes ? { observes } : {}) });
      });
    });
    return all.sort();
  }
}

/** A limit and where it stands, as text. */
function limitText(limit: Partial<Record<keyof LimitUsage, unknown>>): string {
  const {
    guard,
    limit: name,
    per,
    scope,
    tools,
    unit,
    cap,
    spent,
    held,
    remaining,
    resetsAt,
    observes,
    ...more
  } = limit;
  const numbers = `${cap}=${spent}+${held}+${remaining} (${typeof cap} ${typeof spent} ${typeof held} ${typeof remaining})`;
  return `${guard} ${name} ${unit} ${per} ${scope} ${tools}: ${numbers} ${resetsAt} ${observes} ${Object.keys(more)}`;
}

/** An object as text, whatever the order of its keys. */
function inOrder(value: object): string {
  return JSON.stringify(
    Object.entries(value)
      .filter(([, each]) => each !== undefined)
      .sort(),
  );
}

function fail(): never {
  throw new Error('a group has a limit');
}

function refusal({ kind, unit, cap, per }: Rule, amount: number, left: number, reason: string): Refusal {
  const why = { code: CODES[kind], reason, guard: NAMES[kind], limit: `${unit}/${perName(per)}` };
  if (kind === 'callCap') return { ...why, cap };
  return kind === 'budget' ? { ...why, cap: String(cap), requested: String(amount), remaining: String(left) } : why;
}

/** How a request gets to a part and its answer comes back. */
type Send = <T>(label: string, action: () => T | Promise<T>) => Promise<T>;

/** A real session and its model, with all that is open in both. */
class World {
  readonly model = new Model();
  readonly #scopes = new Set<string>();
  readonly #send: Send | undefined;
  readonly memory = memoryStore({ clock: this.model.clock });
  readonly sink = memorySink();
  readonly leashes: Leash[] = [];
  readonly open: { readonly held: Held; readonly ticket: Ticket | undefined; readonly hold: Hold | undefined }[] = [];

  /** @param send how requests to the store and the log travel. Default: at once. */
  constructor(send?: Send) {
    this.#send = send;
  }

  /** @param parent index of the parent; undefined for the root. */
  add(parent: number | undefined, rules: readonly Rule[], observes: boolean, stopsOn: Session['stopsOn']): void {
    const guards = rules.map(guardOf);
    const mode = observes ? 'observe' : 'enforce';
    const stopOn = stopsOn === 'default' ? ['BUDGET_EXCEEDED', 'CALL_CAP_REACHED'] : stopsOn;
    if (parent === undefined) {
      const { clock } = this.model;
      const send: Send = this.#send ?? ((_, action) => action() as never);
      const { memory, sink } = this;
      const open: Store['open'] = (scopes) => {
        for (const scope of scopes) this.#scopes.add(scope);
        return memory.open(scopes);
      };
      const store = storeThrough(send, storeWith({ open, reserve: (batch) => this.reserve(batch) }, memory));
      const write: AuditSink['write'] = (...lines) => {
        void sink.write(...lines);
        return this.#send?.('log', () => undefined);
      };
      this.leashes.push(createLeash({ guards, clock, store, audit: { name: 'late', write }, mode, stopOn }));
    } else this.leashes.push((this.leashes[parent] as Leash).child({ guards, mode, stopOn }));
    this.model.add(parent === undefined ? undefined : this.model.sessions[parent], rules, observes, stopsOn);
  }

  /** For a test that wants to see what is reserved. */
  reserve(batch: readonly Reserve[]): ReturnType<Store['reserve']> {
    return this.memory.reserve(batch);
  }

  /** Everything that can be seen of every session. */
  async compare(): Promise<void> {
    const { model } = this;
    await this.memory.read([...this.#scopes]);
    model.look();
    for (const [i, leash] of this.leashes.entries()) {
      const session = model.sessions[i] as Session;
      const { limits, unbooked, ...numbers } = await leash.usage();
      equal(unbooked, { usd: '0', sat: '0', calls: 0 });
      const { last } = session;
      equal(numbers, last === undefined ? model.numbers(session) : last.numbers);
      const seen = limits.map(limitText).sort();
      if (last === undefined || last.limits !== undefined) equal(seen, last?.limits ?? model.limits(session));
      const breach = model.levels(session).find((each) => each.breach !== undefined)?.breach;
      equal([leash.signal.aborted, leash.breach?.code], [session.aborted, breach]);
    }
  }
}

function equal(actual: unknown, expected: unknown): void {
  // A fast way to say yes; the slow one knows how to show a difference.
  if (JSON.stringify(actual) !== JSON.stringify(expected)) expect(actual).toEqual(expected);
}

/** What came of an attempt: nothing to tell, a mistake by its class, or a refusal. */
async function told(attempt: () => unknown): Promise<unknown> {
  try {
    await attempt();
    return undefined;
  } catch (error) {
    if (!isLeashError(error)) return (error as Error).name;
    const { code, reason, guard, limit, cap, requested, remaining, retryAfterMs, resetsAt } =
      error as BudgetExceededError;
    return { code, reason, guard, limit, cap, requested, remaining, retryAfterMs, resetsAt };
  }
}

class Broken extends Error {
  override readonly name = 'Broken';
}

type Tell = readonly Money[];
type Plan =
  | {
      readonly kind: 'call';
      readonly tool: string;
      readonly cost: Money;
      readonly bad: boolean;
      readonly onError: OnError;
      readonly tell: Tell;
      readonly actual: Money | undefined;
      readonly does: 'returns' | 'throws' | 'resolves' | 'rejects';
    }
  | {
      readonly kind: 'enter';
      readonly tool: string;
      readonly cost: Money;
      readonly bad: boolean;
      readonly onError: OnError;
    }
  | { readonly kind: 'peek'; readonly tool: string; readonly cost: Money; readonly bad: boolean }
  | { readonly kind: 'tell'; readonly open: number; readonly tell: Tell }
  | {
      readonly kind: 'end';
      readonly open: number;
      readonly how: 'settle' | 'fail' | 'release';
      readonly actual: Money | undefined;
    }
  | { readonly kind: 'hold' | 'charge'; readonly cost: Money }
  | {
      readonly kind: 'child';
      readonly rules: readonly Rule[];
      readonly observes: boolean;
      readonly stopsOn: Session['stopsOn'];
    }
  | { readonly kind: 'stop' | 'close' | 'sweep' }
  | { readonly kind: 'advance'; readonly ms: number }
  | { readonly kind: 'jump'; readonly now: number; readonly wall: number };

class Step implements fc.AsyncCommand<World, unknown> {
  readonly which: number;
  readonly plan: Plan;
  constructor(which: number, plan: Plan) {
    this.which = which;
    this.plan = plan;
  }
  check({ leashes, model }: World): boolean {
    if (this.plan.kind !== 'child') return true;
    const parent = model.sessions[this.which % leashes.length];
    return leashes.length < 4 && parent?.last === undefined;
  }
  async run(world: World): Promise<void> {
    await this.perform(world);
    await world.compare();
  }
  toString(): string {
    return `${this.which} ${JSON.stringify(this.plan)}`;
  }

  async perform(world: World): Promise<void> {
    const { plan } = this;
    const { model, leashes } = world;
    const index = this.which % leashes.length;
    const leash = leashes[index] as Leash;
    const session = model.sessions[index] as Session;
    const isHeld = (answer: Held | Refusal): answer is Held => 'store' in answer;
    const some = <T>(list: readonly T[], back: number): T | undefined =>
      list.at(-1 - (back % Math.max(1, list.length)));
    switch (plan.kind) {
      case 'call': {
        const { tool, cost, bad, onError, tell, actual, does } = plan;
        const heard: unknown[] = [];
        const body = (_args: { bad: boolean }) => {
          for (const each of tell) heard.push(nameOf(() => currentCall()?.charge(each)));
          if (does === 'throws') throw new Broken();
          return does === 'rejects' ? Promise.reject(new Broken()) : does === 'resolves' ? Promise.resolve(1) : 1;
        };
        const actualCost = actual === undefined ? {} : { actualCost: () => actual };
        const wrapped = leash.wrap(tool, body, { cost, onError, ...actualCost });
        const answer = model.admit(session, tool, cost, bad, onError);
        const mistakes = isHeld(answer) ? tell.map((each) => hear(model, answer, tool, each)) : [];
        let came: unknown = answer;
        if (isHeld(answer)) {
          const failed = does === 'throws' || does === 'rejects';
          came = failed ? 'Broken' : undefined;
          if (!failed && actual !== undefined && model.uncovered(session, tool, actual) !== undefined) {
            came = 'RangeError';
            model.end(answer, most(cost, answer.told ?? FREE));
          } else model.end(answer, failed ? afterError(answer) : (actual ?? answer.told ?? cost));
        }
        equal(came === answer ? sorted(came) : came, sorted(await told(() => wrapped({ bad }))));
        equal(heard, mistakes);
        return;
      }
      case 'enter': {
        const { tool, cost, bad, onError } = plan;
        const answer = model.admit(session, tool, cost, bad, onError);
        let ticket: Ticket | undefined;
        const came = await told(async () => {
          ticket = await leash.enter({ tool, args: { bad }, cost, onError });
        });
        equal(sorted(came), isHeld(answer) ? undefined : sorted(answer));
        if (isHeld(answer)) world.open.push({ held: answer, ticket, hold: undefined });
        return;
      }
      case 'peek': {
        const { tool, cost, bad } = plan;
        const decision = await leash.peek({ tool, args: { bad }, cost });
        const expected = model.peek(session, tool, cost, bad);
        equal(decision.allow, expected === undefined);
        if (decision.allow || expected === undefined) return;
        const { guard, code, reason, limit } = expected;
        const { message: _, allow: __, ...seen } = decision;
        equal(sorted(seen), sorted({ guard, code, reason, limit }));
        return;
      }
      case 'tell': {
        const { held, ticket } = some(world.open, plan.open) ?? {};
        if (held === undefined || ticket === undefined) return;
        for (const each of plan.tell) {
          const seen = ticket.within(() => nameOf(() => currentCall()?.charge(each)));
          equal(seen, held.state === 'ended' ? 'TypeError' : hear(model, held, ticket.call.tool, each));
        }
        return;
      }
      case 'end': {
        const { held, ticket, hold } = some(world.open, plan.open) ?? {};
        if (held === undefined) return;
        const { how, actual } = plan;
        const tool = ticket?.call.tool;
        const wrong =
          actual !== undefined && how !== 'release' && model.uncovered(held.session, tool, actual) !== undefined;
        if (hold !== undefined) {
          const before = held.state;
          const came = await told(() => (how === 'release' ? hold.release() : hold.settle(actual ?? held.cost)));
          equal(came, wrong && before !== 'ended' ? 'RangeError' : undefined);
          model.end(held, how === 'release' ? 'void' : wrong ? 'forfeit' : (actual ?? held.cost));
          // Of its own fault it has ended, where a close leaves it open for the truth.
          if (wrong && before === 'open') held.state = 'ended';
          return;
        }
        const came = await told(() => {
          if (how === 'release') return ticket?.release();
          return how === 'settle' ? ticket?.settle(actual) : ticket?.fail(new Broken(), actual);
        });
        equal(came, wrong ? 'RangeError' : undefined);
        const least = most(held.cost, held.told ?? FREE);
        const otherwise = how === 'fail' ? afterError(held) : (held.told ?? held.cost);
        model.end(held, how === 'release' ? 'void' : wrong ? least : (actual ?? otherwise));
        return;
      }
      case 'hold': {
        const answer = model.admit(session, undefined, plan.cost, false, 'forfeit');
        let hold: Hold | undefined;
        const came = await told(async () => {
          hold = await leash.hold(plan.cost);
        });
        equal(sorted(came), isHeld(answer) ? undefined : sorted(answer));
        if (isHeld(answer)) world.open.push({ held: answer, ticket: undefined, hold });
        return;
      }
      case 'charge':
        return equal(sorted(await told(() => leash.charge(plan.cost))), sorted(model.charge(session, plan.cost)));
      case 'child':
        return world.add(index, plan.rules, plan.observes, plan.stopsOn);
      case 'stop':
        model.stop(session);
        return leash.stop('enough');
      case 'close': {
        const before = leash.breach;
        const again = session.last !== undefined;
        model.close(session);
        const { calls, denied, usd, sat, breach } = await leash.close();
        equal({ calls, denied, usd, sat }, session.last?.numbers);
        if (!again) expect(breach).toBe(before);
        return;
      }
      case 'sweep':
        model.sweep();
        await world.memory.sweep(1_000);
        return;
      case 'advance':
        return model.clock.advance(plan.ms);
      case 'jump':
        return model.clock.jump(model.clock.now() + plan.now, model.clock.wall() + plan.wall);
    }
  }
}

function afterError({ onError, told, cost }: Held): Money {
  if (onError === 'forfeit') return most(cost, told ?? FREE);
  return told ?? (onError === 'refund' ? FREE : cost);
}

function nameOf(action: () => void): string | undefined {
  try {
    action();
  } catch (error) {
    return (error as Error).name;
  }
  return undefined;
}

/** A tool tells what it has spent. */
function hear(model: Model, held: Held, tool: string, cost: Money): string | undefined {
  if (model.uncovered(held.session, tool, cost) !== undefined) return 'RangeError';
  held.told = plus(held.told ?? FREE, cost);
  return undefined;
}

function sorted(answer: unknown): unknown {
  return typeof answer === 'object' && answer !== null ? inOrder(answer) : answer;
}

const oneIn = (count: number) => fc.nat({ max: count - 1 }).map((drawn) => drawn === 0);
const amounts = fc.record({
  usd: fc.constantFrom(0, 1, 1, 2, 3, 5),
  sat: fc.nat({ max: 29 }).map((drawn) => Math.max(0, drawn - 27)),
});
const tools = fc.constantFrom('a', 'b');
const rules: fc.Arbitrary<Rule> = fc
  .record({
    kind: fc.constantFrom('budget' as const, 'budget' as const, 'budget' as const, 'callCap', 'rateLimit', 'pure'),
    unit: fc.nat({ max: 7 }).map((drawn): Rule['unit'] => (drawn === 0 ? 'sat' : 'usd')),
    cap: fc.nat({ max: 15 }).map((drawn) => [0, 3, 3, 20, 20, 20][drawn] ?? 6 + (drawn % 7)),
    per: fc.constantFrom('session', 'session', 'call', 'day', 'day', 7, 100, 360),
    scope: fc.constantFrom(undefined, undefined, undefined, 'x', 'y'),
    tools: fc.constantFrom(undefined, undefined, undefined, ['a'], ['a', 'b']),
  })
  .map((rule) => {
    const { kind, per } = rule as Rule;
    const counts = kind === 'budget' ? rule.unit : 'call';
    const window =
      kind === 'rateLimit' && typeof per !== 'number' ? 50 : kind === 'callCap' && per === 'call' ? 'day' : per;
    return { ...rule, unit: counts, per: window } as Rule;
  });
const stopsOn = fc.nat({ max: 9 }).map((drawn) => (['default', 'any'] as const)[drawn] ?? 'none');
const onError = fc.constantFrom<OnError[]>('forfeit', 'refund', 'reported');
const maybe = fc.option(amounts, { nil: undefined, freq: 2 });
const telling = fc.array(amounts, { maxLength: 2 });
const attempt = { tool: tools, cost: amounts, bad: oneIn(8) };
const open = fc.nat({ max: 5 });
const ruleList = fc.array(rules, { maxLength: 4, size: 'max' });
const root = fc.tuple(ruleList, oneIn(8), stopsOn);

const plans: fc.Arbitrary<Plan> = fc.oneof(
  {
    weight: 24,
    arbitrary: fc.record({
      ...{ kind: fc.constant('call' as const), ...attempt, onError, tell: telling, actual: maybe },
      does: fc.constantFrom('returns', 'throws', 'resolves', 'rejects'),
    }),
  },
  { weight: 20, arbitrary: fc.record({ kind: fc.constant('enter' as const), ...attempt, onError }) },
  { weight: 10, arbitrary: fc.record({ kind: fc.constant('peek' as const), ...attempt }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('tell' as const), open, tell: telling }) },
  {
    weight: 22,
    arbitrary: fc.record({
      ...{ kind: fc.constant('end' as const), open, actual: maybe },
      how: fc.constantFrom('settle', 'settle', 'fail', 'release'),
    }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('hold' as const), cost: amounts }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('charge' as const), cost: amounts }) },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('child' as const), rules: ruleList, observes: oneIn(4), stopsOn }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('stop' as const, 'close' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('sweep' as const) }) },
  {
    weight: 14,
    arbitrary: fc.record({
      kind: fc.constant('advance' as const),
      ms: fc.constantFrom(1, 3, 7, 8, 50, 99, 100, 101, 300, LEASE_MS, DAY_MS / 3, DAY_MS),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('jump' as const),
      now: fc.integer({ min: -200, max: 200 }),
      wall: fc.integer({ min: -DAY_MS, max: DAY_MS }),
    }),
  },
);

describe('createLeash, compared with its model', () => {
  it('decides the same and counts the same, after every step', async () => {
    const steps = fc.commands([fc.tuple(fc.nat(), plans).map(([which, plan]) => new Step(which, plan))], {
      maxCommands: 80,
      size: 'max',
    });
    const law = fc.asyncProperty(root, steps, async (first, all) => {
      const world = new World();
      world.add(undefined, ...first);
      await fc.asyncModelRun(() => ({ model: world, real: undefined }), all);
    });
    await fc.assert(law, { numRuns: 1_200 });
  }, 60_000);
});

/** A world whose store and log answer late and in any order. What is counted is known when everything has come. */
class LateWorld extends World {
  /** What each counter has to show in the end, and each session. */
  readonly booked = new Map<string, number>();
  readonly pending: Promise<void>[] = [];
  /** Counters that were seen above their caps. */
  readonly excess: string[] = [];
  readonly scheduler: fc.Scheduler;
  /** The largest cap that was asked for of a counter: nothing may be above it while costs are what they were said to be. */
  readonly #caps = new Map<string, { readonly scope: string; readonly meter: string; cap: number }>();

  constructor(scheduler: fc.Scheduler) {
    super(async (label, action) => {
      await scheduler.schedule(Promise.resolve(), `${label} arrives`);
      const answer = await action();
      this.#noteExcess();
      await scheduler.schedule(Promise.resolve(), `${label} is answered`);
      return answer;
    });
    this.scheduler = scheduler;
  }

  override reserve(batch: readonly Reserve[]): ReturnType<Store['reserve']> {
    for (const { scope, meter, cap } of batch.flatMap(({ lines }) => lines)) {
      const key = `${scope} ${meter}`;
      this.#caps.set(key, { scope, meter, cap: Math.max(cap, this.#caps.get(key)?.cap ?? 0) });
    }
    return super.reserve(batch);
  }

  #noteExcess(): void {
    for (const [key, { scope, meter, cap }] of this.#caps) {
      const { used, held } = (this.memory.read([scope]) as Readings)[scope]?.[meter] ?? { used: 0, held: 0 };
      if (used + held > cap) this.excess.push(`${key}: ${used} + ${held} > ${cap}`);
    }
  }

  /** Notes what an attempt has spent, once it is known. */
  book(session: Session, tool: string | undefined, cost: Money): void {
    session.spent = plus(session.spent, cost);
    for (const { key, limits } of this.model.groups(session, tool)) {
      const unit = limits[0]?.[0].unit ?? 'usd';
      this.booked.set(key, (this.booked.get(key) ?? 0) + (unit === 'call' ? 1 : cost[unit]));
    }
  }

  async expectBooked(): Promise<void> {
    for (const [i, leash] of this.leashes.entries()) {
      const session = this.model.sessions[i] as Session;
      const { limits, usd, sat } = await leash.usage();
      expect({ usd, sat }).toEqual({ usd: String(session.spent.usd), sat: String(session.spent.sat) });
      const expected = this.model.groups(session, undefined, true).flatMap(({ key, limits: sharing }) =>
        sharing.map(([{ kind, per, unit, cap }]) => {
          const total = per === 'session' ? (this.booked.get(key) ?? 0) : 0;
          const [spent, held] = unit === 'call' ? [total, 0] : [String(total), '0'];
          return JSON.stringify([NAMES[kind], unit, perName(per), String(cap), per === 'session' ? spent : '', held]);
        }),
      );
      const seen = limits.map(({ guard, unit, per, cap, spent, held }) =>
        JSON.stringify([guard, unit, per, String(cap), per === 'session' ? spent : '', held]),
      );
      expect(seen.sort()).toEqual(expected.sort());
    }
  }
}

type LatePlan =
  | {
      readonly kind: 'call';
      readonly tool: string;
      readonly cost: Money;
      readonly does: string;
      readonly onError: OnError;
    }
  | { readonly kind: 'hold'; readonly cost: Money; readonly does: string }
  | { readonly kind: 'charge'; readonly cost: Money }
  | { readonly kind: 'child'; readonly rules: readonly Rule[] }
  | { readonly kind: 'stop' }
  | { readonly kind: 'advance'; readonly ms: number };

/** An attempt that is begun and not waited for. */
class Late implements fc.AsyncCommand<LateWorld, unknown> {
  readonly which: number;
  readonly plan: LatePlan;
  constructor(which: number, plan: LatePlan) {
    this.which = which;
    this.plan = plan;
  }
  check({ leashes }: LateWorld): boolean {
    return this.plan.kind !== 'child' || leashes.length < 4;
  }
  async run(world: LateWorld): Promise<void> {
    const attempt = this.attempt(world).catch((error: unknown) => {
      if (!isLeashError(error) && !(error instanceof Broken)) throw error;
    });
    // Looked at when all have come.
    attempt.catch(() => undefined);
    world.pending.push(attempt);
  }
  toString(): string {
    return `${this.which} ${JSON.stringify(this.plan)}`;
  }

  async attempt(world: LateWorld): Promise<void> {
    const { plan } = this;
    const { model, leashes, scheduler } = world;
    const index = this.which % leashes.length;
    const leash = leashes[index] as Leash;
    const session = model.sessions[index] as Session;
    const takesTime = (): Promise<void> => scheduler.schedule(Promise.resolve(), 'a tool ends');
    const less = (cost: Money): Money => ({ usd: Math.floor(cost.usd / 2), sat: cost.sat });
    switch (plan.kind) {
      case 'call': {
        const { tool, cost, does, onError } = plan;
        const actualCost = does === 'costs less' ? { actualCost: () => less(cost) } : {};
        const body = async () => {
          if (does !== 'returns at once') await takesTime();
          const fails = does === 'fails';
          const spent = fails && onError === 'refund' ? FREE : does === 'costs less' ? less(cost) : cost;
          world.book(session, tool, spent);
          if (fails) throw new Broken();
        };
        return void (await leash.wrap(tool, body, { cost, onError, ...actualCost })());
      }
      case 'hold': {
        const hold = await leash.hold(plan.cost);
        await takesTime();
        const gives = { fails: undefined, 'costs less': less(plan.cost) }[plan.does] ?? plan.cost;
        if (plan.does === 'fails') return hold.release();
        world.book(session, undefined, gives);
        return hold.settle(gives);
      }
      case 'charge':
        world.book(session, undefined, plan.cost);
        return leash.charge(plan.cost);
      case 'child':
        return world.add(index, plan.rules, false, 'none');
      case 'stop':
        return leash.stop('enough');
      case 'advance':
        return model.clock.advance(plan.ms);
    }
  }
}

describe('createLeash with a store and a log that answer late', () => {
  const does = fc.constantFrom('returns', 'returns at once', 'fails', 'costs less');
  const latePlans = (charges: boolean): fc.Arbitrary<LatePlan> =>
    fc.oneof(
      {
        weight: 12,
        arbitrary: fc.record({ kind: fc.constant('call' as const), tool: tools, cost: amounts, does, onError }),
      },
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('hold' as const), cost: amounts, does }) },
      { weight: charges ? 2 : 0, arbitrary: fc.record({ kind: fc.constant('charge' as const), cost: amounts }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant('child' as const), rules: ruleList }) },
      { weight: charges ? 1 : 0, arbitrary: fc.record({ kind: fc.constant('stop' as const) }) },
      {
        weight: 3,
        arbitrary: fc.record({ kind: fc.constant('advance' as const), ms: fc.constantFrom(1, 7, 50, 101, DAY_MS) }),
      },
    );

  it.each([
    { name: 'keeps every counter within its cap and books what was spent', charges: false },
    { name: 'books what was spent, also above the caps and while it is stopped', charges: true },
  ])(
    '$name',
    async ({ charges }) => {
      const steps = fc.commands(
        [fc.tuple(fc.nat(), latePlans(charges)).map(([which, plan]) => new Late(which, plan))],
        {
          maxCommands: 30,
          size: 'max',
        },
      );
      const law = fc.asyncProperty(fc.scheduler(), ruleList, steps, async (scheduler, first, all) => {
        const world = new LateWorld(scheduler);
        world.add(undefined, first, false, 'none');
        await fc.scheduledModelRun(scheduler, () => ({ model: world, real: undefined }), all);
        await scheduler.waitFor(Promise.all(world.pending));
        if (!charges) expect(world.excess).toEqual([]);
        await scheduler.waitFor(world.expectBooked());
      });
      await fc.assert(law, { numRuns: 400 });
    },
    60_000,
  );
});
