import { type Passes, Verified } from '../egress/hooks/passes.ts';
import { type EgressScope, targetOf, type Way } from '../egress/hooks/scope.ts';
import { denialOf, type EgressReason, environmentProxyMessage, unroutedDenial } from '../egress/policy/denial.ts';
import { environmentProxyAt } from '../egress/policy/environment-proxy.ts';
import { inUrl } from '../egress/policy/host.ts';
import { isSameProxy } from '../egress/policy/proxy.ts';
import { AuditUnavailableError } from '../errors.ts';
import {
  ALLOW,
  type Connection,
  type Egress,
  type EgressProxy,
  type Guard,
  type OutgoingRequest,
  type Target,
  type Verdict,
} from '../guard.ts';
import type { MaybePromise } from '../internal/maybe-promise.ts';
import { ownWork } from '../internal/own-work.ts';
import type { SessionRecord } from './record.ts';
import { type Attempt, fromVerdict, type Refusal } from './refusal.ts';
import type { Rules } from './rules.ts';

/** What all scopes of a session have in common. */
export interface SessionNetwork {
  readonly rules: Rules;
  readonly record: SessionRecord;
  readonly passes: Passes;
  /** By which guards have said so. */
  readonly verified: Map<Asker['heeds'], Verified>;
  /** Ids of the session and of its ancestors, whose guards are in `rules` too. */
  readonly sessions: readonly string[];
  /** What the leash's own clients go through. */
  readonly proxy: EgressProxy | undefined;
}

/** Whose requests and connections these are. */
export interface Asker {
  readonly attempt: Attempt;
  /** Whether its events name a call. */
  readonly called: boolean;
  /** Which guards have a say. One function for all who heed the same. */
  readonly heeds: (guard: Guard) => boolean;
  /** The proxy that its client goes through. Default: none. */
  readonly via?: EgressProxy | undefined;
  /** Whether guards that observe are asked later. Default: no. */
  readonly atEdge?: boolean;
}

/** Guards whose rules hold whatever client is used. */
export function holdsClients(guard: Guard): boolean {
  return guard.egress === undefined ? guard.reach !== undefined : guard.egress.enforce !== 'declared';
}

/** A session as the hooks see it: its guards judge, and its log has the answer before the client gets it. */
export class SessionScope implements EgressScope {
  readonly #network: SessionNetwork;
  readonly #asker: Asker;

  constructor(network: SessionNetwork, asker: Asker) {
    this.#network = network;
    this.#asker = asker;
  }

  get passes(): Passes {
    return this.#network.passes;
  }

  get verified(): Verified {
    const { verified } = this.#network;
    const { heeds } = this.#asker;
    const known = verified.get(heeds);
    if (known !== undefined) return known;
    const none = new Verified();
    verified.set(heeds, none);
    return none;
  }

  get via(): EgressProxy | undefined {
    return this.#asker.via;
  }

  through(via: EgressProxy | undefined): SessionScope {
    return via === this.via ? this : new SessionScope(this.#network, { ...this.#asker, via });
  }

  get atEdge(): SessionScope {
    return new SessionScope(this.#network, { ...this.#asker, atEdge: true });
  }

  covers(other: EgressScope): boolean {
    if (!(other instanceof SessionScope)) return false;
    return this.#network.sessions.includes(other.#network.sessions[0] as string);
  }

  request(request: OutgoingRequest): Error | undefined {
    const target = placeOf(request);
    const routed = isSameProxy(this.#network.proxy, this.via);
    return this.#ask(target, (guard) => {
      if (guard.egress !== undefined) return this.#routed(target, routed, guard.egress.request(request));
      return guard.reach === undefined ? ALLOW : guard.reach(urlOf(request), request.method);
    });
  }

  connection(connection: Connection): Error | undefined {
    const { host, port, tls, requested } = connection;
    const target = { scheme: tls ? 'tls' : 'tcp', host, port };
    // Guards that observe have said it of the request.
    return this.#ask(
      target,
      ({ egress }) =>
        egress === undefined ? ALLOW : this.#routed(target, this.#isDirect, egress.connection(connection)),
      requested,
    );
  }

  name(host: string): Error | undefined {
    const target = { scheme: 'dns', host, port: 0 };
    return this.#ask(target, ({ egress }) =>
      egress === undefined ? ALLOW : this.#routed(target, this.#isDirect, egress.name(host)),
    );
  }

  /** Whether connections are made without a proxy, which does them itself, and asks for names itself. */
  get #isDirect(): boolean {
    return this.#network.proxy === undefined && this.via === undefined;
  }

  #routed(target: Target, routed: boolean, verdict: Verdict): Verdict {
    if (routed || !verdict.allow) return verdict;
    return unroutedDenial(target, this.#network.proxy !== undefined);
  }

  answers(host: string): MaybePromise<readonly string[]> {
    const resolver = this.#egresses().find((egress) => egress.resolver !== undefined)?.resolver ?? resolve;
    return ownWork(() => resolver(host));
  }

  dialable(host: string, port: number, answers: readonly string[]): readonly string[] | Error {
    let kept = answers;
    const target = { scheme: 'dns', host, port };
    const refusal = this.#ask(target, ({ egress }) => {
      if (egress === undefined) return ALLOW;
      const verdict = egress.addresses(target, kept);
      if (verdict.allow) kept = verdict.addresses;
      return verdict;
    });
    return refusal ?? kept;
  }

  address(target: Target, address: string): Error | undefined {
    const shown = asInUrl(target);
    return this.#ask(shown, ({ egress }) => (egress === undefined ? ALLOW : egress.addresses(shown, [address])));
  }

  mayLeave(way: Way, detail = ''): Error | undefined {
    const target = targetOf(way);
    const denial = denialOf(way, target);
    return this.#ask(target, ({ egress }) => {
      return egress === undefined || isOpen(egress, way, detail) ? ALLOW : denial;
    });
  }

  leave(way: Way, detail?: string): Error | undefined {
    return this.mayLeave(way, detail) ?? this.reached(targetOf(way));
  }

  refuse(reason: EgressReason, target: Target): Error | undefined {
    const denial = denialOf(reason, asInUrl(target));
    return this.#ask(target, ({ egress }) => (egress === undefined ? ALLOW : denial));
  }

  reached(target: Target): Error | undefined {
    const { attempt, called } = this.#asker;
    return this.#network.record.reached(called ? attempt : undefined, asInUrl(target));
  }

  #egresses(): readonly Egress[] {
    return this.#network.rules.egresses(this.#asker.heeds);
  }

  #ask(target: Target, verdictOf: (guard: Guard) => Verdict | undefined, enforcing = false): Error | undefined {
    const { rules, record } = this.#network;
    const { attempt, heeds, atEdge = false } = this.#asker;
    // Calls wait for it, but a leash may hold code outside of calls.
    if (record.opening !== undefined)
      return new AuditUnavailableError('the audit log is not open yet, so nothing is reached');
    const refusal =
      record.refusalOfEnded() === undefined
        ? rules.judge(attempt, (guard) => (heeds(guard) ? verdictOf(guard) : ALLOW), enforcing || atEdge)
        : revoked(target);
    return refusal === undefined ? undefined : record.deny(attempt, explained(refusal));
  }
}

/** Whoever goes to a proxy of the environment knows no better. */
function explained(refusal: Refusal): Refusal {
  const { target } = refusal;
  const variable = target === undefined ? undefined : environmentProxyAt(target.host, target.port);
  return variable === undefined ? refusal : { ...refusal, message: environmentProxyMessage(variable) };
}

/** As guards have it: IPv6 in brackets. */
function asInUrl(target: Target): Target {
  const host = inUrl(target.host);
  return host === target.host ? target : { ...target, host };
}

/** The session is over: its code goes nowhere any more. */
function revoked(target: Target): Refusal {
  return fromVerdict('session', denialOf('revoked', asInUrl(target)));
}

function isOpen(egress: Egress, way: Way, detail: string): boolean {
  switch (way) {
    case 'udp':
      return egress.udp;
    case 'child-process':
      return egress.childProcess;
    case 'worker':
      return egress.workers;
    case 'unix-socket':
      return egress.unix.has(detail);
    case 'dns-query':
    case 'process-binding':
      return false;
  }
}

function placeOf({ scheme, host, port }: OutgoingRequest): Target {
  return { scheme, host, port };
}

function urlOf({ scheme, host, port, path }: OutgoingRequest): string {
  return `${scheme}://${host}:${port}${path}`;
}

async function resolve(host: string): Promise<readonly string[]> {
  const { promises } = process.getBuiltinModule('node:dns');
  const answers = await promises.lookup(host, { all: true });
  return answers.map(({ address }) => address);
}
