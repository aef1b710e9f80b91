/** Exports nothing that can be called. */
export const one = 1;
