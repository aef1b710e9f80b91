import { canonicalHost, formatHost } from './host.ts';
import { portOf } from './scheme.ts';

/** What Node, undici and many libraries look for. */
const VARIABLES = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'http_proxy', 'https_proxy', 'all_proxy'];

/** The environment variable that names a proxy at this host and port, if one does. */
export function environmentProxyAt(host: string, port: number): string | undefined {
  const wanted = canonicalHost(host);
  if (wanted === undefined) return undefined;
  return VARIABLES.find((variable) => {
    const text = process.env[variable] ?? '';
    try {
      // Without a scheme it is an HTTP proxy.
      const url = new URL(text.includes('://') ? text : `http://${text}`);
      const found = canonicalHost(url.hostname);
      const foundPort = portOf(url.protocol === 'https:' ? 'https' : 'http', url.port);
      return found !== undefined && formatHost(found) === formatHost(wanted) && foundPort === port;
    } catch {
      return false;
    }
  });
}
