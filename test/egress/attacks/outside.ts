import { AsyncLocalStorage } from 'node:async_hooks';

/** Runs work as code that is in no call: what was there before, and servers in the process of their clients. */
export const outside: <Result>(work: () => Result) => Result = AsyncLocalStorage.snapshot();
