/** Ways in which a worker ends, or does not. */

export const pid = (): number => process.pid;

export const wait = (): Promise<never> => new Promise(() => {});

export const spin = (): never => {
  for (;;);
};

export const exit = (code: number): never => process.exit(code);

export const crash = (): Promise<never> => {
  setImmediate(() => {
    throw new Error('nobody catches it');
  });
  return new Promise(() => {});
};

export const reject = (): Promise<never> => {
  void Promise.reject(new Error('nobody handles it'));
  return new Promise(() => {});
};

export const fillHeap = (): never => {
  const kept: object[] = [];
  for (;;) kept.push(new Array(1_000).fill({}));
};

/** Stays, whatever it is asked politely. */
export const stay = (): Promise<never> => {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => {});
  process.on('exit', () => {
    for (;;);
  });
  return new Promise(() => {});
};
