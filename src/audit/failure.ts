/** An error whose code the audit log can tell; its message holds nothing of what was written or answered. */
export function failed(code: string, message: string, cause?: unknown): Error {
  return Object.assign(new Error(message, cause === undefined ? undefined : { cause }), { code });
}

/** The system's word for what went wrong, as ` (ENOSPC)`, when it is one; never a message, which may hold anything. */
export function codeWord(error: unknown): string {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,63}$/.test(code) ? ` (${code})` : '';
}
