import { type RequestOptions, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';

/** A GET with `node:http` or `node:https`: the body of its answer. */
export function httpGet(url: string | URL, options: RequestOptions & { readonly ca?: string } = {}): Promise<string> {
  const request = String(url).startsWith('https:') ? requestHttps : requestHttp;
  return new Promise((resolve, reject) => {
    request(url, options, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => resolve(body));
      response.on('error', reject);
    })
      .on('error', reject)
      .end();
  });
}

/** Opens a WebSocket and has the other side close it. */
export function openWebSocket(url: string): Promise<string> {
  const socket = new WebSocket(url);
  return new Promise((resolve, reject) => {
    socket.addEventListener('open', () => socket.send(''));
    socket.addEventListener('close', ({ code }) => resolve(`closed ${code}`));
    socket.addEventListener('error', (event) => reject((event as Event & { error?: unknown }).error));
  });
}
