import { kindOf, shown } from './internal/options.ts';

/** A quantity in a known unit: a decimal number, a decimal string, or a whole number as bigint. */
export type Amount = number | string | bigint;

/**
 * An amount of money: `{ usd: 0.5 }`, `{ sat: 5000 }`, both at once, or a string with its unit:
 * `'$0.50'`, `'5000 sat'`, `'250 msat'`.
 */
export type Money =
  | { readonly usd: Amount; readonly sat?: Amount | undefined }
  | { readonly usd?: Amount | undefined; readonly sat: Amount }
  | `$${string}`
  | `${string} sat`
  | `${string} msat`;

/** What money is counted in: US dollars or satoshi. */
export type MoneyUnit = 'usd' | 'sat';

/** Money inside the library: safe integers >= 0. Never a float, never a sum of floats. */
export interface ExactMoney {
  /** Nano-USD, 1e-9 USD: the price of one token at any list price per million is a whole number of them. */
  readonly usd: number;
  /** Millisatoshi, 1e-3 sat. */
  readonly sat: number;
}

export const FREE: ExactMoney = Object.freeze({ usd: 0, sat: 0 });

/** `'up'` for what is spent, `'down'` for what may be spent or comes back: an error in rounding never adds room. */
export type Rounding = 'up' | 'down';

/** Decimal places of a unit's smallest part. */
const PLACES: Readonly<Record<MoneyUnit, number>> = { usd: 9, sat: 3 };

const DECIMAL = /^(\d{1,40})(?:\.(\d{1,400}))?$/;
/** A finite number >= 0 as JavaScript writes it. */
const FLOAT = /^(\d+)(?:\.(\d+))?(?:e([+-]\d+))?$/;

/** A decimal number, moved `places` to the left of its point, as an exact integer; NaN where it is no safe one. */
function shiftDecimal(whole: string, fraction: string, places: number, rounding: Rounding): number {
  const kept = Number(whole + fraction.slice(0, places).padEnd(places, '0'));
  const lost = rounding === 'up' && /[1-9]/.test(fraction.slice(places));
  const units = lost ? kept + 1 : kept;
  return Number.isSafeInteger(units) ? units : Number.NaN;
}

/** Exact units of one amount, or NaN where it is not an amount that can be held. */
function unitsOf(unit: MoneyUnit, amount: unknown, rounding: Rounding): number {
  const places = PLACES[unit];
  if (typeof amount === 'number') {
    if (!(amount >= 0)) return Number.NaN;
    // Three times as fast as by its text, and the same.
    if (Number.isInteger(amount)) {
      // A zero without a sign: -0 is no other amount than 0, and no counter should tell them apart.
      const units = Math.abs(amount) * 10 ** places;
      return Number.isSafeInteger(units) ? units : Number.NaN;
    }
    const match = FLOAT.exec(String(amount));
    if (match === null) return Number.NaN;
    const shift = places + Number(match[3] ?? 0);
    // JavaScript writes one digit before the point of a number that small, so it is less than a unit and more than nothing.
    if (shift < 0) return rounding === 'up' ? 1 : 0;
    return shiftDecimal(match[1] as string, match[2] ?? '', shift, rounding);
  }
  if (typeof amount === 'bigint') {
    const units = amount < 0n ? Number.NaN : Number(amount * 10n ** BigInt(places));
    return Number.isSafeInteger(units) ? units : Number.NaN;
  }
  if (typeof amount !== 'string') return Number.NaN;
  let digits = amount;
  let shift = places;
  if (unit === 'usd' && digits.startsWith('$')) digits = digits.slice(1);
  else if (unit === 'sat' && digits.endsWith(' sat')) digits = digits.slice(0, -4);
  else if (unit === 'sat' && digits.endsWith(' msat')) {
    digits = digits.slice(0, -5);
    shift = 0;
  }
  const match = DECIMAL.exec(digits);
  return match === null ? Number.NaN : shiftDecimal(match[1] as string, match[2] ?? '', shift, rounding);
}

const EXAMPLES: Readonly<Record<MoneyUnit, string>> = {
  usd: "0.5, '$0.50' or 5n, at most $9007199.254740991",
  sat: "5000, '5000 sat' or '250 msat', at most 9007199254740.991 sat",
};

/**
 * A cap that a developer wrote, in exact units, rounded down.
 *
 * @throws {TypeError} not a number, string or bigint.
 * @throws {RangeError} NaN, infinite, negative, no decimal number, or more than 2^53 - 1 units.
 */
export function parseCap(option: string, unit: MoneyUnit, amount: unknown): number {
  return declaredUnits(option, unit, amount, 'down');
}

/**
 * A price that a developer wrote, in exact units, rounded up.
 *
 * @throws {TypeError} not a number, string or bigint.
 * @throws {RangeError} NaN, infinite, negative, no decimal number, or more than 2^53 - 1 units.
 */
export function parseRate(option: string, unit: MoneyUnit, amount: unknown): number {
  return declaredUnits(option, unit, amount, 'up');
}

function declaredUnits(option: string, unit: MoneyUnit, amount: unknown, rounding: Rounding): number {
  const units = unitsOf(unit, amount, rounding);
  if (Number.isNaN(units)) {
    const message = `\`${option}\` must be an amount such as ${EXAMPLES[unit]}, got ${shown(amount)}`;
    throw ['number', 'string', 'bigint'].includes(typeof amount) ? new RangeError(message) : new TypeError(message);
  }
  return units;
}

/**
 * What a call costs, in exact units. The message names `where` and never shows the amount's text: it may be made of
 * arguments.
 *
 * @throws {TypeError} no money at all: an unknown key, an object without a unit, a wrong type.
 * @throws {RangeError} NaN, infinite, negative, no decimal number, a string without a unit, or more than 2^53 - 1 units.
 */
export function parseMoney(where: string, money: unknown, rounding: Rounding = 'up'): ExactMoney {
  if (typeof money === 'string') {
    const unit = money.startsWith('$') ? 'usd' : money.endsWith(' sat') || money.endsWith(' msat') ? 'sat' : undefined;
    if (unit === undefined) {
      throw new RangeError(`${where} must name its unit, such as '$0.50' or '5000 sat', got a string without one`);
    }
    const units = checkUnits(where, unit, money, rounding);
    return unit === 'usd' ? { usd: units, sat: 0 } : { usd: 0, sat: units };
  }
  if (typeof money !== 'object' || money === null) {
    throw new TypeError(`${where} must be money such as { usd: 0.5 }, '$0.50' or { sat: 5000 }, got ${kindOf(money)}`);
  }
  const { usd, sat } = money as { usd?: unknown; sat?: unknown };
  for (const key in money) {
    if (key !== 'usd' && key !== 'sat') throw new TypeError(`${where} has a key that is neither \`usd\` nor \`sat\``);
  }
  if (usd === undefined && sat === undefined) throw new TypeError(`${where} has neither \`usd\` nor \`sat\``);
  return {
    usd: usd === undefined ? 0 : checkUnits(`${where}.usd`, 'usd', usd, rounding),
    sat: sat === undefined ? 0 : checkUnits(`${where}.sat`, 'sat', sat, rounding),
  };
}

function checkUnits(where: string, unit: MoneyUnit, amount: unknown, rounding: Rounding): number {
  const units = unitsOf(unit, amount, rounding);
  if (Number.isNaN(units)) {
    const message = `${where} must be an amount such as ${EXAMPLES[unit]}, got ${kindOf(amount)} that is none`;
    throw ['number', 'string', 'bigint'].includes(typeof amount) ? new RangeError(message) : new TypeError(message);
  }
  return units;
}

/** The sum, or 2^53 - 1 where it would pass that: a counter that is full refuses, it never wraps or loses digits. */
export function addUnits(a: number, b: number): number {
  const sum = a + b;
  return sum > Number.MAX_SAFE_INTEGER ? Number.MAX_SAFE_INTEGER : sum;
}

export function addMoney(a: ExactMoney, b: ExactMoney): ExactMoney {
  return { usd: addUnits(a.usd, b.usd), sat: addUnits(a.sat, b.sat) };
}

/** Exact units as a decimal string without trailing zeros: `4200000` nano-USD is `'0.0042'`. */
export function formatUnits(unit: MoneyUnit, units: number): string {
  const places = PLACES[unit];
  const sign = units < 0 ? '-' : '';
  const digits = String(Math.abs(units)).padStart(places + 1, '0');
  const fraction = digits.slice(-places).replace(/0+$/, '');
  return `${sign}${digits.slice(0, -places)}${fraction === '' ? '' : `.${fraction}`}`;
}

/** For people: `'$0.50'`, `'-$2.0042'`, `'1250 sat'`. */
export function displayUnits(unit: MoneyUnit, units: number): string {
  const text = formatUnits(unit, Math.abs(units));
  const sign = units < 0 ? '-' : '';
  if (unit === 'sat') return `${sign}${text} sat`;
  const point = text.indexOf('.');
  if (point === -1) return `${sign}$${text}.00`;
  return `${sign}$${text.length - point === 2 ? `${text}0` : text}`;
}
