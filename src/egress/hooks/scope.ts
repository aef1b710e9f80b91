import type { Connection, EgressProxy, OutgoingRequest, Target } from '../../guard.ts';
import type { MaybePromise } from '../../internal/maybe-promise.ts';
import type { EgressReason } from '../policy/denial.ts';
import type { Passes, Verified } from './passes.ts';

/** Ways out of a process that are no HTTP request and no TCP connection. */
export type Way = 'udp' | 'dns-query' | 'unix-socket' | 'child-process' | 'worker' | 'process-binding';

/**
 * Who answers for the running code: a leashed call, or a leash that holds its whole process. Each `Error` is a refusal
 * that is on record already, for the client to fail with.
 */
export interface EgressScope {
  /** What is under way; shared by all calls of a session. */
  readonly passes: Passes;
  /** Connections that the guards of this very scope have found to be right. */
  readonly verified: Verified;
  /** The proxy that what is asked for goes through. */
  readonly via: EgressProxy | undefined;
  /** The same scope for what goes through another proxy, or through none. */
  through(via: EgressProxy | undefined): EgressScope;
  /** Asks only guards that refuse: those that observe are asked when a request is made, with its address. */
  readonly atEdge: EgressScope;
  /** Whether this scope judges and records all that the other one would. */
  covers(other: EgressScope): boolean;
  request(request: OutgoingRequest): Error | undefined;
  connection(connection: Connection): Error | undefined;
  /** Before a name is resolved. */
  name(host: string): Error | undefined;
  /** The addresses of a name, not judged yet. */
  answers(host: string): MaybePromise<readonly string[]>;
  /** Those of a name's addresses that may be dialled, at least one. */
  dialable(host: string, port: number, answers: readonly string[]): readonly string[] | Error;
  /** Whether an address that a connection already has may be used for a host. */
  address(target: Target, address: string): Error | undefined;
  /** Whether code may leave by it. @param detail the socket's path; never on record. */
  mayLeave(way: Way, detail?: string): Error | undefined;
  /** The same, and puts on record that it does. */
  leave(way: Way, detail?: string): Error | undefined;
  /** Refuses a request or connection that contradicts what was judged, unless what is refused is only observed. */
  refuse(reason: EgressReason, target: Target): Error | undefined;
  /** Puts on record what was reached. The error says that it could not be recorded. */
  reached(target: Target): Error | undefined;
}

/** A way has no place. */
export function targetOf(way: Way): Target {
  return { scheme: way, host: '', port: 0 };
}

/** The scope of the code that runs now; undefined outside of every leash. */
export type CurrentScope = () => EgressScope | undefined;
