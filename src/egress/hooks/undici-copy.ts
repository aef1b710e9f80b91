import { EventEmitter } from 'node:events';
import { CANARY_ORIGIN, Canary } from './canary.ts';
import { HANDLER_METHODS } from './undici-handler.ts';

type Handler = Record<string, (...args: never[]) => unknown>;

interface Dispatcher {
  dispatch(options: object, handler: object): unknown;
}

type AgentClass = new (options: { readonly factory: () => Dispatcher }) => Dispatcher;

/** A handler for every version. */
function handlerWith(told: Handler): Handler {
  return { ...Object.fromEntries(HANDLER_METHODS.map((name) => [name, () => {}])), ...told };
}

const request = (): object => ({ origin: CANARY_ORIGIN, path: '/', method: 'GET' });

/**
 * Sends a canary by a copy of undici, which gets no further than the first question. @returns whether it was seen, and was
 * told that it is refused.
 *
 * @param send has the request dispatched under a scope.
 */
export function canaryReturns(send: (scope: Canary, request: object, handler: object) => void): boolean {
  const canary = new Canary();
  let told = false;
  const tell = (): void => {
    told = true;
  };
  try {
    send(canary, request(), handlerWith({ onError: tell, onResponseError: tell }));
  } catch {}
  return told && canary.seen.has('request:http');
}

/**
 * Whether agents of a copy of undici 7 can serve the `fetch` of undici 8, which Node 26 has: those before 7.27.1 take its
 * handlers and answer them wrongly, without what it reads of an answer. The agents that Bun has under this name dispatch
 * nothing at all.
 */
export function servesLaterFetch(Agent: AgentClass): boolean {
  let taken: Handler | undefined;
  let controller: object | undefined;
  const factory = (): Dispatcher =>
    Object.assign(new EventEmitter(), {
      dispatch: (_: object, handler: Handler) => {
        taken = handler;
        return true;
      },
    });
  const keep = (given: object): void => {
    controller = given;
  };
  try {
    new Agent({ factory }).dispatch(request(), handlerWith({ onRequestStart: keep }));
    // What an agent hands on talks as undici 7 does.
    taken?.['onConnect']?.();
  } catch {
    return false;
  }
  return controller !== undefined && 'rawHeaders' in controller;
}
