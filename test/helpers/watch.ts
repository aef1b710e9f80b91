export interface Watched {
  state: 'pending' | 'resolved' | 'rejected';
  error?: unknown;
}

/** Whether a promise is settled, and how, as it becomes known. */
export function watch(promise: unknown): Watched {
  const seen: Watched = { state: 'pending' };
  Promise.resolve(promise).then(
    () => {
      seen.state = 'resolved';
    },
    (error) => {
      seen.state = 'rejected';
      seen.error = error;
    },
  );
  return seen;
}
