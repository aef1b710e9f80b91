import { randomBytes, randomUUID } from 'node:crypto';
import type { ArgsHash } from './audit/commitment.ts';
import { memorySink } from './audit/memory-sink.ts';
import type { AuditSink } from './audit/sink.ts';
import type { DenialCode } from './errors.ts';
import type { Guard } from './guard.ts';
import { snapshotJson } from './internal/canonical-json.ts';
import { type Clock, systemClock } from './internal/clock.ts';
import { checkName, checkOneOf, checkOptions, shown } from './internal/options.ts';
import type { Convert } from './plan.ts';
import { memoryStore } from './stores/memory.ts';
import type { Store } from './stores/store.ts';

export interface AuditOptions {
  readonly sink: AuditSink;
  /** How arguments appear: salted hash, keyed hash or plain hash. Default: `'s1'`. */
  readonly args?: ArgsHash;
  /**
   * The log key, at least 16 bytes, from which salts and keyed hashes are made. Who has it can open an event; without
   * it nobody can. Default: 32 random bytes that die with the session.
   */
  readonly key?: Uint8Array;
  /** Name of the log's origin, without `/`. Default: `'leash.local'`. */
  readonly origin?: string;
}

/** Which denials end the session: their codes, every one, or none. */
export type StopOn = readonly (DenialCode | (string & {}))[] | 'any' | 'none';

export interface LeashOptions {
  /** The rules, in the order in which their refusals are told. */
  readonly guards: readonly Guard[];
  /** Who acts; in the log. Default: `'agent'`. */
  readonly agent?: string;
  /** Session id, and the name of its own counters in the store. Default: a random UUID. */
  readonly id?: string;
  /** Where the log goes. Default: `memorySink()`. */
  readonly audit?: AuditSink | AuditOptions;
  /** Where counted state lives. Default: `memoryStore()`. */
  readonly store?: Store;
  /** `'observe'` records what the guards would refuse, and lets it run. Default: `'enforce'`. */
  readonly mode?: 'enforce' | 'observe';
  /** Which denials end the session. Default: `['BUDGET_EXCEEDED', 'CALL_CAP_REACHED']`. */
  readonly stopOn?: StopOn;
  /** Default: the system's clocks. A default store uses it too. */
  readonly clock?: Clock;
  /** Rate between USD and sat, by which every budget counts spend in both units. Default: none; a unit without a budget is refused. */
  readonly convert?: Convert;
}

/** A sub-agent's leash: the store and the clock are its parent's, and its default sink too. */
export type ChildOptions = Omit<LeashOptions, 'store' | 'clock'>;

/** The options with every default in its place. */
export interface SessionSettings {
  readonly guards: readonly Guard[];
  readonly agent: string;
  readonly id: string;
  readonly audit: Required<AuditOptions>;
  readonly mode: 'enforce' | 'observe';
  readonly stopsOn: (code: string) => boolean;
  readonly convert: Convert | undefined;
}

export interface RootSettings extends SessionSettings {
  readonly store: Store;
  readonly clock: Clock;
}

const CHILD_OPTIONS = ['guards', 'agent', 'id', 'audit', 'mode', 'stopOn', 'convert'];
const STOP_ON: readonly string[] = ['BUDGET_EXCEEDED', 'CALL_CAP_REACHED'];
const CODE = /^[A-Z][A-Z0-9_]{0,63}$/;

/** @throws {TypeError | RangeError} naming the option. */
export function readLeashOptions(options: LeashOptions): RootSettings {
  checkOptions('createLeash', options, [...CHILD_OPTIONS, 'store', 'clock']);
  const { store, clock = systemClock } = options;
  checkMethods('createLeash.clock', clock, ['now', 'wall']);
  if (store !== undefined) {
    checkMethods('createLeash.store', store, ['open', 'reserve', 'settle', 'read', 'sweep', 'shut']);
  }
  const common = readCommon('createLeash', options, undefined);
  return { ...common, clock, store: store ?? memoryStore({ clock }) };
}

/** @throws {TypeError | RangeError} naming the option. */
export function readChildOptions(options: ChildOptions, parent: SessionSettings): SessionSettings {
  checkOptions('leash.child', options, CHILD_OPTIONS);
  return readCommon('leash.child', options, parent);
}

function readCommon(where: string, options: ChildOptions, parent: SessionSettings | undefined): SessionSettings {
  const { guards, agent, id, audit, mode, stopOn, convert } = options;
  if (convert !== undefined && typeof convert !== 'function') {
    throw new TypeError(`\`${where}.convert\` must be a function, got ${shown(convert)}`);
  }
  return {
    guards: checkGuards(`${where}.guards`, guards),
    agent: agent === undefined ? (parent?.agent ?? 'agent') : checkName(`${where}.agent`, agent),
    id: id === undefined ? randomUUID() : checkName(`${where}.id`, id),
    audit: audit === undefined && parent !== undefined ? parent.audit : readAudit(`${where}.audit`, audit),
    mode: checkOneOf(`${where}.mode`, mode ?? parent?.mode ?? 'enforce', ['enforce', 'observe']),
    stopsOn: stopOn === undefined && parent !== undefined ? parent.stopsOn : readStopOn(`${where}.stopOn`, stopOn),
    convert: convert ?? parent?.convert,
  };
}

function checkGuards(option: string, guards: unknown): readonly Guard[] {
  if (!Array.isArray(guards)) throw new TypeError(`\`${option}\` must be an array of guards, got ${shown(guards)}`);
  guards.forEach((guard, i) => {
    const given = guard as Partial<Guard> | null | undefined;
    const acts = ['check', 'limits', 'reach'].some((part) => typeof given?.[part as keyof Guard] === 'function');
    if (typeof given?.name !== 'string' || !acts) {
      throw new TypeError(`\`${option}[${i}]\` must be a guard such as budget({ usd: 5 }), got ${shown(guard)}`);
    }
    checkName(`${option}[${i}].name`, given.name);
    try {
      snapshotJson(given.settings ?? null);
    } catch {
      throw new TypeError(`\`${option}[${i}].settings\` must be plain JSON: its hash is in the log`);
    }
  });
  return Object.freeze([...(guards as Guard[])]);
}

function readAudit(option: string, audit: AuditSink | AuditOptions | undefined): Required<AuditOptions> {
  const options: AuditOptions = audit === undefined ? { sink: memorySink() } : isSink(audit) ? { sink: audit } : audit;
  checkOptions(option, options, ['sink', 'args', 'key', 'origin']);
  const { sink, args = 's1', key, origin = 'leash.local' } = options;
  if (!isSink(sink))
    throw new TypeError(`\`${option}.sink\` must be a sink such as fileSink(path), got ${shown(sink)}`);
  checkOneOf(`${option}.args`, args, ['s1', 'h1', 'sha256']);
  if (key !== undefined && !(key instanceof Uint8Array)) {
    throw new TypeError(`\`${option}.key\` must be a Uint8Array`);
  }
  if (key !== undefined && key.length < 16) throw new RangeError(`\`${option}.key\` must have at least 16 bytes`);
  checkName(`${option}.origin`, origin);
  if (/[/\s]/.test(origin)) throw new RangeError(`\`${option}.origin\` must hold no \`/\` and no white space`);
  return { sink, args, origin, key: key === undefined ? randomBytes(32) : Uint8Array.from(key) };
}

function isSink(value: unknown): value is AuditSink {
  return typeof value === 'object' && value !== null && typeof (value as Partial<AuditSink>).write === 'function';
}

function readStopOn(option: string, stopOn: StopOn | undefined): (code: string) => boolean {
  if (stopOn === 'any') return () => true;
  if (stopOn === 'none') return () => false;
  const codes: unknown = stopOn ?? STOP_ON;
  if (!Array.isArray(codes))
    throw new TypeError(`\`${option}\` must be 'any', 'none' or an array of codes, got ${shown(codes)}`);
  for (const code of codes) {
    if (typeof code !== 'string' || !CODE.test(code)) {
      throw new TypeError(`\`${option}\` must hold codes such as 'BUDGET_EXCEEDED', got ${shown(code)}`);
    }
  }
  const set = new Set<string>(codes);
  return (code) => set.has(code);
}

function checkMethods(option: string, value: unknown, methods: readonly string[]): void {
  for (const method of methods) {
    if (typeof (value as Record<string, unknown> | null | undefined)?.[method] !== 'function') {
      throw new TypeError(`\`${option}\` has no method \`${method}\``);
    }
  }
}
