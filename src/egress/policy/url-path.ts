/**
 * Whether servers disagree on what this pathname names. An escaped separator or dot is decoded by some before and by
 * others after they split the path, a NUL ends it for some, and `/..;/` is `/../` to those that drop path parameters.
 * Below URL level, dot segments, `\`, `#` and what is not printable ASCII are sent as they are.
 */
export function isAmbiguous(pathname: string): boolean {
  return /%(?:2f|5c|2e|00)|\/\.\.?(?:[;/]|%3b|$)|[\\#]|[^!-~]/i.test(pathname);
}

/** `path` itself and all that is below it; `/v1` holds `/v1` and `/v1/x`, not `/v10`; `/v1/` does not hold `/v1`. */
export function isBelow(pathname: string, path: string): boolean {
  return pathname === path || pathname.startsWith(path.endsWith('/') ? path : `${path}/`);
}

/**
 * `isBelow` for rules that close: also what a lenient server takes for the same path, because it decodes escapes, joins
 * slashes, drops path parameters, or does not tell upper from lower case.
 */
export function mayBeBelow(pathname: string, path: string): boolean {
  const wanted = lenient(path);
  const given = lenient(pathname);
  return given === undefined || wanted === undefined || isBelow(given, wanted.replace(/(?<=.)\/$/, ''));
}

/** Undefined where escapes are no UTF-8. */
function lenient(pathname: string): string | undefined {
  try {
    return decodeURIComponent(pathname.replace(/;[^/]*/g, ''))
      .replace(/\/+/g, '/')
      .toLowerCase();
  } catch {
    return undefined;
  }
}
