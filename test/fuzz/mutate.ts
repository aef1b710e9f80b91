import type { SeededRandom } from '../helpers/random.ts';
import { CANARY, type Target } from './target.ts';
import { NASTY } from './values.ts';

/** Longer inputs find little more, and cost more. */
export const MAX_INPUT = 16_384;

/** An input like `input`, and maybe like `other`. */
export function mutated(target: Target, random: SeededRandom, input: Buffer, other: Buffer): Buffer {
  let changed = input;
  for (let left = random.integer(1, 4); left > 0; left--) {
    const asJson =
      target.form === 'json' && !random.happens(4) ? changedJson(target, random, changed, other) : undefined;
    changed = (asJson ?? changedBytes(target, random, changed, other)).subarray(0, MAX_INPUT);
  }
  return changed;
}

type Change = (target: Target, random: SeededRandom, bytes: Buffer, other: Buffer) => Buffer;

const CHANGES: readonly Change[] = [
  (_, random, bytes) => {
    const flipped = Buffer.from(bytes);
    const at = random.integer(0, Math.max(0, bytes.length - 1));
    if (flipped.length > 0) flipped[at] = (flipped[at] as number) ^ (1 << random.integer(0, 7));
    return flipped;
  },
  (_, random, bytes) => replaced(bytes, ...piece(random, bytes), Buffer.from([random.integer(0, 255)])),
  // Gone, doubled, cut off, put together with another.
  (_, random, bytes) => replaced(bytes, ...piece(random, bytes), Buffer.alloc(0)),
  (_, random, bytes) => {
    const [from, to] = piece(random, bytes);
    const times = random.happens(8) ? random.integer(2, 64) : 2;
    return replaced(bytes, from, to, Buffer.concat(Array(times).fill(bytes.subarray(from, to))));
  },
  (_, random, bytes) => bytes.subarray(0, random.integer(0, bytes.length)),
  (_, random, bytes, other) => {
    const [from, to] = piece(random, other);
    return replaced(bytes, ...piece(random, bytes), other.subarray(from, to));
  },
  (_, random, bytes, other) =>
    Buffer.concat([
      bytes.subarray(0, random.integer(0, bytes.length)),
      other.subarray(random.integer(0, other.length)),
    ]),
  (target, random, bytes) => replaced(bytes, ...place(random, bytes), Buffer.from(tokenOf(target, random))),
  (target, random, bytes) => replaced(bytes, ...piece(random, bytes), Buffer.from(tokenOf(target, random))),
  // Another digit, another case.
  (_, random, bytes) => {
    const at = random.integer(0, Math.max(0, bytes.length - 1));
    const byte = bytes[at] ?? 0x30;
    const next = byte >= 0x30 && byte <= 0x39 ? 0x30 + random.integer(0, 9) : byte ^ 0x20;
    return replaced(bytes, at, Math.min(at + 1, bytes.length), Buffer.from([next]));
  },
];

/** Whole lines count more than what stands in them. */
const LINE_CHANGES: readonly Change[] = [
  (_, random, bytes) => onLines(bytes, (lines) => lines.splice(random.integer(0, lines.length - 1), 1)),
  (_, random, bytes) =>
    onLines(bytes, (lines) => {
      const [line = ''] = lines.splice(random.integer(0, lines.length - 1), 1);
      lines.splice(random.integer(0, lines.length), 0, line);
    }),
  (_, random, bytes, other) =>
    onLines(bytes, (lines) => {
      const others = other.toString('latin1').split('\n');
      lines.splice(random.integer(0, lines.length), random.integer(0, 1), random.pick(others));
    }),
];

function changedBytes(target: Target, random: SeededRandom, bytes: Buffer, other: Buffer): Buffer {
  const changes = target.form === 'bytes' && random.happens(3) ? LINE_CHANGES : CHANGES;
  return random.pick(changes)(target, random, bytes, other);
}

function onLines(bytes: Buffer, change: (lines: string[]) => void): Buffer {
  const lines = bytes.toString('latin1').split('\n');
  change(lines);
  return Buffer.from(lines.join('\n'), 'latin1');
}

function tokenOf({ tokens }: Target, random: SeededRandom): string {
  return random.happens(tokens.length + 1) ? CANARY : random.pick(tokens);
}

function piece(random: SeededRandom, bytes: Buffer): [from: number, to: number] {
  const from = random.integer(0, bytes.length);
  const most = random.happens(4) ? bytes.length - from : Math.min(8, bytes.length - from);
  return [from, from + random.integer(0, most)];
}

function place(random: SeededRandom, bytes: Buffer): [from: number, to: number] {
  const at = random.integer(0, bytes.length);
  return [at, at];
}

function replaced(bytes: Buffer, from: number, to: number, by: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, from), by, bytes.subarray(to)]);
}

/** The same JSON with one of its nodes replaced, removed, renamed or doubled; undefined where the input is no JSON. */
function changedJson(target: Target, random: SeededRandom, input: Buffer, other: Buffer): Buffer | undefined {
  const json = parsed(input);
  if (json === undefined) return undefined;
  const places = placesIn(json);
  const { holder, key } = random.pick(places);
  const node = (): unknown => {
    const from = parsed(other);
    if (from !== undefined && random.happens(3)) {
      const found = random.pick(placesIn(from));
      return found.holder[found.key];
    }
    const text = random.happens(2) ? tokenOf(target, random) : random.pick(NASTY);
    return (parsed(Buffer.from(text)) ?? { value: text }).value;
  };
  if (Array.isArray(holder) && random.happens(3)) holder.splice(Number(key), random.integer(0, 1), node());
  else {
    const what = random.integer(0, 5);
    if (what === 0) delete holder[key];
    else define(holder, what === 1 ? tokenOf(target, random) : key, node());
  }
  return Buffer.from(JSON.stringify(json.value) ?? 'null');
}

type Holder = Record<string, unknown>;

interface Root extends Holder {
  value: unknown;
}

function parsed(input: Buffer): Root | undefined {
  try {
    return { value: JSON.parse(input.toString('utf8')) };
  } catch {
    return undefined;
  }
}

function define(holder: Holder, key: string, value: unknown): void {
  Object.defineProperty(holder, key, { value, enumerable: true, configurable: true, writable: true });
}

function placesIn(root: Root): { readonly holder: Holder; readonly key: string }[] {
  const places: { readonly holder: Holder; readonly key: string }[] = [{ holder: root, key: 'value' }];
  for (let i = 0; i < places.length && places.length < 500; i++) {
    const { holder, key } = places[i] as (typeof places)[number];
    const node = holder[key];
    if (typeof node !== 'object' || node === null) continue;
    for (const inner of Object.keys(node)) places.push({ holder: node as Holder, key: inner });
  }
  return places;
}
