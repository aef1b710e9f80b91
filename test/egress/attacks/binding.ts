export type Native = (this: unknown, ...args: never[]) => unknown;

interface LookupRequest {
  oncomplete(error: string | null, ...results: unknown[]): void;
}

interface Bindings {
  readonly tcp_wrap: { readonly TCP: { readonly prototype: Record<string, Native> } };
  readonly udp_wrap: { readonly UDP: { readonly prototype: Record<string, Native> } };
  readonly cares_wrap: {
    getaddrinfo: (request: LookupRequest, hostname: string, family: number) => number;
    getnameinfo: (request: LookupRequest, address: string) => number;
    readonly ChannelWrap: { readonly prototype: Record<string, Native> };
  };
}

/** What Node's modules stand on. `process.binding` has no types: what it gives is no public API. */
export function binding<Name extends keyof Bindings>(name: Name): Bindings[Name] {
  return (process as unknown as { binding(name: Name): Bindings[Name] }).binding(name);
}
