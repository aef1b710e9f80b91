/** What a promise was rejected with; undefined if it was not. */
export async function caught(work: PromiseLike<unknown>): Promise<unknown> {
  try {
    await work;
    return undefined;
  } catch (error) {
    return error;
  }
}
