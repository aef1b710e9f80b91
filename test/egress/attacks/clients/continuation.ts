import { AsyncResource } from 'node:async_hooks';
import { pbkdf2 } from 'node:crypto';
import { EventEmitter, on } from 'node:events';
import { readFile } from 'node:fs';
import http from 'node:http';
import { Session } from 'node:inspector';
import { Module } from 'node:module';
import net from 'node:net';
import { PassThrough, pipeline, Readable } from 'node:stream';
import timers from 'node:timers/promises';
import { runInThisContext } from 'node:vm';
import { MessageChannel } from 'node:worker_threads';
import { gzip } from 'node:zlib';
import { type Attack, family, type Scene } from '../attack.ts';
import { text } from '../outcome.ts';

type Callback = () => void;

const strike = ({ evil }: Scene): Promise<unknown> => text(fetch(evil.http));

/** From a callback that something else calls, when the tool has long returned to the event loop. */
const from = (scene: Scene, start: (callback: Callback) => unknown): Promise<unknown> =>
  new Promise((resolve, reject) => {
    start(() => void strike(scene).then(resolve, reject));
  });

/** The call is known wherever its work goes on. */
export const continuationAttacks: readonly Attack[] = family(
  'a continuation',
  ['undici-requests', 'sockets'],
  [
    ['a promise', 'host-not-allowed', (scene) => Promise.resolve().then(() => strike(scene))],
    ['a thenable', 'host-not-allowed', (scene) => thenable(() => strike(scene))],
    ['a promise of a thenable', 'host-not-allowed', async (scene) => thenable(() => strike(scene))],
    ['a thenable of a thenable', 'host-not-allowed', (scene) => thenable(async () => thenable(() => strike(scene)))],
    ['many awaits', 'host-not-allowed', afterAwaits],
    ['queueMicrotask', 'host-not-allowed', (scene) => from(scene, queueMicrotask)],
    ['process.nextTick', 'host-not-allowed', (scene) => from(scene, process.nextTick)],
    ['setTimeout', 'host-not-allowed', (scene) => from(scene, (callback) => setTimeout(callback, 1))],
    ['setInterval', 'host-not-allowed', (scene) => from(scene, byInterval)],
    ['setImmediate', 'host-not-allowed', (scene) => from(scene, setImmediate)],
    ['timers/promises', 'host-not-allowed', (scene) => timers.setTimeout(1).then(() => strike(scene))],
    ['AbortSignal.timeout', 'host-not-allowed', (scene) => from(scene, (callback) => AbortSignal.timeout(1).addEventListener('abort', callback))],
    ['an EventEmitter', 'host-not-allowed', (scene) => from(scene, byEvent)],
    ['an EventTarget', 'host-not-allowed', (scene) => from(scene, byEventTarget)],
    ['events.on', 'host-not-allowed', afterEvent],
    ['a MessageChannel', 'host-not-allowed', (scene) => from(scene, byMessage)],
    ['a file that was read', 'host-not-allowed', (scene) => from(scene, (callback) => readFile(scene.program, callback))],
    ['a thread of libuv', 'host-not-allowed', (scene) => from(scene, (callback) => pbkdf2('x', 'y', 1, 1, 'sha256', callback))],
    ['zlib', 'host-not-allowed', (scene) => from(scene, (callback) => gzip('x', callback))],
    ['a stream', 'host-not-allowed', (scene) => from(scene, (callback) => pipeline(Readable.from(['x']), new PassThrough().resume(), callback))],
    ['the answer of the allowed host', 'host-not-allowed', (scene) => from(scene, (callback) => http.get(scene.good.http, (response) => response.resume().on('end', callback)))],
    ['a server of its own', 'host-not-allowed', (scene) => from(scene, (callback) => byConnection(scene, callback))],
    ['an AsyncResource of its own', 'host-not-allowed', (scene) => from(scene, (callback) => new AsyncResource('tool').runInAsyncScope(callback))],
    ['new Function', 'host-not-allowed', ({ evil }) => new Function('url', 'return fetch(url).then((r) => r.text())')(evil.http)],
    ['node:vm', 'host-not-allowed', ({ evil }) => runInThisContext('(url) => fetch(url).then((r) => r.text())')(evil.http)],
    ['node:inspector', 'host-not-allowed', byInspector],
    ['import() of a module', 'host-not-allowed', ({ evil }) => import(`data:text/javascript,await (await fetch('${evil.http}')).text()`)],
    ['require of a module', 'host-not-allowed', byModule],
    ['a stream of results', 'host-not-allowed', inStream],
    ['the end of a stream of results', 'host-not-allowed', atEndOfStream],
    ['a stream that it hands out', 'host-not-allowed', (scene) => inStream(scene)],
  ],
);

/** An object that begins when it is waited for, as the requests of some clients do. */
function thenable(work: () => Promise<unknown>): object {
  // biome-ignore lint/suspicious/noThenProperty: that is the way.
  return { then: (...settle: Parameters<Promise<unknown>['then']>) => work().then(...settle) };
}

async function afterAwaits(scene: Scene): Promise<unknown> {
  for (let i = 0; i < 50; i++) await i;
  return strike(scene);
}

function byInterval(callback: Callback): void {
  const interval = setInterval(() => {
    clearInterval(interval);
    callback();
  }, 1);
}

function byEvent(callback: Callback): void {
  const emitter = new EventEmitter().once('go', callback);
  setImmediate(() => emitter.emit('go'));
}

function byEventTarget(callback: Callback): void {
  const abort = new AbortController();
  abort.signal.addEventListener('abort', callback);
  setImmediate(() => abort.abort());
}

async function afterEvent(scene: Scene): Promise<unknown> {
  const emitter = new EventEmitter();
  setImmediate(() => emitter.emit('go'));
  for await (const _ of on(emitter, 'go')) return strike(scene);
  return undefined;
}

function byMessage(callback: Callback): void {
  const { port1, port2 } = new MessageChannel();
  port1.once('message', () => {
    port1.close();
    callback();
  });
  port2.postMessage(0);
}

/** A connection to a server that the tool started, from outside. */
function byConnection({ outside }: Scene, callback: Callback): void {
  const server = net.createServer((socket) => {
    server.close();
    socket.destroy();
    callback();
  });
  server.listen(0, '127.0.0.1', () => {
    const { port } = server.address() as net.AddressInfo;
    void outside(async () => void net.connect(port, '127.0.0.1').on('error', () => {}));
  });
}

function byInspector({ evil }: Scene): Promise<unknown> {
  const session = new Session();
  session.connect();
  session.post('Runtime.evaluate', { expression: `globalThis.struck = fetch('${evil.http}').then((r) => r.text())` });
  session.disconnect();
  return (globalThis as unknown as { struck: Promise<unknown> }).struck;
}

/** A CommonJS module, as `require` evaluates it. */
function byModule({ evil }: Scene): unknown {
  const module = new Module('tool') as NodeJS.Module & { _compile(code: string, file: string): void };
  module._compile(`module.exports = fetch('${evil.http}').then((r) => r.text())`, 'tool.cjs');
  return module.exports;
}

async function* inStream(scene: Scene): AsyncGenerator<unknown> {
  yield await timers.setImmediate(1);
  yield await strike(scene);
}

async function* atEndOfStream(scene: Scene): AsyncGenerator<unknown> {
  try {
    yield 1;
  } finally {
    await strike(scene);
  }
}
