import { sha256 } from './audit/chain.ts';
import { killSwitch, sessionClose } from './audit/event.ts';
import { AuditLog } from './audit/log.ts';
import { summaryOf } from './egress/hooks/coverage.ts';
import { type EventRef, type LeashError, SessionEndedError } from './errors.ts';
import { canonicalJson, snapshotJson } from './internal/canonical-json.ts';
import { after, isPromiseLike, type MaybePromise } from './internal/maybe-promise.ts';
import { checkName, checkOptions, kindOf } from './internal/options.ts';
import { ownWorkFromHereOn } from './internal/own-work.ts';
import { VERSION } from './internal/version.ts';
import type { Leash, StopOptions, Summary } from './leash-contract.ts';
import {
  type ChildOptions,
  type LeashOptions,
  type RootSettings,
  readChildOptions,
  readLeashOptions,
  type SessionSettings,
} from './leash-options.ts';
import { type ExactMoney, formatUnits, type Money } from './money.ts';
import { Admission } from './session/admission.ts';
import { shareClients } from './session/client.ts';
import { type Decision, decide } from './session/decision.ts';
import { type CallRequest, declareRequest, declareUnder, givenArgs } from './session/declaration.ts';
import { type LeashEgress, SessionEgress } from './session/egress.ts';
import { proveEgress } from './session/egress-proof.ts';
import { Ending } from './session/ending.ts';
import type { Hold } from './session/hold.ts';
import { type Counter, type Level, sessionScope, sharedScope } from './session/plan.ts';
import { Reservations } from './session/reservations.ts';
import { Rules } from './session/rules.ts';
import { Spend } from './session/spend.ts';
import type { Ticket } from './session/ticket.ts';
import { type Cost, declareTool, type Tool } from './session/tool.ts';
import { limitUsages, type Standing, type Usage } from './session/usage.ts';
import { wrapTool } from './session/wrap.ts';

/**
 * Opens a session and its log.
 *
 * @throws {TypeError | RangeError} an option is unknown, missing or out of range; the message names it.
 * @throws {AuditUnavailableError} the log cannot be written.
 */
export function createLeash(options: LeashOptions): Leash {
  return new Session(readLeashOptions(options), undefined);
}

class Session implements Leash {
  readonly id: string;
  readonly #settings: SessionSettings;
  readonly #root: RootSettings;
  readonly #parent: Session | undefined;
  readonly #levels: readonly Level[];
  readonly #reservations: Reservations;
  readonly #ending: Ending;
  readonly #log: AuditLog;
  readonly #rules: Rules;
  readonly #admission: Admission;
  readonly #spend: Spend;
  readonly #children = new Set<Session>();
  readonly #egress: SessionEgress;
  #closing: Promise<Summary> | undefined;
  #lastUsage: Promise<Usage> | undefined;

  constructor(settings: SessionSettings, parent: Session | undefined) {
    this.id = settings.id;
    this.#settings = settings;
    this.#parent = parent;
    this.#root = parent === undefined ? (settings as RootSettings) : parent.#root;
    const { clock } = this.#root;
    const { guards, mode, convert, audit } = settings;
    const level: Level = { guards, scope: sessionScope(this.id), observes: mode === 'observe', convert };
    this.#levels = parent === undefined ? [level] : [level, ...parent.#levels];
    this.#reservations = parent === undefined ? new Reservations(this.#root) : parent.#reservations;
    const named = guards.map((guard) => ({ name: guard.name, settings: guard.settings }));
    const policy = sha256(canonicalJson(snapshotJson(named)));
    this.#rules = new Rules(this.#levels, (attempt, refusal) => this.#admission.observe(attempt, refusal));
    // A guard that cannot tell its limits is a mistake that shows here, and not with the first call.
    this.#rules.allLimits();
    // Before a log says that there is a session.
    const above = parent === undefined ? undefined : parent.#egress;
    const proxy = SessionEgress.proxyOf(this.#rules, above);
    const coverage = proveEgress(this.#rules);
    this.#log = ownWorkFromHereOn(
      () =>
        new AuditLog({
          ...audit,
          clock,
          originName: audit.origin,
          lib: `leashkit/${VERSION}`,
          agent: settings.agent,
          session: this.id,
          mode,
          guards: policy,
          egress: coverage === undefined ? undefined : summaryOf(coverage),
          parent: parent === undefined ? undefined : parent.#log,
        }),
    );
    this.#ending = new Ending(parent === undefined ? undefined : parent.#ending);
    this.#admission = new Admission({
      rules: this.#rules,
      log: this.#log,
      reservations: this.#reservations,
      egressOf: (call) => this.#egress.scopeOf(call),
      ending: this.#ending,
      clock,
      stopsOn: settings.stopsOn,
      scopeStopped: (counter) => this.#scopeStopped(counter),
      session: this.id,
      agent: settings.agent,
      policy,
      verbatim: process.env['LEASH_AUDIT_VERBATIM'] === '1',
    });
    this.#egress = new SessionEgress(this.id, above, {
      rules: this.#rules,
      record: this.#admission,
      ending: this.#ending,
      proxy,
    });
    shareClients(this, (name) => this.#egress.client(name));
    this.#spend = new Spend(this.#admission, this.#rules, this.#reservations, this.#log);
    if (parent !== undefined) parent.#children.add(this);
  }

  get signal(): AbortSignal {
    return this.#ending.signal;
  }

  get breach(): LeashError | undefined {
    return this.#ending.breach;
  }

  get fetch(): typeof globalThis.fetch {
    return this.#egress.fetch;
  }

  get egress(): LeashEgress {
    return this.#egress.surface;
  }

  wrap(name: string, fn: (...params: never[]) => unknown, options?: object): never {
    const tool = this.#declare(declareTool(name, options));
    if (typeof fn !== 'function') throw new TypeError(`tool "${name}" must be a function, got ${kindOf(fn)}`);
    return wrapTool(this.#admission, tool, fn) as never;
  }

  #declare(tool: Tool): Tool {
    return declareUnder(this.#levels, this.#rules, tool);
  }

  async run<Args>(call: CallRequest<Args>, fn: (args: never) => unknown): Promise<never> {
    const tool = this.#declare(declareRequest('leash.run', call));
    if (typeof fn !== 'function')
      throw new TypeError(`leash.run of tool "${tool.name}" expects a function, got ${kindOf(fn)}`);
    const given = givenArgs(call);
    const admitted = this.#admission.admit(tool, given);
    const { ticket, unchecked } = isPromiseLike(admitted) ? await admitted : admitted;
    return ticket.run(() => fn((unchecked ? given : ticket.args) as never)) as never;
  }

  enter<Args>(call: CallRequest<Args>): MaybePromise<Ticket> {
    const tool = this.#declare(declareRequest('leash.enter', call));
    return after(this.#admission.admit(tool, givenArgs(call)), ({ ticket }) => ticket);
  }

  async peek<Args>(call: CallRequest<Args>): Promise<Decision> {
    const tool = this.#declare(declareRequest('leash.peek', call));
    return decide(tool, givenArgs(call), {
      levels: this.#levels,
      owner: this.#admission,
      ending: this.#ending,
      stopsOn: this.#settings.stopsOn,
      reservations: this.#reservations,
    });
  }

  hold(estimate: Cost | (() => Cost), note?: string): MaybePromise<Hold> {
    return this.#spend.hold(estimate, note);
  }

  charge(cost: Money, note?: string): MaybePromise<void> {
    return this.#spend.charge(cost, note);
  }

  child(options: ChildOptions): Leash {
    // Its log would have nobody to close it.
    if (this.#closing !== undefined) throw this.#endedError('SESSION_CLOSED', this.#log.head);
    const settings = readChildOptions(options, this.#settings);
    for (let leash: Session | undefined = this; leash !== undefined; leash = leash.#parent) {
      if (leash.id === settings.id)
        throw new RangeError('`leash.child.id` must not be that of the leash or an ancestor');
    }
    return new Session(settings, this);
  }

  stop(reason: string): void;
  stop(reason: string, options: StopOptions): Promise<void>;
  stop(reason: string, options?: StopOptions): Promise<void> | undefined {
    const text = checkName('reason', reason);
    if (options === undefined) {
      this.#stop(text);
      return undefined;
    }
    checkOptions('leash.stop', options, ['scope']);
    const scope = checkName('leash.stop.scope', options.scope);
    this.#stop(`scope ${scope}: ${text}`);
    return this.#reservations.stop(sharedScope(scope));
  }

  /** All calls under the guard that names the scope are refused: so the leash of that guard ends, and not its child alone. */
  #scopeStopped({ limits, scope, shared = scope }: Counter): void {
    let session: Session = this;
    for (let leash: Session | undefined = this; leash !== undefined; leash = leash.#parent) {
      const [own] = leash.#levels;
      if (limits.some(({ level }) => level === own)) session = leash;
    }
    session.#stop(`scope ${shared} was stopped`);
  }

  #stop(reason: string): void {
    const over = this.#admission.refusalOfEnded();
    if (over?.code === 'SESSION_CLOSED' || over?.code === 'SESSION_STOPPED') return;
    const event = this.#log.next();
    // Before the log is open nobody knows where its line will stand.
    this.#log.opening?.then(
      () => Object.assign(event, this.#log.next()),
      () => {},
    );
    this.#log.note('kill_switch', killSwitch(reason));
    this.#ending.stop(this.#endedError('SESSION_STOPPED', event));
  }

  #endedError(code: 'SESSION_STOPPED' | 'SESSION_CLOSED', event: EventRef): SessionEndedError {
    const word = code === 'SESSION_STOPPED' ? 'stopped' : 'closed';
    const message = `The session was ${word}. Do not retry.`;
    return new SessionEndedError({ code, message, reason: word, guard: 'session', tool: '', callId: '', event });
  }

  async usage(): Promise<Usage> {
    // What the close could not book is booked later.
    if (this.#lastUsage !== undefined) return { ...(await this.#lastUsage), unbooked: this.#reservations.unbooked };
    const plan = this.#rules.allLimits();
    const readings = await this.#reservations.read(plan).catch(() => undefined);
    const standingOf = (counter: Counter): Standing => this.#reservations.standingOf(counter, readings);
    const { calls, denied, booked } = this.#admission;
    const { unbooked } = this.#reservations;
    const limits = limitUsages(plan, standingOf, this.#root.clock.wall());
    return { calls, denied, ...totals(booked), unbooked, limits };
  }

  close(): Promise<Summary> {
    if (this.#closing === undefined) {
      const { promise, resolve } = Promise.withResolvers<Summary>();
      // First of all: who hears the signal may close too.
      this.#closing = promise;
      const ended = this.#close().finally(() => {
        // Its parent, which tells what of the tree is not booked, has waited until now.
        if (this.#parent !== undefined) this.#parent.#children.delete(this);
      });
      resolve(ended);
    }
    return this.#closing;
  }

  async #close(): Promise<Summary> {
    const admission = this.#admission;
    const open = [...admission.leases.open];
    const { breach } = this.#ending;
    const reason = this.#ending.over?.detail ?? 'closed';
    const { log, seq } = this.#log.head;
    // From here on, in this very step, nothing is admitted.
    const closed = this.#endedError('SESSION_CLOSED', { log, seq });
    this.#ending.close(open.length > 0 ? closed : undefined);
    const children = await Promise.allSettled([...this.#children].map((child) => child.close()));
    await Promise.allSettled(open.map((held) => held.forfeit()));
    // What has waited for the log is refused now, and counts.
    this.#egress.close(closed);
    await this.#log.opening?.catch(() => {});
    // A charge is taken until the log is closed, which is in the step that sees that none is on its way.
    while (!admission.leases.isIdle) await admission.leases.idle();
    admission.leases.close();
    const { calls, denied, booked } = admission;
    const body = sessionClose(reason, calls, denied, booked);
    const logged = await Promise.allSettled([this.#log.close(body)]);
    const told = await Promise.allSettled(this.#parent === undefined ? [this.#reservations.settleUp()] : []);
    this.#lastUsage = this.usage();
    // A guard that does not tell its limits now is told of where they are asked for.
    await Promise.allSettled([this.#lastUsage]);
    const shut = await Promise.allSettled([this.#reservations.shut(sessionScope(this.id))]);
    for (const result of [...logged, ...children, ...told, ...shut])
      if (result.status === 'rejected') throw result.reason;
    return { id: this.id, log: this.#log.id, calls, denied, ...totals(booked), breach };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function totals(booked: ExactMoney): { readonly usd: string; readonly sat: string } {
  return { usd: formatUnits('usd', booked.usd), sat: formatUnits('sat', booked.sat) };
}
