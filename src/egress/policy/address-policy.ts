import { type Address, type AddressRange, formatAddress, inRange, parseAddress } from './address.ts';
import type { AddressClass } from './address-class.ts';
import { type AddressRules, reached, refusedClass } from './address-rules.ts';

/** `bad-host`: no address at all. `address:denied`: public or opened, and closed by a rule of `deny`. */
export type AddressReason = `address:${AddressClass | 'denied'}` | 'bad-host';

interface AddressDenial {
  readonly allow: false;
  readonly reason: AddressReason;
}

export type AddressVerdict = { readonly allow: true } | AddressDenial;

/** As `dns.lookup` gives it: canonical text, and its family. */
interface ResolvedAddress {
  readonly address: string;
  readonly family: 4 | 6;
}

type ResolvedVerdict = { readonly allow: true; readonly addresses: readonly ResolvedAddress[] } | AddressDenial;

/**
 * Judges the addresses that names resolve to. What a URL holds as a literal was judged by `EgressPolicy` together with the
 * rule that allowed it, which may open it; a name never opens an address.
 */
export interface AddressPolicy {
  /** @param port where the connection goes. Without it a deny rule for any port refuses. */
  judge(address: string, port?: number): AddressVerdict;
  /** All answers for one name; those that may be dialled, in their order. At least one, else it refuses. */
  judgeAll(addresses: readonly string[], port?: number): ResolvedVerdict;
}

/** What a rule of `deny` closes: all ports, or one. */
export interface ClosedRange {
  readonly range: AddressRange;
  readonly port: number | undefined;
}

const ALLOW: AddressVerdict = Object.freeze({ allow: true });

export function createAddressPolicy(rules: AddressRules, closed: readonly ClosedRange[]): AddressPolicy {
  const refusalOf = (address: Address, port: number | undefined): AddressDenial | undefined => {
    const refused = refusedClass(rules, address);
    if (refused !== undefined) return refuse(`address:${refused}`);
    if (closed.length === 0) return undefined;
    const goal = reached(rules, address) ?? address;
    const denied = closed.some(
      (each) =>
        (each.port === undefined || port === undefined || each.port === port) &&
        (inRange(each.range, address) || inRange(each.range, goal)),
    );
    return denied ? refuse('address:denied') : undefined;
  };

  return Object.freeze({
    judge(text: string, port?: number): AddressVerdict {
      const address = readAddress(text);
      return address === undefined ? refuse('bad-host') : (refusalOf(address, port) ?? ALLOW);
    },

    judgeAll(texts: readonly string[], port?: number): ResolvedVerdict {
      const addresses: ResolvedAddress[] = [];
      let first: AddressDenial | undefined;
      for (const text of texts) {
        const address = readAddress(text);
        // Makes the whole answer one that cannot be trusted.
        if (address === undefined) return refuse('bad-host');
        const refusal = refusalOf(address, port);
        if (refusal === undefined) {
          addresses.push({ address: formatAddress(address), family: address.length === 4 ? 4 : 6 });
        } else if (rules.onMixed === 'deny') {
          return refusal;
        } else {
          first ??= refusal;
        }
      }
      return addresses.length > 0 ? { allow: true, addresses } : (first ?? refuse('bad-host'));
    },
  });
}

/** What a resolver of one's own answers with is of any type. */
function readAddress(text: unknown): Address | undefined {
  return typeof text === 'string' ? parseAddress(text) : undefined;
}

function refuse(reason: AddressReason): AddressDenial {
  return { allow: false, reason };
}
