/** What a client says that it sends, at the moment at which it does. */
export interface Statement {
  readonly method: string;
  readonly path: string;
  /** The `Host` header or its like; undefined where there is none. */
  readonly host: string | undefined;
}

const REQUEST_LINE = / HTTP\/1\.\d$/;

/**
 * Reads the head of a request as it is sent: a request line and headers, or the pseudo-headers of HTTP/2 (RFC 9113
 * §8.3.1). What several `Host` lines say together names no host. A lone LF ends a line, and space may stand before a
 * colon: some servers read it so (RFC 9112 §2.2, §5.1).
 */
export function readHead(head: string): Statement {
  const lines = head.split(/\r?\n/);
  const [first = ''] = lines;
  const hosts = values(lines, 'host');
  // Pseudo-headers stand before or behind all others, by the version of undici.
  if (REQUEST_LINE.test(first) || !lines.some((line) => line.startsWith(':'))) {
    const [method = '', path = ''] = first.split(' ');
    return { method, path, host: hosts.length === 0 ? undefined : hosts.join(', ') };
  }
  // A WebSocket over HTTP/2 is a CONNECT to a path of the same host (RFC 8441 §4).
  const method = values(lines, ':protocol').length === 0 ? values(lines, ':method').join(', ') : 'GET';
  // A server may take either for the host.
  const stated = new Set([...hosts, ...values(lines, ':authority')]);
  return { method, path: values(lines, ':path').join(', '), host: [...stated].join(', ') };
}

function values(lines: readonly string[], name: string): readonly string[] {
  const found: string[] = [];
  for (const line of lines) {
    // The colon in front of a pseudo-header belongs to its name.
    const colon = line.indexOf(':', 1);
    if (colon !== -1 && line.slice(0, colon).trimEnd().toLowerCase() === name) found.push(line.slice(colon + 1).trim());
  }
  return found;
}
