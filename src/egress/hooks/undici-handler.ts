/** How undici tells what becomes of a request: up to 7, and from it on. */
export const HANDLER_METHODS: readonly string[] = [
  ...['onConnect', 'onUpgrade', 'onHeaders', 'onData', 'onComplete', 'onError'],
  ...['onRequestStart', 'onRequestUpgrade', 'onResponseStart', 'onResponseData', 'onResponseEnd', 'onResponseError'],
];
