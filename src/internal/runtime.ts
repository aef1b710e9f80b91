/** The runtime, for messages. Bun and Deno state a version of Node as well: that of the modules which they imitate. */
export function runtimeName(versions: Readonly<Record<string, string | undefined>> = process.versions): string {
  const { node, bun, deno } = versions;
  if (bun !== undefined) return `Bun ${bun}`;
  return deno === undefined ? `Node ${node}` : `Deno ${deno}`;
}
