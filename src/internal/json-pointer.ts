/** A path deeper than this says no more about where, and a recursive schema would let the arguments set its length. */
const MAX_SEGMENTS = 32;

/** The reference tokens of a JSON Pointer (RFC 6901), unescaped. */
export function pointerSegments(pointer: string): readonly string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/**
 * The JSON Pointer of a place inside `value`, safe to show: indices of arrays stay, names stay only if they are in
 * `declared`, everything else is `*`. Whether a segment is an index is asked of `value`, because a name made of digits
 * is content. From the 33rd segment on one `*` stands for the rest.
 */
export function maskedPointer(segments: readonly unknown[], value: unknown, declared: ReadonlySet<string>): string {
  let pointer = '';
  let at = value;
  for (const [depth, segment] of segments.entries()) {
    if (depth === MAX_SEGMENTS) return `${pointer}/*`;
    const name = typeof segment === 'number' ? String(segment) : segment;
    if (typeof name !== 'string') {
      pointer += '/*';
      at = undefined;
      continue;
    }
    const own = typeof at === 'object' && at !== null && Object.hasOwn(at, name);
    const index = own && Array.isArray(at) && name !== 'length';
    pointer += index || declared.has(name) ? `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}` : '/*';
    at = own ? (at as Record<string, unknown>)[name] : undefined;
  }
  return pointer;
}
