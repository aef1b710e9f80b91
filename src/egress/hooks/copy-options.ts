/** Options as a copy that nobody changes any more: each is read once, also what is inherited, which platforms read too. */
export function copyInto<O extends Record<PropertyKey, unknown>>(copy: O, given: object): O {
  const options: Record<PropertyKey, unknown> = copy;
  for (const key in given) options[key] = (given as Record<string, unknown>)[key];
  for (const key of Object.getOwnPropertySymbols(given)) options[key] = (given as Record<symbol, unknown>)[key];
  return copy;
}
