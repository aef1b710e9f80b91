import { TextCache } from '../internal/text-cache.ts';
import { type ExactMoney, formatUnits, type MoneyUnit } from '../money.ts';
import type { PriorHead } from './sink.ts';

/** Every kind of event: what a line of `leash-log/1` may be but `checkpoint`, which the log writes itself. */
export type EventKind =
  | 'session_open'
  | 'tool_start'
  | 'tool_ok'
  | 'tool_error'
  | 'tool_denied'
  | 'budget_denied'
  | 'egress_ok'
  | 'egress_denied'
  | 'charge'
  | 'kill_switch'
  | 'key_rotated'
  | 'events_dropped'
  | 'log_recovered'
  | 'session_close';

const MAX_FIELD = 256;

/** A JSON string of at most 256 characters of well-formed Unicode, for anything that a user may have named. */
export function quote(text: string): string {
  return JSON.stringify((text.length > MAX_FIELD ? text.slice(0, MAX_FIELD) : text).toWellFormed());
}

/** Few hosts and addresses are in nearly all events of an agent. */
const quoted = new TextCache<string>();

function quoteKnown(text: string): string {
  return quoted.get(text) ?? quoted.keep(text, quote(text));
}

function field(key: string, text: string | undefined): string {
  return text === undefined ? '' : `,"${key}":${quote(text)}`;
}

const lastUnits: Record<MoneyUnit, number> = { usd: 0, sat: 0 };
const lastText: Record<MoneyUnit, string> = { usd: '0', sat: '0' };

/** The same price comes call after call: the text of the last one is kept. */
function amount(unit: MoneyUnit, units: number): string {
  if (lastUnits[unit] !== units) {
    lastUnits[unit] = units;
    lastText[unit] = formatUnits(unit, units);
  }
  return lastText[unit];
}

/** Amounts that are not zero, or that `beside` has: a call that held dollars says what it booked of them. */
function moneyFields(money: ExactMoney, beside: ExactMoney = money): string {
  let text = '';
  if (money.usd > 0 || beside.usd > 0) text += `,"usd":"${amount('usd', money.usd)}"`;
  if (money.sat > 0 || beside.sat > 0) text += `,"sat":"${amount('sat', money.sat)}"`;
  return text;
}

export interface LineRef {
  readonly log: string;
  readonly seq: number;
  readonly hash: string;
}

export interface SessionOpen {
  readonly origin: string;
  readonly lib: string;
  readonly agent: string;
  readonly session: string;
  readonly mode: string;
  readonly hash: string;
  /** Hex SHA-256 of the canonical JSON of the guards' names and settings. */
  readonly guards: string;
  /** How far the egress guards reach, where there are some: keys and values as they are to stand in the line. */
  readonly egress?: Readonly<Record<string, string>> | undefined;
  /** Base64 of the session key, where the log is signed. */
  readonly key?: string | undefined;
  /** Base64 of the root's certificate of that key. */
  readonly cert?: string | undefined;
  readonly parent?: LineRef | undefined;
  /** Last known heads of earlier logs beside this one. */
  readonly prior?: readonly PriorHead[] | undefined;
}

/** More than any sink finds; what a reader looks up for each log has an end. */
export const MAX_PRIOR = 64;

export function sessionOpen(open: SessionOpen): string {
  const { egress, key, cert, parent, prior } = open;
  return (
    field('origin', open.origin) +
    field('lib', open.lib) +
    field('agent', open.agent) +
    field('session', open.session) +
    field('mode', open.mode) +
    field('hash', open.hash) +
    field('guards', open.guards) +
    (egress === undefined ? '' : `,"egress":${JSON.stringify(egress)}`) +
    (key === undefined ? '' : `,"key":"${key}"`) +
    (cert === undefined ? '' : `,"cert":"${cert}"`) +
    (parent === undefined ? '' : `,"parent":{"log":"${parent.log}","seq":${parent.seq},"hash":"${parent.hash}"}`) +
    (prior === undefined || prior.length === 0 ? '' : `,"prior":[${prior.slice(-MAX_PRIOR).map(priorHead).join(',')}]`)
  );
}

function priorHead({ log, size, hash }: PriorHead): string {
  return `{"log":"${log}","size":${size},"hash":"${hash}"}`;
}

/** `tool` in these is the quoted name, made once for each tool. */
export function toolStart(call: string, tool: string, args: string, held: ExactMoney, raw?: string): string {
  return `,"call":"${call}","tool":${tool},"args":"${args}"${moneyFields(held)}${verbatim(raw)}`;
}

/** The arguments themselves, as JSON: only where `LEASH_AUDIT_VERBATIM=1` says so. */
function verbatim(raw: string | undefined): string {
  return raw === undefined ? '' : `,"x":{"raw":${raw}}`;
}

export function toolEnd(
  call: string,
  tool: string,
  us: number,
  error: string | undefined,
  booked: ExactMoney,
  held: ExactMoney,
  overrun: boolean,
): string {
  return `,"call":"${call}","tool":${tool},"us":${us}${field('error', error)}${moneyFields(booked, held)}${
    overrun ? ',"overrun":1' : ''
  }`;
}

export interface DeniedFields {
  readonly call: string;
  readonly tool: string;
  readonly args?: string | undefined;
  readonly guard: string;
  readonly code: string;
  readonly reason?: string | undefined;
  readonly observed?: boolean | undefined;
  readonly raw?: string | undefined;
}

function deniedHead({ call, tool, args, guard, code }: DeniedFields): string {
  return `,"call":"${call}","tool":${tool}${args === undefined ? '' : `,"args":"${args}"`}${field('guard', guard)}${field('code', code)}`;
}

export function toolDenied(denied: DeniedFields): string {
  return `${deniedHead(denied)}${field('reason', denied.reason)}${denied.observed ? ',"observed":1' : ''}${verbatim(denied.raw)}`;
}

export interface BudgetDeniedFields extends DeniedFields {
  readonly unit: string;
  readonly cap: string;
  readonly requested: string;
  readonly remaining: string;
}

export function budgetDenied(denied: BudgetDeniedFields): string {
  return (
    `${deniedHead(denied)},"unit":"${denied.unit}","cap":"${denied.cap}","requested":"${denied.requested}"` +
    `,"remaining":"${denied.remaining}"${field('reason', denied.reason)}${denied.observed ? ',"observed":1' : ''}` +
    verbatim(denied.raw)
  );
}

export interface EgressEvent {
  readonly call?: string | undefined;
  readonly tool?: string | undefined;
  readonly scheme: string;
  readonly host: string;
  readonly port: number;
  readonly addr?: string | undefined;
  readonly code?: string | undefined;
  readonly reason?: string | undefined;
  readonly observed?: boolean | undefined;
}

export function egress(event: EgressEvent): string {
  return (
    (event.call === undefined ? '' : `,"call":"${event.call}"`) +
    (event.tool === undefined ? '' : `,"tool":${event.tool}`) +
    `,"scheme":${quoteKnown(event.scheme)},"host":${quoteKnown(event.host)},"port":${event.port}` +
    (event.addr === undefined ? '' : `,"addr":${quoteKnown(event.addr)}`) +
    `${field('code', event.code)}${field('reason', event.reason)}${event.observed ? ',"observed":1' : ''}`
  );
}

export function charge(call: string | undefined, note: string | undefined, booked: ExactMoney): string {
  return `${call === undefined ? '' : `,"call":"${call}"`}${field('note', note)}${moneyFields(booked)}`;
}

export function killSwitch(reason: string): string {
  return field('reason', reason);
}

export function logRecovered(bytes: number, sha256: string): string {
  return `,"bytes":${bytes},"sha256":"${sha256}"`;
}

/** How many events could not be recorded, and the epoch microseconds of the first and the last of them. */
export function eventsDropped({ count, from, to }: { count: number; from: number; to: number }): string {
  return `,"count":${count},"from":${from},"to":${to}`;
}

export function sessionClose(reason: string, calls: number, denied: number, booked: ExactMoney): string {
  return `${field('reason', reason)},"calls":${calls},"denied":${denied}${moneyFields(booked)}`;
}
