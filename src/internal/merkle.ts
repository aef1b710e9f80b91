import { hash } from 'node:crypto';
import { shown } from './options.ts';

/**
 * Merkle trees of RFC 6962 §2.1 and RFC 9162 §2.1 over SHA-256. Every hash is 64 hex digits: Node hashes into a string
 * in half the time that it needs to make a Buffer.
 */

const HASH = /^[0-9a-f]{64}$/;

/** The root of the tree without leaves: the hash of nothing. */
export const EMPTY_ROOT: string = hash('sha256', '');

/** 0x01 || left || right. Nothing waits between writing it and hashing it. */
const scratch = Buffer.alloc(65, 1);

function writeNode(left: string, right: string, encoding: 'hex' | 'latin1'): Buffer {
  scratch.write(left, 1, 32, encoding);
  scratch.write(right, 33, 32, encoding);
  return scratch;
}

/** The hash of an inner node: SHA-256(0x01 || left || right). */
function nodeHash(left: string, right: string): string {
  return hash('sha256', writeNode(left, right, 'hex'));
}

/** What of a growing tree is needed to know its root at any time: at most 53 hashes, however many leaves. */
export class CompactRange {
  /**
   * The roots of the perfect trees that it consists of, the largest first. A tree of one leaf is its hex; the others are
   * strings of 32 characters, one for each byte, which are made and read in two thirds of the time.
   */
  readonly #peaks: string[] = [];
  #size = 0;

  /** How many leaves there are. */
  get size(): number {
    return this.#size;
  }

  /** Adds a leaf, given as its hash: SHA-256(0x00 || leaf). */
  push(leaf: string): void {
    const peaks = this.#peaks;
    const size = this.#size++;
    if (size % 2 === 0) {
      peaks.push(leaf);
      return;
    }
    let merged = hash('sha256', writeNode(peaks.pop() as string, leaf, 'hex'), 'binary');
    // Two trees of the same size become one, as digits carry when one counts in twos.
    for (let rest = (size - 1) / 2; rest % 2 === 1; rest = (rest - 1) / 2) {
      merged = hash('sha256', writeNode(peaks.pop() as string, merged, 'latin1'), 'binary');
    }
    peaks.push(merged);
  }

  root(): string {
    const last = this.#peaks.length - 1;
    const alone = this.#size % 2 === 1;
    const peaks = this.#peaks.map((peak, i) =>
      alone && i === last ? peak : Buffer.from(peak, 'latin1').toString('hex'),
    );
    return peaks.length === 0 ? EMPTY_ROOT : peaks.reduceRight((right, left) => nodeHash(left, right));
  }
}

/** The root of the tree with these leaves, each given as its hash. */
export function merkleRoot(leaves: Iterable<string>): string {
  const range = new CompactRange();
  for (const leaf of leaves) range.push(leaf);
  return range.root();
}

/** The largest power of two below `size`: how many leaves the left half of a tree has. */
function leftSize(size: number): number {
  let left = 1;
  while (left * 2 < size) left *= 2;
  return left;
}

/** The root of a part of the leaves, and of the part beside it, in the order in which proofs list them. */
type Sibling = readonly [from: number, to: number];

function proofOf(leaves: readonly string[], siblings: readonly Sibling[]): string[] {
  return siblings.map(([from, to]) => merkleRoot(leaves.slice(from, to)));
}

function checkSize(what: string, size: number, min: number, max: number): void {
  if (!Number.isSafeInteger(size) || size < min || size > max) {
    throw new RangeError(`${what} must be an integer from ${min} to ${max}, got ${shown(size)}`);
  }
}

/**
 * The inclusion proof of one leaf: the hashes beside its path to the root, from the leaf upwards (RFC 9162 §2.1.3.1).
 *
 * @param leaves all leaves of the tree, each given as its hash.
 * @throws {RangeError} there is no such leaf.
 */
export function inclusionProof(leaves: readonly string[], index: number): readonly string[] {
  checkSize('the index of a leaf', index, 0, leaves.length - 1);
  const siblings: Sibling[] = [];
  for (let from = 0, to = leaves.length; to - from > 1; ) {
    const middle = from + leftSize(to - from);
    if (index < middle) {
      siblings.push([middle, to]);
      to = middle;
    } else {
      siblings.push([from, middle]);
      from = middle;
    }
  }
  return proofOf(leaves, siblings.reverse());
}

/**
 * The proof that the tree of the first leaves is the beginning of the tree of all (RFC 9162 §2.1.4.1).
 *
 * @param leaves all leaves of the larger tree, each given as its hash.
 * @param size how many of them the smaller tree has.
 * @throws {RangeError} `size` is 0, of which every tree would be a continuation, or more than there are leaves.
 */
export function consistencyProof(leaves: readonly string[], size: number): readonly string[] {
  checkSize('the size of the smaller tree', size, 1, leaves.length);
  const siblings: Sibling[] = [];
  let from = 0;
  let to = leaves.length;
  // Down to the part that both trees have as a whole.
  while (size < to) {
    const middle = from + leftSize(to - from);
    if (size <= middle) {
      siblings.push([middle, to]);
      to = middle;
    } else {
      siblings.push([from, middle]);
      from = middle;
    }
  }
  // Where that part is the smaller tree itself, whoever verifies has its root.
  if (from > 0) siblings.push([from, to]);
  return proofOf(leaves, siblings.reverse());
}

export interface Inclusion {
  /** Which leaf, from 0. */
  readonly index: number;
  /** How many leaves the tree has. */
  readonly size: number;
  /** The hash of the leaf: SHA-256(0x00 || leaf). */
  readonly leaf: string;
  readonly root: string;
  readonly proof: readonly string[];
}

/** Whether the leaf is in the tree, at that index (RFC 9162 §2.1.3.2). Never throws. */
export function verifyInclusion({ index, size, leaf, root, proof }: Inclusion): boolean {
  if (!areSizes(index, size) || index >= size || !areHashes([leaf, root, ...proof])) return false;
  const path = new Path(index, size - 1);
  let computed = leaf;
  for (const beside of proof) {
    if (path.atRoot) return false;
    computed = path.isRight ? nodeHash(beside, computed) : nodeHash(computed, beside);
    path.rise();
  }
  return path.atRoot && computed === root;
}

export interface Consistency {
  readonly firstSize: number;
  readonly firstRoot: string;
  readonly secondSize: number;
  readonly secondRoot: string;
  readonly proof: readonly string[];
}

/**
 * Whether the first tree is the beginning of the second (RFC 9162 §2.1.4.2). A first tree without leaves is refused:
 * it says nothing about the second. Never throws.
 */
export function verifyConsistency(claim: Consistency): boolean {
  const { firstSize, firstRoot, secondSize, secondRoot, proof } = claim;
  if (!areSizes(firstSize, secondSize) || firstSize === 0 || firstSize > secondSize) return false;
  if (!areHashes([firstRoot, secondRoot, ...proof])) return false;
  if (firstSize === secondSize) return proof.length === 0 && firstRoot === secondRoot;
  const path = new Path(firstSize - 1, secondSize - 1);
  path.skipRight();
  // A first tree of a power of two leaves is a part of the second, and its root is where the proof starts.
  const [start, ...rest] = path.index === 0 ? [firstRoot, ...proof] : proof;
  if (start === undefined) return false;
  let first = start;
  let second = start;
  for (const beside of rest) {
    if (path.atRoot) return false;
    if (path.isRight) {
      first = nodeHash(beside, first);
      second = nodeHash(beside, second);
    } else second = nodeHash(second, beside);
    path.rise();
  }
  return path.atRoot && first === firstRoot && second === secondRoot;
}

/** A place in a tree and the last place of its level, on the way up. Halved as numbers: bits end at 31. */
class Path {
  index: number;
  #last: number;

  constructor(index: number, last: number) {
    this.index = index;
    this.#last = last;
  }

  get atRoot(): boolean {
    return this.#last === 0;
  }

  /** The node beside this one stands to its left. The last node of a level that has none to its right rises alone. */
  get isRight(): boolean {
    return this.index % 2 === 1 || this.index === this.#last;
  }

  rise(): void {
    if (this.isRight) while (this.index % 2 === 0 && this.index > 0) this.#halve();
    this.#halve();
  }

  /** Up past all parts that end where the index does. */
  skipRight(): void {
    while (this.index % 2 === 1) this.#halve();
  }

  #halve(): void {
    this.index = Math.floor(this.index / 2);
    this.#last = Math.floor(this.#last / 2);
  }
}

function areSizes(...sizes: readonly number[]): boolean {
  return sizes.every((size) => Number.isSafeInteger(size) && size >= 0);
}

function areHashes(hashes: readonly string[]): boolean {
  return hashes.every((text) => HASH.test(text));
}
