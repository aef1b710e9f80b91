/** What a scripted provider answers with. */
export interface WireAnswer {
  readonly text?: string;
  readonly calls?: readonly { readonly name: string; readonly input: unknown }[];
  /** What it reports; null for nothing. Default: what an honest provider counts. */
  readonly usage?: { readonly input: number; readonly output: number } | null;
}

export interface WireRequest {
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>> & {
    readonly messages?: readonly { readonly role: string; readonly content: unknown }[];
  };
  readonly signal: AbortSignal | undefined;
}

export interface Wire {
  readonly fetch: typeof fetch;
  readonly requests: WireRequest[];
  /** What was reported, summed up: at $1.25 for a million tokens of input and $10 for output, in millionths of a cent. */
  spent(): number;
}

type Answering = (request: WireRequest, index: number) => WireAnswer | Promise<WireAnswer>;

/** Chat completions of OpenAI, whole or as a stream, without a network. */
export function completionsWire(answer: Answering): Wire {
  return wire(answer, ({ body, signal }, given, used, id) => {
    const { text = null, calls = [] } = given;
    const tool_calls = calls.map(({ name, input }, i) => ({
      index: i,
      id: `call-${id}-${i}`,
      type: 'function',
      function: { name, arguments: JSON.stringify(input) },
    }));
    const finish_reason = calls.length === 0 ? 'stop' : 'tool_calls';
    const usage = used && {
      prompt_tokens: used.input,
      completion_tokens: used.output,
      total_tokens: used.input + used.output,
    };
    const head = { id: `chatcmpl-${id}`, created: 1, model: body['model'] };
    if (body['stream'] !== true) {
      const message = { role: 'assistant', content: text, ...(calls.length === 0 ? {} : { tool_calls }) };
      return json({ ...head, object: 'chat.completion', choices: [{ index: 0, message, finish_reason }], usage });
    }
    const chunk = (delta: object, finish: string | null = null): object => ({
      ...head,
      object: 'chat.completion.chunk',
      choices: [{ index: 0, delta, finish_reason: finish }],
    });
    function* chunks(): Generator<string> {
      yield data(chunk({ role: 'assistant', content: '' }));
      for (const word of (text ?? '').split(/(?<= )/).filter(Boolean)) yield data(chunk({ content: word }));
      if (calls.length > 0) yield data(chunk({ tool_calls }));
      yield data(chunk({}, finish_reason));
      if (usage !== null) yield data({ ...head, object: 'chat.completion.chunk', choices: [], usage });
      yield 'data: [DONE]\n\n';
    }
    return events(chunks(), signal);
  });
}

/** Responses of OpenAI, whole or as a stream, without a network. */
export function responsesWire(answer: Answering): Wire {
  return wire(answer, ({ body, signal }, given, used, id) => {
    const { text, calls = [] } = given;
    const message = {
      type: 'message',
      id: `msg_${id}`,
      role: 'assistant',
      status: 'completed',
      content: [{ type: 'output_text', text, annotations: [] }],
    };
    const called = calls.map(({ name, input }, i) => ({
      type: 'function_call',
      id: `fc_${id}_${i}`,
      call_id: `call-${id}-${i}`,
      name,
      arguments: JSON.stringify(input),
      status: 'completed',
    }));
    const usage = used && {
      input_tokens: used.input,
      input_tokens_details: { cached_tokens: 0 },
      output_tokens: used.output,
      output_tokens_details: { reasoning_tokens: 0 },
      total_tokens: used.input + used.output,
    };
    const response = {
      id: `resp_${id}`,
      object: 'response',
      status: 'completed',
      model: body['model'],
      output: text === undefined ? called : [message, ...called],
      usage,
    };
    if (body['stream'] !== true) return json(response);
    function* chunks(): Generator<string> {
      yield data({ type: 'response.created', response: { ...response, status: 'in_progress', output: [] } });
      for (const delta of (text ?? '').split(/(?<= )/).filter(Boolean)) {
        yield data({
          type: 'response.output_text.delta',
          item_id: `msg_${id}`,
          output_index: 0,
          content_index: 0,
          delta,
        });
      }
      yield data({ type: 'response.completed', response });
    }
    return events(chunks(), signal);
  });
}

/** Messages of Anthropic, whole or as a stream, without a network. */
export function anthropicWire(answer: Answering): Wire {
  return wire(answer, ({ body, signal }, given, used, id) => {
    const { text, calls = [] } = given;
    const content = [
      ...(text === undefined ? [] : [{ type: 'text', text }]),
      ...calls.map(({ name, input }, i) => ({ type: 'tool_use', id: `toolu_${id}_${i}`, name, input })),
    ];
    const stop_reason = calls.length === 0 ? 'end_turn' : 'tool_use';
    const head = { id: `msg_${id}`, type: 'message', role: 'assistant', model: body['model'], stop_sequence: null };
    const input = { input_tokens: used?.input, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 };
    if (body['stream'] !== true) {
      const usage = used && { ...input, output_tokens: used.output };
      return json({ ...head, content, stop_reason, ...(usage === null ? {} : { usage }) });
    }
    const event = (type: string, rest: object): string => `event: ${type}\n${data({ type, ...rest })}`;
    function* chunks(): Generator<string> {
      const usage = { ...input, output_tokens: 0 };
      yield event('message_start', { message: { ...head, content: [], stop_reason: null, usage } });
      for (const [index, block] of content.entries()) {
        const isText = block.type === 'text';
        const empty = isText ? { type: 'text', text: '' } : { ...block, input: {} };
        yield event('content_block_start', { index, content_block: empty });
        const deltas = isText
          ? (text ?? '').split(/(?<= )/).map((word) => ({ type: 'text_delta', text: word }))
          : [{ type: 'input_json_delta', partial_json: JSON.stringify((block as { input: unknown }).input) }];
        for (const delta of deltas) yield event('content_block_delta', { index, delta });
        yield event('content_block_stop', { index });
      }
      const delta = { stop_reason, stop_sequence: null };
      yield event('message_delta', { delta, ...(used === null ? {} : { usage: { output_tokens: used.output } }) });
      yield event('message_stop', {});
    }
    return events(chunks(), signal);
  });
}

type Used = { readonly input: number; readonly output: number } | null;

function wire(
  answer: Answering,
  respond: (request: WireRequest, given: WireAnswer, used: Used, id: number) => Response,
): Wire {
  const requests: WireRequest[] = [];
  let spent = 0;
  return {
    requests,
    spent: () => spent,
    async fetch(url, init) {
      const request: WireRequest = {
        path: new URL(String(url)).pathname,
        body: JSON.parse(String(init?.body)),
        signal: init?.signal ?? undefined,
      };
      requests.push(request);
      const id = requests.length - 1;
      const given = await unlessAborted(Promise.resolve(answer(request, id)), request.signal);
      const used = given.usage === undefined ? honest(request) : given.usage;
      spent += (used?.input ?? 0) * 1250 + (used?.output ?? 0) * 10_000;
      return respond(request, given, used, id);
    },
  };
}

/** A token for four bytes of all that was sent, and as many tokens of the answer as it may write, 700 at most. */
function honest({ body }: WireRequest): { readonly input: number; readonly output: number } {
  const { max_tokens, max_completion_tokens, max_output_tokens } = body;
  const most = Number(max_tokens ?? max_completion_tokens ?? max_output_tokens ?? 700);
  return { input: Math.ceil(Buffer.byteLength(JSON.stringify(body)) / 4), output: Math.min(700, most) };
}

function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(new DOMException('This operation was aborted', 'AbortError'));
    if (signal?.aborted === true) onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject);
  });
}

function data(event: object): string {
  return `data: ${JSON.stringify(event)}\n\n`;
}

function json(body: object): Response {
  return new Response(JSON.stringify(body), { headers: { 'content-type': 'application/json' } });
}

/** One event for each time that somebody reads, until the signal aborts. */
function events(chunks: Iterator<string>, signal: AbortSignal | undefined): Response {
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        signal?.addEventListener('abort', () =>
          controller.error(new DOMException('This operation was aborted', 'AbortError')),
        );
      },
      pull(controller) {
        const { done, value } = chunks.next();
        if (done) controller.close();
        else controller.enqueue(encoder.encode(value));
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
}
