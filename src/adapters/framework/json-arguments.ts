/** Arguments that a model wrote as JSON: what they say, or the text itself where it is no JSON. */
export function jsonArguments(text: unknown): unknown {
  if (typeof text !== 'string') return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
