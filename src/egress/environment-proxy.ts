import { canonicalHost, formatHost } from './host.ts';

/** What Node, undici and many libraries look for. */
const VARIABLES = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'http_proxy', 'https_proxy', 'all_proxy'];

/** The environment variable that names a proxy at this host and port, if one does. */
export function environmentProxyAt(host: string, port: number): string | undefined {
  const place = placeOf(host, port);
  return VARIABLES.find((variable) => {
    const text = process.env[variable] ?? '';
    try {
      // Without a scheme it is an HTTP proxy.
      const url = new URL(text.includes('://') ? text : `http://${text}`);
      return placeOf(url.hostname, Number(url.port) || (url.protocol === 'https:' ? 443 : 80)) === place;
    } catch {
      return false;
    }
  });
}

function placeOf(text: string, port: number): string {
  const host = canonicalHost(text);
  return `${host === undefined ? '' : formatHost(host)}:${port}`;
}
