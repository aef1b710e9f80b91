import { decodeBase64 } from '../internal/base64.ts';
import { canonicalJson } from '../internal/canonical-json.ts';
import { SALT_BYTES } from './commitment.ts';

/**
 * What separates a proof from every other token that the same key may sign. It stands in the claims, in the footer or
 * header that is read first, and for PASETO in the implicit assertion, so that it goes into the signature by itself.
 * Nor can a checkpoint, which the same key signs, be a token: its first line ends with the id of the log, while a JWS is
 * signed without any LF and PASETO's input starts with a count.
 */
export const PURPOSE = 'leash-proof';

/** The longest life of a proof, in ms. A verifier refuses a longer one, whoever signed it. */
export const MAX_LIFE_MS = 300_000;

/** How a proof is written: a PASETO v4.public, or a JWS with Ed25519. */
export type ProofFormat = 'paseto' | 'jws';

/** What the session knows of the call that a proof is about. */
export interface ProofSubject {
  /** Origin of the log, as in its `session_open`. */
  readonly iss: string;
  /** The agent. */
  readonly sub: string;
  /** Who the proof is for. 1 to 256 characters, compared exactly. */
  readonly aud: string;
  readonly tool: string;
  /** The arguments that were allowed, as canonical JSON (RFC 8785). */
  readonly args: string;
  /** Id of the log, and the place in it of the call's `tool_start`. */
  readonly log: string;
  readonly seq: number;
  /** Hex hash of the `tool_start` line: what the next line carries as `prev`. */
  readonly h: string;
  /** Hex SHA-256 of the guards' names and settings, as in `session_open`. */
  readonly pol: string;
}

/** What a verified proof says. */
export interface ProofClaims extends Omit<ProofSubject, 'args'> {
  readonly v: 1;
  readonly purpose: 'leash-proof';
  /** The decision: nothing but an allowed call has a proof. */
  readonly dec: 'allow';
  /** Epoch ms of the issue, whichever way the format spells it. */
  readonly iat: number;
  /** Epoch ms, at most 300 000 after `iat`. The proof is good before it, not at it. */
  readonly exp: number;
  /** Random UUID of this proof. */
  readonly jti: string;
  /** Commitment to the arguments: `s1:` and hex SHA-256(salt || JCS(args)), as in the log but with a salt of its own. */
  readonly ah: string;
  /** That salt: 16 bytes in base64. */
  readonly as: string;
}

type Claim = keyof ProofClaims;
type Check = (value: unknown) => boolean;

const text =
  (max: number): Check =>
  (value) =>
    typeof value === 'string' && value.length > 0 && value.length <= max && value.isWellFormed();
const matches =
  (pattern: RegExp): Check =>
  (value) =>
    typeof value === 'string' && pattern.test(value);
const uuid = matches(/^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/);
const sha256 = matches(/^[0-9a-f]{64}$/);

/** Every claim that version 1 has but the times, which each format spells in its own way. */
const CHECKS: Readonly<Record<Exclude<Claim, 'iat' | 'exp'>, Check>> = {
  ah: matches(/^s1:[0-9a-f]{64}$/),
  as: (value) => typeof value === 'string' && decodeBase64(value)?.length === SALT_BYTES,
  aud: text(256),
  dec: (value) => value === 'allow',
  h: sha256,
  // A name of at most 256 characters, a slash, and the log's id.
  iss: text(300),
  jti: uuid,
  log: uuid,
  pol: sha256,
  purpose: (value) => value === PURPOSE,
  seq: (value) => Number.isSafeInteger(value) && (value as number) >= 0,
  sub: text(256),
  tool: text(256),
  v: (value) => value === 1,
};

interface Time {
  /** The unit in which the format counts, in ms. */
  readonly step: number;
  write(epochMs: number): string | number;
  /** Epoch ms; undefined for what is no time. */
  read(value: unknown): number | undefined;
}

const TIMES: Readonly<Record<ProofFormat, Time>> = {
  // PASETO wants RFC 3339: UTC with milliseconds and Z here, and no other spelling.
  paseto: {
    step: 1,
    write: (epochMs) => new Date(epochMs).toISOString(),
    read(value) {
      const epochMs = typeof value === 'string' ? Date.parse(value) : Number.NaN;
      return Number.isNaN(epochMs) || new Date(epochMs).toISOString() !== value ? undefined : epochMs;
    },
  },
  // RFC 7519 NumericDate, in whole seconds, which every reader takes.
  jws: {
    step: 1_000,
    write: (epochMs) => epochMs / 1_000,
    read: (value) => (Number.isSafeInteger(value) ? (value as number) * 1_000 : undefined),
  },
};

/**
 * The payload of a proof, as canonical JSON.
 *
 * @throws {TypeError} a claim that a verifier would refuse. Only its name is told.
 */
export function writeClaims(
  format: ProofFormat,
  claims: Omit<ProofClaims, 'v' | 'purpose' | 'dec' | 'iat' | 'exp'>,
  issued: number,
  ttlMs: number,
): string {
  const { step, write } = TIMES[format];
  const iat = Math.floor(issued / step) * step;
  // Rounding must neither shorten a life to nothing nor make one that is too long.
  const exp = Math.min(Math.ceil((issued + ttlMs) / step) * step, iat + MAX_LIFE_MS);
  const record = { ...claims, v: 1, purpose: PURPOSE, dec: 'allow', iat: write(iat), exp: write(exp) };
  const wrong = wrongClaim(record);
  if (wrong !== undefined) throw new TypeError(`the claim \`${wrong}\` of a proof cannot have this value`);
  return canonicalJson(record);
}

/** A claim that is missing, wrong, or none of version 1; the values of the times are left aside. */
function wrongClaim(claims: Readonly<Record<string, unknown>>): string | undefined {
  for (const [name, valid] of Object.entries(CHECKS)) if (!valid(claims[name])) return name;
  return Object.keys(claims).find((name) => !Object.hasOwn(CHECKS, name) && name !== 'iat' && name !== 'exp');
}

/** What a signed payload claims, or why it is no proof. */
export function readClaims(format: ProofFormat, payload: string): ProofClaims | 'malformed' | 'purpose' | 'version' {
  let claims: Readonly<Partial<Record<Claim, unknown>>>;
  try {
    claims = JSON.parse(payload);
  } catch {
    return 'malformed';
  }
  if (typeof claims !== 'object' || claims === null) return 'malformed';
  if (claims.purpose !== PURPOSE) return 'purpose';
  if (claims.v !== 1) return Number.isSafeInteger(claims.v) ? 'version' : 'malformed';
  if (wrongClaim(claims) !== undefined) return 'malformed';
  const iat = TIMES[format].read(claims.iat);
  const exp = TIMES[format].read(claims.exp);
  if (iat === undefined || exp === undefined || exp <= iat || exp - iat > MAX_LIFE_MS) return 'malformed';
  // One spelling: no claim twice, no white space, no escape or number written in another way.
  if (canonicalJson(claims) !== payload) return 'malformed';
  return { ...(claims as unknown as ProofClaims), iat, exp };
}
