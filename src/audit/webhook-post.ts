import { quietly } from '../internal/maybe-promise.ts';
import { unlessAborted } from '../internal/unless-aborted.ts';
import { failed } from './failure.ts';

/** What the sink asks of `fetch`; the platform's own has it. */
export type WebhookFetch = (url: string, request: WebhookRequest) => Promise<WebhookResponse>;

/** The request that `webhookSink` makes. */
export interface WebhookRequest {
  readonly method: 'POST';
  readonly headers: Record<string, string>;
  readonly body: string;
  readonly redirect: 'manual';
  readonly signal: AbortSignal;
}

/** What `webhookSink` reads of an answer. */
export interface WebhookResponse {
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  readonly body?: { cancel(): Promise<void> } | null;
}

/** Resolves when the endpoint has accepted a batch. Rejects when it never will. */
export type Post = (key: string, body: string) => Promise<void>;

export interface PostSettings {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly retries: number;
  readonly timeoutMs: number;
  readonly fetch: WebhookFetch;
  readonly schedule: (ms: number, run: () => void) => () => void;
  readonly random: () => number;
}

/** Answers after which the same request may succeed. */
const RETRIED: ReadonlySet<number> = new Set([408, 425, 429]);
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 30_000;

type Attempt =
  | { readonly accepted: true }
  | { readonly accepted: false; readonly error: unknown; readonly retryAfterMs: number };

export function createPost(settings: PostSettings): Post {
  const { retries, random, schedule } = settings;
  return async (key, body) => {
    for (let attempt = 0; ; attempt++) {
      const answer = await send(settings, key, body);
      if (answer.accepted) return;
      if (attempt >= retries) {
        const times = attempt === 0 ? 'once' : `${attempt + 1} times`;
        throw failed('WEBHOOK_GIVEN_UP', `a batch was sent to the webhook ${times} and not accepted`, answer.error);
      }
      const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempt);
      // Half of the pause is left to chance, so that many senders do not come back at the same moment.
      const pause = Math.max(Math.ceil(longest / 2 + (random() * longest) / 2), answer.retryAfterMs);
      await new Promise<void>((resolve) => schedule(pause, resolve));
    }
  };
}

/** @throws an answer that does not change when the request is sent again. */
async function send(settings: PostSettings, key: string, body: string): Promise<Attempt> {
  const { url, fetch, timeoutMs, schedule } = settings;
  const headers = { ...settings.headers, 'content-type': 'application/x-ndjson', 'idempotency-key': key };
  const controller = new AbortController();
  const cancel = schedule(timeoutMs, () => controller.abort(failed('ETIMEDOUT', 'the webhook did not answer in time')));
  let response: WebhookResponse;
  try {
    const { signal } = controller;
    response = await unlessAborted(fetch(url, { method: 'POST', headers, body, redirect: 'manual', signal }), signal);
  } catch (error) {
    return { accepted: false, error, retryAfterMs: 0 };
  } finally {
    cancel();
  }
  // Nobody reads it; the connection is free for the next request.
  quietly(() => response.body?.cancel());
  const { status } = response;
  if (status >= 200 && status < 300) return { accepted: true };
  const error = failed('WEBHOOK_REFUSED', `the webhook answered ${status}`);
  if (!RETRIED.has(status) && !(status >= 500 && status < 600)) throw error;
  const seconds = /^\d{1,6}$/.exec(response.headers.get('retry-after') ?? '')?.[0];
  return { accepted: false, error, retryAfterMs: Math.min(LONGEST_PAUSE_MS, Number(seconds ?? 0) * 1_000) };
}
