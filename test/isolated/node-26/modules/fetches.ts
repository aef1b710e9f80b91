/** Fetches before any call. */
export const early: string = await fetch('http://127.0.0.1:9/').then(
  () => 'answered',
  (error: Error) => error.message,
);

export const whatWasEarly = (): string => early;
