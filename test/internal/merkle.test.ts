import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  CompactRange,
  EMPTY_ROOT,
  type Inclusion,
  inclusionProof,
  merkleRoot,
  verifyInclusion,
} from '../../src/internal/merkle.ts';

const vectors = JSON.parse(readFileSync(new URL('../vectors/rfc6962.json', import.meta.url), 'utf8')) as {
  readonly leaves: readonly string[];
  readonly leafHashes: readonly string[];
  readonly roots: readonly string[];
  readonly inclusion: readonly { readonly index: number; readonly size: number; readonly proof: readonly string[] }[];
};
const { leafHashes, roots } = vectors;
const rootOf = (size: number): string => roots[size] as string;

function sha256(...parts: readonly (string | Uint8Array)[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** RFC 6962 §2.1 as it is written, over bytes. */
function treeHash(leaves: readonly Buffer[]): Buffer {
  if (leaves.length === 0) return sha256('');
  if (leaves.length === 1) return leaves[0] as Buffer;
  let left = 1;
  while (left * 2 < leaves.length) left *= 2;
  return sha256('\x01', treeHash(leaves.slice(0, left)), treeHash(leaves.slice(left)));
}

function leavesOf(count: number): string[] {
  return Array.from({ length: count }, (_, i) => sha256('\0', String(i)).toString('hex'));
}

/** One bit of a hash changed. */
function flipped(hash: string, bit: number): string {
  const bytes = Buffer.from(hash, 'hex');
  bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
  return bytes.toString('hex');
}

describe('merkleRoot', () => {
  it('has the leaves of the reference vectors as their hashes', () => {
    expect(vectors.leaves.map((leaf) => sha256('\0', Buffer.from(leaf, 'hex')).toString('hex'))).toEqual(leafHashes);
  });

  it.each(roots.map((root, size) => ({ size, root })))('is the reference root of $size leaves', ({ size, root }) => {
    expect(merkleRoot(leafHashes.slice(0, size))).toBe(root);
  });

  it('is what the definition says for any number of leaves', () => {
    for (let count = 0; count <= 130; count++) {
      const leaves = leavesOf(count);
      expect(merkleRoot(leaves)).toBe(treeHash(leaves.map((leaf) => Buffer.from(leaf, 'hex'))).toString('hex'));
    }
  });
});

describe('CompactRange', () => {
  it('knows the root after every leaf, and asking does not change it', () => {
    const range = new CompactRange();
    const leaves = leavesOf(70);
    expect(range.root()).toBe(EMPTY_ROOT);
    for (const [i, leaf] of leaves.entries()) {
      expect(range.size).toBe(i);
      range.push(leaf);
      expect(range.root()).toBe(merkleRoot(leaves.slice(0, i + 1)));
      expect(range.root()).toBe(range.root());
    }
    expect(range.size).toBe(70);
  });

  it('does not mix with another that grows at the same time', () => {
    const [one, two] = [new CompactRange(), new CompactRange()];
    const leaves = leavesOf(64);
    for (const [i, leaf] of leaves.entries()) {
      one.push(leaf);
      two.push(leaves[63 - i] as string);
    }
    expect(one.root()).toBe(merkleRoot(leaves));
    expect(two.root()).toBe(merkleRoot(leaves.toReversed()));
  });
});

describe('inclusionProof', () => {
  it.each(vectors.inclusion)('is the reference proof of leaf $index of $size', ({ index, size, proof }) => {
    expect(inclusionProof(leafHashes.slice(0, size), index)).toEqual(proof);
  });

  it.each([
    { name: 'an index behind the last leaf', leaves: 3, index: 3 },
    { name: 'a tree without leaves', leaves: 0, index: 0 },
    { name: 'a negative index', leaves: 3, index: -1 },
    { name: 'half an index', leaves: 3, index: 0.5 },
    { name: 'no index', leaves: 3, index: Number.NaN },
  ])('refuses $name', ({ leaves, index }) => {
    expect(() => inclusionProof(leavesOf(leaves), index)).toThrow(RangeError);
  });

  it('verifies for every leaf of every tree, and for no other leaf', () => {
    for (let size = 1; size <= 20; size++) {
      const leaves = leavesOf(size);
      const root = merkleRoot(leaves);
      for (let index = 0; index < size; index++) {
        const proof = inclusionProof(leaves, index);
        for (const [other, leaf] of leaves.entries()) {
          expect(verifyInclusion({ index, size, leaf, root, proof })).toBe(other === index);
          expect(verifyInclusion({ index: other, size, leaf: leaves[index] as string, root, proof })).toBe(
            other === index,
          );
        }
      }
    }
  });
});

/** Every way in which the reference tests spoil an inclusion proof. */
function spoiledInclusions(right: Inclusion): { name: string; claim: Inclusion }[] {
  const { index, size, root, proof } = right;
  const some = 'abacaba000000000000000000000000000000000000000000060061e00123456';
  const spoiled: [string, Partial<Inclusion>][] = [
    ['index - 1', { index: index - 1 }],
    ['index + 1', { index: index + 1 }],
    ['index ^ 2', { index: index ^ 2 }],
    ['size * 2', { size: size * 2 }],
    ['size / 2', { size: Math.floor(size / 2) }],
    ['another leaf', { leaf: some }],
    ['no leaf', { leaf: '' }],
    ['the root of nothing', { root: EMPTY_ROOT }],
    ['another root', { root: some }],
    ['garbage at the end', { proof: [...proof, ''] }],
    ['the root at the end', { proof: [...proof, root] }],
    ['garbage at the front', { proof: ['', ...proof] }],
    ['the root at the front', { proof: [root, ...proof] }],
    ['the root in capitals', { root: root.toUpperCase() }],
    ...proof.flatMap((hash, i): [string, Partial<Inclusion>][] => [
      [`hash ${i}`, { proof: proof.with(i, flipped(hash, 3)) }],
      [`hash ${i} in capitals`, { proof: proof.with(i, hash.toUpperCase()) }],
      [`hash ${i} left out of its place`, { proof: proof.with(i, '') }],
    ]),
  ];
  if (proof.length > 0) spoiled.push(['a hash too few', { proof: proof.slice(0, -1) }]);
  if (proof.length > 1) spoiled.push(['a hash between', { proof: [proof[0] as string, some, ...proof.slice(1)] }]);
  return spoiled.map(([name, change]) => ({ name: `${index} of ${size}: ${name}`, claim: { ...right, ...change } }));
}

const inclusions = vectors.inclusion.map(({ index, size, proof }) => {
  return { index, size, leaf: leafHashes[index] as string, root: rootOf(size), proof };
});
describe('verifyInclusion', () => {
  it.each(inclusions)('accepts the reference proof of leaf $index of $size', (claim) => {
    expect(verifyInclusion(claim)).toBe(true);
  });

  it.each(inclusions.flatMap(spoiledInclusions))('refuses $name', ({ claim }) => {
    expect(verifyInclusion(claim)).toBe(false);
  });

  it.each([
    { index: 0, size: 0 },
    { index: 1, size: 0 },
    { index: 2, size: 1 },
    { index: 0.5, size: 1 },
    { index: 0, size: Number.NaN },
    { index: 0, size: 2 ** 53 },
  ])('refuses leaf $index of $size, of which there is none', ({ index, size }) => {
    expect(verifyInclusion({ index, size, leaf: EMPTY_ROOT, root: EMPTY_ROOT, proof: [] })).toBe(false);
  });

  it('knows trees of more leaves than 32 bits count', () => {
    const size = 2 ** 40;
    const [leaf = '', ...proof] = leavesOf(41);
    const root = proof.reduce(
      (right, left) => sha256('\x01', Buffer.from(left, 'hex'), Buffer.from(right, 'hex')).toString('hex'),
      leaf,
    );
    expect(verifyInclusion({ index: size - 1, size, leaf, root, proof })).toBe(true);
    expect(verifyInclusion({ index: size - 2, size, leaf, root, proof })).toBe(false);
  });
});

describe('a proof that goes on', () => {
  it.each([1, 2, 3, 5])(
    'above the root of %i leaves is refused, though it leads to what is called the root',
    (size) => {
      const leaves = leavesOf(size);
      for (const [index, leaf] of leaves.entries()) {
        const beside = 'cd'.repeat(32);
        const [proof, inner] = [inclusionProof(leaves, index), merkleRoot(leaves)];
        const claim = { index, size, leaf, proof: [...proof, beside] };
        for (const root of [merkleRoot([inner, beside]), merkleRoot([beside, inner])]) {
          expect(verifyInclusion({ ...claim, root })).toBe(false);
        }
      }
    },
  );
});

describe('a proof in another spelling', () => {
  const [left, right] = ['ab'.repeat(32), 'cd'.repeat(32)] as const;
  const root = merkleRoot([left, right]);

  it.each([`${right}0`, `${right}\n`, `0${right}`, right.toUpperCase()])('is refused: %j', (beside) => {
    const inclusion = { index: 0, size: 2, leaf: left, root };
    expect(verifyInclusion({ ...inclusion, proof: [right] })).toBe(true);
    expect(verifyInclusion({ ...inclusion, proof: [beside] })).toBe(false);
  });
});

describe('a proof of what is not there', () => {
  it.each([-1, 2, 0.5])('is refused with what there is: %s', (index) => {
    expect(() => inclusionProof(['ab'.repeat(32), 'cd'.repeat(32)], index)).toThrow(
      new RangeError(`there is no leaf ${index} among 2`),
    );
  });
});
