/** An error as it crosses: a class is not cloned, and a stack names files. */
export interface CrossedError {
  readonly name: string;
  readonly message: string;
  readonly code?: string | undefined;
  readonly cause?: CrossedError | undefined;
}

/** Options of a request as its `Request` shows them, by name. */
export const REQUEST_OPTIONS = ['redirect', 'mode', 'credentials', 'cache', 'referrer', 'referrerPolicy'] as const;

export type RequestOption = (typeof REQUEST_OPTIONS)[number];

export interface RequestMessage {
  readonly kind: 'request';
  readonly request: number;
  /** Of which call the code is. */
  readonly call: number;
  readonly url: string;
  readonly method: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly options: Readonly<Record<RequestOption, string>>;
  /** Its bytes, or that they come in pieces. */
  readonly body: Uint8Array | 'pieces' | undefined;
}

/**
 * The body of a request or of its answer, piece by piece as its reader asks: `pull` asks for a piece, `cancel` for no more.
 * Both go against the direction of the body, so that the number of the request is enough to tell which body is meant.
 */
export type BodyMessage =
  | { readonly kind: 'pull' | 'cancel' | 'end'; readonly request: number }
  | { readonly kind: 'piece'; readonly request: number; readonly bytes: Uint8Array }
  | { readonly kind: 'broken'; readonly request: number; readonly error: CrossedError };

export interface ThrownMessage {
  readonly kind: 'thrown';
  /** Undefined: the module could not be loaded. */
  readonly call: number | undefined;
  readonly error: CrossedError;
  /** The request whose refusal this is, or which caused it. */
  readonly refused: number | undefined;
}

export type FromWorker =
  /** What the worker found open that must be closed. */
  | { readonly kind: 'checked'; readonly open: readonly string[] }
  /** The functions that the module exports. */
  | { readonly kind: 'loaded'; readonly names: readonly string[] }
  | { readonly kind: 'returned'; readonly call: number; readonly value: unknown }
  | ThrownMessage
  | RequestMessage
  | { readonly kind: 'abort'; readonly request: number }
  | BodyMessage;

export interface ResponseMessage {
  readonly kind: 'response';
  readonly request: number;
  readonly status: number;
  readonly statusText: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly url: string;
  readonly redirected: boolean;
  readonly type: string;
  readonly body: boolean;
}

/** Where in the arguments of a call a signal stands: an argument, or a member of one. */
export interface SignalPlace {
  readonly index: number;
  readonly key: string | undefined;
  /** Why it is aborted already. */
  readonly aborted: CrossedError | undefined;
}

export type ToWorker =
  | { readonly kind: 'load'; readonly module: string }
  | {
      readonly kind: 'call';
      readonly call: number;
      readonly name: string;
      readonly args: readonly unknown[];
      readonly signals: readonly SignalPlace[];
    }
  | { readonly kind: 'signal'; readonly call: number; readonly place: number; readonly reason: CrossedError }
  | ResponseMessage
  | { readonly kind: 'refused'; readonly request: number; readonly error: CrossedError }
  | BodyMessage;
