import { type MemorySink, memorySink } from '../../src/audit/memory-sink.ts';
import { type EgressOptions, egress } from '../../src/guards/egress.ts';
import { createLeash } from '../../src/leash.ts';
import type { Leash } from '../../src/leash-contract.ts';
import type { LeashOptions } from '../../src/leash-options.ts';

/** What the log of a leash says of the network. */
export interface EgressLine {
  readonly kind: 'egress_ok' | 'egress_denied';
  readonly call?: string;
  readonly tool?: string;
  readonly scheme: string;
  readonly host: string;
  readonly port: number;
  readonly addr?: string;
  readonly code?: string;
  readonly reason?: string;
  readonly observed?: 1;
}

export interface HeldLeash extends AsyncDisposable {
  readonly leash: Leash;
  readonly sink: MemorySink;
  /** Runs code as the tool `t`. */
  call<R>(body: () => R): Promise<Awaited<R>>;
  lines(): readonly EgressLine[];
  /** Each as one text: `ok http a.test:80 127.0.0.1`, `denied https b.test:443 host-not-allowed`, with `?` if only observed. */
  said(): readonly string[];
}

/** Every name is 127.0.0.1. */
export const onLoopback = (): readonly string[] => ['127.0.0.1'];

/** A leash whose names all lead to loopback, where it may go. */
export function holdWith(rules: EgressOptions, more: Partial<LeashOptions> = {}): HeldLeash {
  const sink = memorySink();
  const guard = egress({ resolver: onLoopback, addresses: { allow: ['127.0.0.0/8', '::1'] }, ...rules });
  return heldBy(createLeash({ guards: [guard], audit: { sink, sign: 'none' }, ...more }), sink);
}

export function heldBy(leash: Leash, sink: MemorySink): HeldLeash {
  const lines = (): readonly EgressLine[] =>
    sink.lines.map((line) => JSON.parse(line) as EgressLine).filter(({ kind }) => kind.startsWith('egress_'));
  return {
    leash,
    sink,
    lines,
    call: (body) => leash.run({ tool: 't', args: {} }, async () => await body()) as never,
    said: () => lines().map(sayLine),
    [Symbol.asyncDispose]: async () => {
      await leash.close();
    },
  };
}

function sayLine({ kind, scheme, host, port, addr, reason, observed }: EgressLine): string {
  const words = [`${kind.slice('egress_'.length)}${observed ? '?' : ''}`, scheme, `${host}:${port}`, addr, reason];
  return words.filter((word) => word !== undefined).join(' ');
}
