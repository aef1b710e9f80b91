import { CompactRange } from '../internal/merkle.ts';
import { GENESIS } from './chain.ts';
import { checkpointHolds, rootText } from './checkpoint.ts';
import type { Key } from './key.ts';
import { isKeyName, readPublicKey, verifyCertificate } from './keys.ts';
import { type LogLine, PlainLines, type VerifyCode } from './line.ts';

/** Whose session keys are believed. */
export interface Trust {
  /** Root keys; absent where certificates are not looked at. */
  readonly roots?: readonly Key[] | undefined;
  /** Keys are taken from the log itself. */
  readonly onFirstUse: boolean;
}

/** What a log must hold once it has `size` lines. */
export interface Expectation {
  readonly size: number;
  /** Base64. */
  readonly root?: string;
  /** Hex, of the last of these lines. */
  readonly hash?: string;
  /** What it means that it does not. */
  readonly code: 'E_ROOT' | 'E_CHAIN';
  /** Another log of this source says so. The log may stand elsewhere; where it stands here it is looked at. */
  readonly ifPresent?: boolean;
}

const plainLines: ReadonlyMap<string, PlainLines> = new Map(
  ['s1', 'h1', 'sha256'].map((mode) => [mode, new PlainLines(mode)]),
);

/** 64 hex digits and `"}`. */
const TAIL = 66;

/** What a report tells of a log up to some line. */
export interface Mark {
  readonly size: number;
  readonly signedThrough: number;
}

/** Checks one log line by line, in memory that does not grow with it. */
export class LogCheck {
  readonly id: string;
  /** Hash of the last line, which the next one names. */
  prev: string = GENESIS;
  /** How many lines are right. */
  size = 0;
  signedThrough = 0;
  closed = false;
  trusted = false;
  origin = '';
  publicKey: string | undefined;
  bad: { readonly line: number; readonly code: VerifyCode } | undefined;
  readonly #trust: Trust;
  readonly #head: string;
  readonly #range: CompactRange = new CompactRange();
  #key: Key | undefined;
  #mode = '';
  /** Set while lines may come that only go into the chain. */
  #plain: PlainLines | undefined;
  /** `session_close` was read, and its checkpoint is still to come. */
  #closing = false;
  /** By their sizes. Whoever writes a file can have it expect as much as it has lines. */
  readonly #expected = new Map<number, Expectation[]>();

  constructor(id: string, trust: Trust, expected: readonly Expectation[]) {
    this.id = id;
    this.#trust = trust;
    this.#head = `{"v":1,"log":"${id}","seq":`;
    for (const expectation of expected) this.#expect(expectation);
  }

  /** Lines after the last checkpoint, or all where there is none. */
  get unsigned(): number {
    return this.signedThrough === 0 ? this.size : this.size - this.signedThrough - 1;
  }

  /** Base64. */
  get root(): string {
    return rootText(this.#range.root());
  }

  /** Whether something is expected of lines that did not come. */
  get isShort(): boolean {
    return this.#expected.size > 0;
  }

  /** Whether the line that starts here says that it is of this log. */
  isOwn(text: string, start: number): boolean {
    return text.startsWith(this.#head, start);
  }

  /**
   * Whether the text has from `start` to `end` what is the next line of this log for sure, one that only goes into the
   * chain. Where it does not, `problem` tells.
   */
  isNext(text: string, start: number, end: number): boolean {
    if (this.#plain === undefined || !this.isOwn(text, start)) return false;
    const at = start + this.#head.length;
    const tail = end - TAIL;
    const seq = String(this.size);
    return (
      text.startsWith(seq, at) &&
      text.startsWith(this.prev, tail) &&
      text.startsWith('"}', end - 2) &&
      this.#plain.matches(text, at + seq.length, tail)
    );
  }

  /** Looks for what another line says of this log; where it has gone past that place only `lookBack` can tell. */
  expect(expectation: Expectation): VerifyCode | undefined {
    if (expectation.size === this.size) return this.#meets(expectation) ? undefined : expectation.code;
    if (expectation.size > this.size) this.#expect(expectation);
    return undefined;
  }

  #expect(expectation: Expectation): void {
    const here = this.#expected.get(expectation.size);
    if (here === undefined) this.#expected.set(expectation.size, [expectation]);
    else here.push(expectation);
  }

  /** Why this line cannot be the next one. It is not taken. */
  problem(line: LogLine): VerifyCode | undefined {
    if (this.closed || (this.#closing && line.kind !== 'checkpoint')) return 'E_AFTER_CLOSE';
    if (line.seq !== this.size) return 'E_SEQ';
    if (line.prev !== this.prev) return 'E_CHAIN';
    if ((line.kind === 'session_open') !== (line.seq === 0)) return 'E_FORMAT';
    if (line.args !== undefined && !line.args.startsWith(`${this.#mode}:`)) return 'E_FORMAT';
    switch (line.kind) {
      case 'session_open':
        return this.#open(line);
      case 'checkpoint':
        return this.#checkpoint(line);
      case 'key_rotated':
        return this.#rotate(line);
      case 'session_close':
        this.#plain = undefined;
        if (this.#key === undefined) this.closed = true;
        else this.#closing = true;
        return undefined;
      default:
        return undefined;
    }
  }

  #open(line: LogLine): VerifyCode | undefined {
    const { origin = '', hash = '', key, cert, parent } = line;
    if (!isKeyName(origin) || parent?.log === this.id) return 'E_FORMAT';
    if (!origin.endsWith(`/${this.id}`)) return 'E_FOREIGN';
    this.origin = origin;
    this.#mode = hash;
    this.#plain = plainLines.get(hash);
    const { roots, onFirstUse } = this.#trust;
    if (key === undefined) return cert === undefined && roots === undefined ? undefined : 'E_KEY';
    this.publicKey = key;
    this.#key = readPublicKey(key);
    if (this.#key === undefined) return 'E_KEY';
    const certified = cert !== undefined && roots?.some((root) => verifyCertificate(root, origin, key, cert));
    if (roots !== undefined && !certified) return 'E_CERT';
    this.trusted = certified === true || onFirstUse;
    return undefined;
  }

  /** All but the signature, for which nothing has to wait: see `signatureHolds`. */
  #checkpoint({ size, root }: LogLine): VerifyCode | undefined {
    if (this.#key === undefined) return 'E_KEY';
    if (size !== this.size || root !== this.root) return 'E_ROOT';
    // With a signature that does not hold `rewind` takes it back.
    this.signedThrough = this.size;
    this.closed = this.#closing;
    return undefined;
  }

  /** Whether the checkpoint that was taken last is signed with the key of the log. */
  signatureHolds({ size = 0, root = '', sig = '' }: LogLine): Promise<boolean> {
    const key = this.#key;
    return key === undefined ? Promise.resolve(false) : checkpointHolds(key, { origin: this.origin, size, root }, sig);
  }

  /** Where the log stands, to come back to. */
  mark(): Mark {
    return { size: this.size, signedThrough: this.signedThrough };
  }

  /** Back to where it stood; it takes no line any more. */
  rewind({ size, signedThrough }: Mark): void {
    this.size = size;
    this.signedThrough = signedThrough;
    this.closed = false;
  }

  /** The key that goes certifies the one that comes. */
  #rotate({ key = '', cert = '' }: LogLine): VerifyCode | undefined {
    const next = readPublicKey(key);
    if (this.#key === undefined || next === undefined) return 'E_KEY';
    if (!verifyCertificate(this.#key, this.origin, key, cert)) return 'E_CERT';
    this.#key = next;
    this.publicKey = key;
    return undefined;
  }

  /** Takes a line that is right, unless the log must hold something else at this size. */
  take(hash: string): VerifyCode | undefined {
    this.#range.push(hash);
    this.prev = hash;
    this.size++;
    if (this.#expected.size === 0) return undefined;
    const here = this.#expected.get(this.size) ?? [];
    this.#expected.delete(this.size);
    return here.find((expectation) => !this.#meets(expectation))?.code;
  }

  #meets({ root, hash }: Expectation): boolean {
    return (root === undefined || root === this.root) && (hash === undefined || hash === this.prev);
  }
}
