/** Tools that behave. */

export const version = 1;

export const same = (value: unknown): unknown => value;

export const later = async (value: unknown): Promise<unknown> => {
  await new Promise(setImmediate);
  return value;
};

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve));
}

/** Takes its time. */
export const slowly = async (value: unknown): Promise<unknown> => {
  await new Promise((resolve) => setTimeout(resolve, 300));
  return value;
};

/** Gives this process something to live for. */
export const hold = (): number => {
  setInterval(() => {}, 1_000);
  return process.pid;
};

export const count = (...args: unknown[]): number => args.length;

export function fail(name: string, message: string): never {
  throw Object.assign(new Error(message), { name, code: 'BUDGET_EXCEEDED', secret: 'a field' });
}

export function failBare(value: unknown): never {
  throw value;
}

export const give = (what: 'function' | 'promise' | 'symbol' | 'long'): unknown =>
  ({
    function: () => 'a secret in a source',
    promise: { inner: Promise.resolve() },
    symbol: Symbol('s'),
    long: new Uint8Array(17 * 1024 * 1024),
  })[what];

/** What it sees of a signal, and then why it was aborted. */
export const heed = async (
  given: AbortSignal | { readonly signal: AbortSignal; readonly n: number },
): Promise<unknown> => {
  const signal = given instanceof AbortSignal ? given : given.signal;
  if (signal.aborted) return { at: 'once', reason: (signal.reason as Error).message, n: (given as { n?: number }).n };
  await aborted(signal);
  const { name, message } = signal.reason as Error;
  return { at: 'later', name, reason: message, n: (given as { n?: number }).n };
};

export interface Fetched {
  readonly status: number;
  readonly ok: boolean;
  readonly statusText: string;
  readonly url: string;
  readonly redirected: boolean;
  readonly type: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly cookies: readonly string[];
  readonly text: string;
}

export const get = async (url: string, init?: RequestInit): Promise<Fetched> => {
  const response = await fetch(url, init);
  const { status, ok, statusText, redirected, type } = response.clone();
  return {
    status,
    ok,
    statusText,
    url: response.clone().url,
    redirected,
    type,
    headers: Object.fromEntries(response.headers),
    cookies: response.headers.getSetCookie(),
    text: await response.text(),
  };
};

/** Goes on although the first one was refused. */
export const getEither = async (first: string, second: string): Promise<string> => {
  try {
    return await (await fetch(first)).text();
  } catch (error) {
    const { name, code } = error as { name: string; code: string };
    return `${name} ${code}, then ${await (await fetch(second)).text()}`;
  }
};

export const wrapRefusal = async (url: string): Promise<string> => {
  try {
    return await (await fetch(url)).text();
  } catch (error) {
    throw new TypeError('the search failed', { cause: error });
  }
};

export type BodyKind =
  | 'text'
  | 'params'
  | 'bytes'
  | 'blob'
  | 'form'
  | 'request'
  | 'large'
  | 'large blob'
  | 'stream'
  | 'iterable';

const bodies: Readonly<Record<BodyKind, () => unknown>> = {
  text: () => 'text',
  params: () => new URLSearchParams({ a: '1' }),
  bytes: () => new Uint8Array([1, 2, 3]),
  blob: () => new Blob(['blob'], { type: 'text/x-blob' }),
  form: () => {
    const form = new FormData();
    form.set('field', 'value');
    form.set('file', new File(['content'], 'name.txt'));
    return form;
  },
  request: () => 'of a request',
  large: () => new Uint8Array(5 * 1024 * 1024).fill(7),
  'large blob': () => new Blob([new Uint8Array(5 * 1024 * 1024)]),
  stream: () => streamOf(3, 1_000),
  iterable: async function* () {
    yield Buffer.from('one');
    yield Buffer.from('two');
  },
};

/** `n` chunks of a size. */
function streamOf(n: number, size: number): ReadableStream<Uint8Array> {
  let left = n;
  return new ReadableStream({
    pull(controller) {
      if (left-- > 0) controller.enqueue(new Uint8Array(size).fill(left));
      else controller.close();
    },
  });
}

export const post = async (url: string, kind: BodyKind): Promise<string> => {
  const init = {
    method: 'POST',
    body: bodies[kind](),
    duplex: 'half',
  } as RequestInit;
  const response = kind === 'request' ? await fetch(new Request(url, init)) : await fetch(url, init);
  return response.text();
};

export const postBroken = async (url: string): Promise<string> => {
  const body = new ReadableStream({
    pull(controller) {
      controller.enqueue('not bytes' as never);
    },
  });
  return (await fetch(url, { method: 'POST', body, duplex: 'half' } as RequestInit)).text();
};

/** How much of an upload is taken before the answer is there. */
export const upload = async (url: string, chunks: number): Promise<number> => {
  let taken = 0;
  const body = new ReadableStream(
    {
      pull(controller) {
        if (taken++ < chunks) controller.enqueue(new Uint8Array(65_536));
        else controller.close();
      },
    },
    { highWaterMark: 0 },
  );
  await fetch(url, { method: 'POST', body, duplex: 'half' } as RequestInit);
  return taken;
};

/** Reads a few chunks of an answer and leaves the rest. */
export const readSome = async (url: string, chunks: number): Promise<number> => {
  const reader = ((await fetch(url)).body as ReadableStream<Uint8Array>).getReader();
  let length = 0;
  for (let i = 0; i < chunks; i++) length += (await reader.read()).value?.length ?? 0;
  await reader.cancel();
  return length;
};

/** The length of an answer, chunk by chunk. */
export const sumUp = async (url: string): Promise<number> => {
  let length = 0;
  for await (const chunk of (await fetch(url)).body as unknown as AsyncIterable<Uint8Array>) length += chunk.length;
  return length;
};

/**
 * What a request becomes whose signal aborts.
 *
 * @param go when it does. @param end until when the call goes on.
 */
export const abort = async (
  url: string,
  when: 'before' | 'before the answer' | 'in the body',
  go: AbortSignal,
  end: AbortSignal,
): Promise<string> => {
  const controller = new AbortController();
  const abortNow = (): void => controller.abort(new Error('it was changed'));
  const told = (error: unknown): string => `aborted: ${(error as Error).message}`;
  if (when === 'before') abortNow();
  else void aborted(go).then(abortNow);
  const response = fetch(url, { signal: controller.signal });
  const outcome =
    when === 'in the body'
      ? response.then((answer) => answer.text()).then(() => 'read', told)
      : response.then(() => 'answered', told);
  await aborted(end);
  return outcome;
};

/** Answers while a request of its own is under way. */
export const leave = (url: string): string => {
  fetch(url).then(
    () => left.push('answered'),
    (error: Error) => left.push(error.message),
  );
  return 'left';
};
export const leaveWhen = async (url: string, signal: AbortSignal): Promise<void> => {
  leave(url);
  await aborted(signal);
};

const left: string[] = [];
export const whatWasLeft = (): readonly string[] => left;

/** Code that runs on after its call. */
export const fetchAfterwards = (url: string): void => {
  setTimeout(() => {
    fetch(url).then(
      () => left.push('answered'),
      (error: Error) => left.push(error.message),
    );
  }, 1);
};

export const fetchAllAtOnce = async (url: string, n: number): Promise<readonly string[]> =>
  (await Promise.allSettled(Array.from({ length: n }, () => fetch(url).then((response) => response.text())))).map(
    (settled) => (settled.status === 'fulfilled' ? settled.value : (settled.reason as Error).message),
  );

export const env = (): Readonly<Record<string, string | undefined>> => ({ ...process.env });

export const pid = (): number => process.pid;

export const print = (text: string): void => console.log(text);
