import { randomUUID } from 'node:crypto';
import type { SignMode } from './audit/checkpoints.ts';
import type { ArgsHash } from './audit/commitment.ts';
import type { RootSigner } from './audit/key.ts';
import { checkRootSigner, isKeyName } from './audit/keys.ts';
import { type LogKey, readLogKey } from './audit/log-key.ts';
import { memorySink } from './audit/memory-sink.ts';
import type { AuditSink } from './audit/sink.ts';
import type { DenialCode } from './errors.ts';
import type { Guard } from './guard.ts';
import { snapshotJson } from './internal/canonical-json.ts';
import { type Clock, systemClock } from './internal/clock.ts';
import { checkInteger, checkName, checkOneOf, checkOptions, shown } from './internal/options.ts';
import { type Amounts, type OnStoreError, readAllowUpTo } from './session/allowance.ts';
import type { Convert } from './session/plan.ts';
import { isDenialCode } from './session/refusal.ts';
import { memoryStore } from './stores/memory.ts';
import type { Store } from './stores/store.ts';

export interface AuditOptions {
  /** Where the lines go. */
  readonly sink: AuditSink;
  /** How arguments appear: salted hash, keyed hash or plain hash. Default: `'s1'`. */
  readonly args?: ArgsHash;
  /**
   * The log key, from which salts and keyed hashes are made: at least 16 bytes, or a file apart from the log that only
   * its owner can read. Who has it can open events; destroying it closes them for good, and the chain stays valid.
   * Default: that of the variable `LEASH_AUDIT_KEY`, else random and gone with the session.
   */
  readonly key?: LogKey;
  /** Name of the log's origin, at most 128 characters without `/`, `+` and white space. Default: `'leash.local'`. */
  readonly origin?: string;
  /**
   * What is signed with the session's Ed25519 key: the log every 256 events, every second with new ones and at the close;
   * `'each'` event; or `'none'`. Default: `'checkpoint'`.
   */
  readonly sign?: SignMode;
  /**
   * Who certifies the session key: a private Ed25519 key, or a function that signs elsewhere, such as in a KMS. Decisions
   * wait for it; if it fails no call runs, whatever `onError` says. Default: nobody, so that a verifier has to take the
   * key on trust.
   */
  readonly signer?: RootSigner;
  /** After how many checkpoints the session key is replaced, and the old one forgotten. Integer >= 1. Default: never. */
  readonly rotateEvery?: number;
  /** Gets each checkpoint as a C2SP signed note, to be kept elsewhere: the only thing that shows a log cut off. Default: nobody. */
  readonly onCheckpoint?: (note: string) => void;
  /**
   * When the log cannot be written: `'deny'` lets no call run, `'allow'` lets them run, keeps 10 000 events for later and
   * counts what it cannot keep (`events_dropped`). Default: `'deny'`.
   */
  readonly onError?: 'deny' | 'allow';
  /**
   * Milliseconds that an asynchronous sink may take for a line, and `signer` for the certificate, until they count as
   * failed. Integer >= 1. Default: 10 000.
   */
  readonly timeoutMs?: number;
}

/** `AuditOptions` with every default in its place. */
interface AuditSettings extends Required<Omit<AuditOptions, 'key' | 'signer' | 'onCheckpoint'>> {
  readonly key: Uint8Array;
  readonly signer: RootSigner | undefined;
  readonly onCheckpoint: ((note: string) => void) | undefined;
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
  /**
   * Milliseconds that an asynchronous store may take for an answer until it counts as failed. Integer >= 1.
   * Default: 10 000.
   */
  readonly storeTimeoutMs?: number;
  /** What becomes of calls while the store fails. Default: `'deny'`. */
  readonly onStoreError?: OnStoreError;
  /** `'observe'` records what the guards would refuse, and lets it run. Default: `'enforce'`. */
  readonly mode?: 'enforce' | 'observe';
  /** Which denials end the session. Default: `['BUDGET_EXCEEDED', 'CALL_CAP_REACHED']`. */
  readonly stopOn?: StopOn;
  /** Time, for tests. A default store uses it too. Default: the system's clocks. */
  readonly clock?: Clock;
  /**
   * Rate between USD and sat, by which every budget counts spend in both units. Default: none; a unit without a budget is
   * refused.
   */
  readonly convert?: Convert;
}

/** A sub-agent's leash: guards and an id of its own, the store and the clock of its parent, and what is left out as its parent has it. */
export type ChildOptions = Omit<LeashOptions, 'store' | 'storeTimeoutMs' | 'onStoreError' | 'clock'>;

/** The options with every default in its place. */
export interface SessionSettings {
  readonly guards: readonly Guard[];
  readonly agent: string;
  readonly id: string;
  readonly audit: AuditSettings;
  readonly mode: 'enforce' | 'observe';
  readonly stopsOn: (code: string) => boolean;
  readonly convert: Convert | undefined;
}

export interface RootSettings extends SessionSettings {
  readonly store: Store;
  readonly storeTimeoutMs: number;
  readonly allowUpTo: Amounts | undefined;
  readonly clock: Clock;
}

const CHILD_OPTIONS = ['guards', 'agent', 'id', 'audit', 'mode', 'stopOn', 'convert'];
export const DEFAULT_STORE_TIMEOUT_MS = 10_000;
const STORE_METHODS = ['open', 'reserve', 'settle', 'read', 'sweep', 'shut', 'stop', 'resume'];
const STOP_ON: readonly string[] = ['BUDGET_EXCEEDED', 'CALL_CAP_REACHED'];

/** @throws {TypeError | RangeError} naming the option. */
export function readLeashOptions(options: LeashOptions): RootSettings {
  checkOptions('createLeash', options, [...CHILD_OPTIONS, 'store', 'storeTimeoutMs', 'onStoreError', 'clock']);
  const { store, storeTimeoutMs = DEFAULT_STORE_TIMEOUT_MS, onStoreError = 'deny', clock = systemClock } = options;
  checkMethods('createLeash.clock', clock, ['now', 'wall']);
  if (store !== undefined) {
    checkMethods('createLeash.store', store, STORE_METHODS);
  }
  return {
    ...readCommon('createLeash', options, undefined),
    clock,
    store: store ?? memoryStore({ clock }),
    storeTimeoutMs: checkInteger('createLeash.storeTimeoutMs', storeTimeoutMs, 1),
    allowUpTo: readAllowUpTo('createLeash.onStoreError', onStoreError),
  };
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

const AUDIT_OPTIONS = [
  'sink',
  'args',
  'key',
  'origin',
  'sign',
  'signer',
  'rotateEvery',
  'onCheckpoint',
  'onError',
  'timeoutMs',
];
/** With the slash and the log's id an origin fits into a field of the log. */
const MAX_ORIGIN = 128;

function readAudit(option: string, audit: AuditSink | AuditOptions | undefined): AuditSettings {
  const options: AuditOptions = audit === undefined ? { sink: memorySink() } : isSink(audit) ? { sink: audit } : audit;
  checkOptions(option, options, AUDIT_OPTIONS);
  const {
    sink,
    args,
    key,
    origin = 'leash.local',
    sign,
    signer,
    rotateEvery,
    onCheckpoint,
    onError,
    timeoutMs,
  } = options;
  if (!isSink(sink)) {
    throw new TypeError(`\`${option}.sink\` must be a sink such as fileSink(path), got ${shown(sink)}`);
  }
  checkName(`${option}.origin`, origin);
  if (origin.length > MAX_ORIGIN || origin.includes('/') || !isKeyName(origin)) {
    throw new RangeError(
      `\`${option}.origin\` must be at most ${MAX_ORIGIN} characters without \`/\`, \`+\` and white space`,
    );
  }
  if (onCheckpoint !== undefined && typeof onCheckpoint !== 'function') {
    throw new TypeError(`\`${option}.onCheckpoint\` must be a function, got ${shown(onCheckpoint)}`);
  }
  const signs = checkOneOf(`${option}.sign`, sign ?? 'checkpoint', ['checkpoint', 'each', 'none']);
  if (signs === 'none' && (signer ?? rotateEvery ?? onCheckpoint) !== undefined) {
    throw new TypeError(`\`${option}.sign\` is 'none', so there is nothing for signer, rotateEvery or onCheckpoint`);
  }
  return {
    sink,
    origin,
    args: checkOneOf(`${option}.args`, args ?? 's1', ['s1', 'h1', 'sha256']),
    key: readLogKey(`${option}.key`, key),
    sign: signs,
    signer: signer === undefined ? undefined : checkRootSigner(`${option}.signer`, signer),
    rotateEvery:
      rotateEvery === undefined ? Number.POSITIVE_INFINITY : checkInteger(`${option}.rotateEvery`, rotateEvery, 1),
    onCheckpoint,
    onError: checkOneOf(`${option}.onError`, onError ?? 'deny', ['deny', 'allow']),
    timeoutMs: checkInteger(`${option}.timeoutMs`, timeoutMs ?? 10_000, 1),
  };
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
    if (!isDenialCode(code)) {
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
