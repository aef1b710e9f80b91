import { MAX_CAUSES, MAX_MESSAGE_CHARS, MAX_NAME_CHARS } from './crossing-error.ts';
import {
  type CrossedError,
  type FromWorker,
  REQUEST_OPTIONS,
  type RequestMessage,
  type RequestOption,
} from './messages.ts';
import { checkSize, MAX_HEADERS } from './request-size.ts';

const MAX_ENTRIES: number = MAX_HEADERS;

/**
 * A message of a worker, whose code may send anything: every field is looked at and copied, so that nothing else is left.
 *
 * @throws {TypeError} it is none that the worker's own part would have sent.
 */
export function readMessage(message: unknown): FromWorker {
  const { kind, ...fields } = record('a message', message);
  switch (kind) {
    case 'checked':
      return { kind, open: names('open', fields['open']) };
    case 'loaded':
      return { kind, names: names('names', fields['names']) };
    case 'returned':
      return { kind, call: number('call', fields['call']), value: fields['value'] };
    case 'thrown': {
      const { call, error, refused } = fields;
      return {
        kind,
        call: call === undefined ? undefined : number('call', call),
        error: crossed(error),
        refused: refused === undefined ? undefined : number('refused', refused),
      };
    }
    case 'request':
      return request(fields);
    case 'abort':
    case 'pull':
    case 'cancel':
    case 'end':
      return { kind, request: number('request', fields['request']) };
    case 'piece':
      return { kind, request: number('request', fields['request']), bytes: bytes('bytes', fields['bytes']) };
    case 'broken':
      return { kind, request: number('request', fields['request']), error: crossed(fields['error']) };
    default:
      throw new TypeError('a message is of no known kind');
  }
}

function request(fields: Readonly<Record<string, unknown>>): RequestMessage {
  const { headers, body } = fields;
  const options = record('options', fields['options']);
  const message: RequestMessage = {
    kind: 'request',
    request: number('request', fields['request']),
    call: number('call', fields['call']),
    url: text('url', fields['url']),
    method: text('method', fields['method']),
    headers: list('headers', headers).map((header) => {
      const [name, value] = list('a header', header);
      return [text('a header', name), text('a header', value)];
    }),
    options: Object.fromEntries(REQUEST_OPTIONS.map((name) => [name, text(name, options[name])])) as Record<
      RequestOption,
      string
    >,
    body: body === undefined || body === 'pieces' ? body : bytes('body', body),
  };
  checkSize(message);
  return message;
}

function crossed(error: unknown, depth = 0): CrossedError {
  const { name, message, cause } = record('error', error);
  return {
    name: text('name', name).slice(0, MAX_NAME_CHARS),
    message: text('message', message).slice(0, MAX_MESSAGE_CHARS),
    cause: cause === undefined || depth === MAX_CAUSES ? undefined : crossed(cause, depth + 1),
  };
}

function record(what: string, value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) throw new TypeError(`${what} is no object`);
  return value as Record<string, unknown>;
}

function list(what: string, value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new TypeError(`${what} is no list`);
  // A few bytes can say that a list has four billion holes.
  if (value.length > MAX_ENTRIES) throw new TypeError(`${what} is too long`);
  return Array.from(value);
}

function names(what: string, value: unknown): readonly string[] {
  return list(what, value).map((entry) => {
    const name = text(what, entry);
    if (name.length > MAX_NAME_CHARS) throw new TypeError(`a name in ${what} is too long`);
    return name;
  });
}

function text(what: string, value: unknown): string {
  if (typeof value !== 'string') throw new TypeError(`${what} is no string`);
  return value;
}

function number(what: string, value: unknown): number {
  if (!Number.isSafeInteger(value) || (value as number) < 1) throw new TypeError(`${what} is no number of one`);
  return value as number;
}

function bytes(what: string, value: unknown): Uint8Array {
  if (!(value instanceof Uint8Array)) throw new TypeError(`${what} is no bytes`);
  return value;
}
