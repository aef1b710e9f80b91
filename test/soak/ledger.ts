export type Unit = 'usd' | 'sat';

/**
 * What was spent, as whoever spent it has written it down: outside of the library, in nano-USD or millisatoshi. What must
 * be booked for it follows from how it ended, by what the README says of `onError`, streams and `close`.
 */
export interface Entry {
  readonly kind: 'call' | 'hold' | 'charge';
  readonly id: string;
  readonly unit: Unit;
  /** What was held for it. */
  readonly estimate: number;
  /** Of a keyed call: the name of its hold, without the round. */
  readonly key?: string;
  /** A stream: the end of its session is its end, and not the end of the process that feeds it. */
  readonly streams?: boolean;
  /** What has to be booked; undefined while it runs. */
  booked?: number;
  /** Nothing of it counts: it never ran. */
  released?: boolean;
  /** Its session was closed while it ran, so that its estimate counts, and later what it cost beyond that. */
  forfeited?: boolean;
}

/** What the log and the summary of the session must tell. */
export function loggedFor({ forfeited, estimate, booked = estimate }: Entry): number {
  return forfeited ? estimate : booked;
}

/** What the counters of the store must hold. */
export function countedFor({ forfeited, estimate, released, booked = estimate }: Entry): number {
  if (forfeited) return released ? estimate : Math.max(estimate, booked);
  return booked;
}

/** `1250000000` nano-USD as `'1.250000000'`, and so for msat. */
export function decimal(unit: Unit, units: number): string {
  const places = unit === 'usd' ? 9 : 3;
  const digits = String(units).padStart(places + 1, '0');
  return `${digits.slice(0, -places)}.${digits.slice(-places)}`;
}

export function moneyOf(unit: Unit, units: number): { usd: string } | { sat: string } {
  return unit === 'usd' ? { usd: decimal('usd', units) } : { sat: decimal('sat', units) };
}

/** The same backwards, of what a log tells: `'0.0042'` USD is 4200000. By digits. */
export function unitsOf(unit: Unit, text: string | undefined): number {
  const places = unit === 'usd' ? 9 : 3;
  const [whole = '0', fraction = ''] = (text ?? '0').split('.');
  if (fraction.length > places) throw new Error(`"${text}" has more digits than there are`);
  return Number(BigInt(whole + fraction.padEnd(places, '0')));
}
