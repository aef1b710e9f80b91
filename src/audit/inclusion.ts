import { LeashError } from '../errors.ts';
import { decodeBase64 } from '../internal/base64.ts';
import { inclusionProof, verifyInclusion } from '../internal/merkle.ts';
import { checkInteger, checkName, checkOptions } from '../internal/options.ts';
import { lineHash } from './chain.ts';
import { checkpointNote, openNote, parseCheckpoint, rootText, textOfNote } from './checkpoint.ts';
import { FileCheck } from './file-check.ts';
import type { Key } from './key.ts';
import { readPublicKey, verifyCertificate } from './keys.ts';
import { type LogLine, parseLine, type VerifyCode } from './line.ts';
import type { LogCheck, Trust } from './log-check.ts';
import type { KeyFields } from './signing.ts';
import { checkSource, type LogSource, readTrust } from './verify.ts';

/** Shows offline that one line is in a log, without the log. Plain JSON. */
export interface EventProof {
  /** The line, without its LF. */
  readonly line: string;
  /** Its place, the hashes beside its path to the root, and the checkpoint with that root (C2SP tlog-proof). */
  readonly proof: string;
  /** The session key that `session_open` names and those after it; the last one signed the checkpoint. */
  readonly keys: readonly KeyFields[];
}

/** What `verifyEventProof` finds. */
export interface EventProofReport {
  readonly ok: boolean;
  /** What is wrong, in the words of `verifyLog`. */
  readonly code?: VerifyCode;
  /** The session key was certified by a key of `trust`, or `tofu` said to take it. */
  readonly trusted: boolean;
  /** What the line says; only where `ok`. */
  readonly event?: LogLine;
  /** `<name>/<log>`, and how many lines the checkpoint covers; only where `ok`. */
  readonly origin?: string;
  readonly size?: number;
}

const HEADER = 'c2sp.org/tlog-proof@v1';

/**
 * The proof that a line is in the log, under the last checkpoint that covers it. The log is verified on the way, and has
 * to be right.
 *
 * @throws {LeashError} (rejects) with the code of `verifyLog` where the log is not right; `NOT_FOUND`: it has no such
 * line; `NOT_SIGNED`: no checkpoint covers it.
 */
export async function proveEvent(
  source: LogSource,
  event: { readonly log: string; readonly seq: number },
): Promise<EventProof> {
  checkOptions('proveEvent', event, ['log', 'seq']);
  const id = checkName('proveEvent.log', event.log);
  const seq = checkInteger('proveEvent.seq', event.seq, 0);
  const leaves: string[] = [];
  const keys: KeyFields[] = [];
  let line = '';
  let covering: { readonly checkpoint: LogLine; readonly keys: readonly KeyFields[] } | undefined;
  const onEvent = (log: LogCheck, read: LogLine, text: string): void => {
    if (read.log !== id) return;
    leaves.push(log.prev);
    // A part of a long string would keep all of it.
    if (read.seq === seq) line = Buffer.from(text).toString();
    const { kind, key, cert } = read;
    if (key !== undefined) keys.push({ key, cert });
    if (kind === 'checkpoint' && read.seq > seq) covering = { checkpoint: read, keys: [...keys] };
  };
  const check = new FileCheck({ onFirstUse: false }, new Map(), onEvent);
  await checkSource(source, check);
  check.end(false, false);
  const log = check.logs.get(id);
  if (log?.bad !== undefined) throw new LeashError(log.bad.code, `the log is not right: line ${log.bad.line}`);
  if (log === undefined || seq >= leaves.length) throw new LeashError('NOT_FOUND', `the log has no line ${seq}`);
  if (covering === undefined) throw new LeashError('NOT_SIGNED', `no checkpoint covers line ${seq} of the log`);
  return { line, proof: proofText(log.origin, seq, leaves, covering), keys: covering.keys };
}

function proofText(
  origin: string,
  seq: number,
  leaves: readonly string[],
  { checkpoint, keys }: { readonly checkpoint: LogLine; readonly keys: readonly KeyFields[] },
): string {
  const { size = 0, root = '', sig = '' } = checkpoint;
  const key = readPublicKey(keys.at(-1)?.key ?? '');
  if (key === undefined) throw new LeashError('E_KEY', 'the checkpoint has no key');
  const path = inclusionProof(leaves.slice(0, size), seq).map(rootText);
  return [HEADER, `index ${seq}`, ...path, '', checkpointNote({ origin, size, root }, key, sig)].join('\n');
}

/** Whose proofs `verifyEventProof` takes. */
export interface EventProofOptions {
  /**
   * Base64 of the raw 32-byte Ed25519 root keys; the session key must have a certificate of one of them. Default:
   * certificates are not looked at.
   */
  readonly trust?: readonly string[];
  /** Takes the session key as the proof gives it. Default: `false`. */
  readonly tofu?: boolean;
}

/**
 * Checks a proof, which may come from anybody: whatever it is, this does not throw over it. `ok` without `trust` says that
 * the holder of the session key signed a log with this line, and not whose key that is (`trusted`).
 *
 * @throws {TypeError} or {RangeError} an option that is none.
 */
export function verifyEventProof(proof: unknown, options: EventProofOptions = {}): EventProofReport {
  checkOptions('verifyEventProof', options, ['trust', 'tofu']);
  const trust = readTrust('verifyEventProof', options);
  try {
    return judge(proof as EventProof, trust);
  } catch (error) {
    if (error instanceof Refused) return { ok: false, code: error.code, trusted: false };
    // A getter or a proxy that throws, or a value of another kind.
    return { ok: false, code: 'E_FORMAT', trusted: false };
  }
}

/** One line of the proof at a time: what is wrong first is what is told. */
class Refused extends Error {
  readonly code: VerifyCode;

  constructor(code: VerifyCode) {
    super(code);
    this.code = code;
  }
}

function hold(condition: boolean, code: VerifyCode): asserts condition {
  if (!condition) throw new Refused(code);
}

const PROOF = /^c2sp\.org\/tlog-proof@v1\nindex (0|[1-9]\d{0,15})\n((?:[A-Za-z0-9+/]{43}=\n){0,64})\n(.+)$/s;

function judge({ line, proof, keys }: EventProof, trust: Trust): EventProofReport {
  hold(typeof line === 'string' && typeof proof === 'string' && Array.isArray(keys), 'E_FORMAT');
  const event = parseLine(line);
  if (typeof event === 'string') throw new Refused(event);
  const [, index = '', hashes = '', note = ''] = PROOF.exec(proof) ?? [];
  hold(index === String(event.seq), 'E_FORMAT');
  const { origin, size, root } = parseCheckpoint(textOfNote(note));
  hold(origin.endsWith(`/${event.log}`), 'E_FOREIGN');
  const { trusted, key } = checkKeys(origin, keys, trust);
  hold(isSigned(note, origin, key), 'E_SIG');
  const path = hashes.split('\n').slice(0, -1).map(hexOf);
  const leaf = lineHash(line);
  hold(verifyInclusion({ index: event.seq, size, leaf, root: hexOf(root), proof: path }), 'E_ROOT');
  return { ok: true, trusted, event, origin, size };
}

/** The last of the keys, each certified by the one before, and the first by a root where roots are given. */
function checkKeys(
  origin: string,
  keys: readonly KeyFields[],
  { roots, onFirstUse }: Trust,
): { readonly trusted: boolean; readonly key: Key } {
  const [first, ...rest] = keys;
  let key = readPublicKey(String(first?.key));
  if (first === undefined || key === undefined) throw new Refused('E_KEY');
  const { cert } = first;
  const certified =
    typeof cert === 'string' && roots?.some((root) => verifyCertificate(root, origin, first.key, cert)) === true;
  hold(roots === undefined || certified, 'E_CERT');
  for (const next of rest) {
    hold(verifyCertificate(key, origin, next.key, String(next.cert)), 'E_CERT');
    key = readPublicKey(next.key);
    if (key === undefined) throw new Refused('E_KEY');
  }
  return { trusted: certified || onFirstUse, key };
}

function isSigned(note: string, origin: string, key: Key): boolean {
  try {
    return openNote(note, [{ name: origin, key }]).text === textOfNote(note);
  } catch {
    return false;
  }
}

function hexOf(base64: string): string {
  const bytes = decodeBase64(base64);
  if (bytes === undefined) throw new Refused('E_FORMAT');
  return bytes.toString('hex');
}
