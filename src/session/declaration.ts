import { kindOf } from '../internal/options.ts';
import type { Level } from './plan.ts';
import type { Rules } from './rules.ts';
import { type Cost, declareTool, type OnError, type Tool, type Urls, unpriced } from './tool.ts';

/** One call, for `run`, `peek` and `enter`. */
export interface CallRequest<Args = unknown> {
  readonly tool: string;
  /** Default: no arguments, `[]`. */
  readonly args?: Args;
  /** The estimate that is held; needed under a budget. A function gets the checked arguments, frozen. */
  readonly cost?: Cost | ((args: NoInfer<Args>) => Cost);
  /** Where the tool will connect to; needs an egress guard. A function as of `cost`. */
  readonly url?: Urls | ((args: NoInfer<Args>) => Urls);
  /** As in `ToolOptions`. */
  readonly schema?: object;
  /** As in `ToolOptions`. */
  readonly onError?: OnError;
  /** As in `ToolOptions`. */
  readonly leaseMs?: number;
  /** As in `ToolOptions`. */
  readonly idempotencyKey?: string;
}

/** @throws {TypeError} a guard cannot hold the declaration, or nobody holds a part of it: nothing is left unchecked. */
export function declareUnder(levels: readonly Level[], rules: Rules, tool: Tool): Tool {
  const { name, schema, hasUrls } = tool;
  let schemaHeld = false;
  let schemaMissing: string | undefined;
  let urlsHeld = false;
  for (const { guards } of levels) {
    for (const guard of guards) {
      const prepared = guard.prepare?.({ tool: name, schema, urls: hasUrls });
      if (prepared?.schema === 'held') schemaHeld = true;
      else if (prepared?.schema === 'missing') schemaMissing ??= guard.name;
      if (prepared?.urls === 'held') urlsHeld = true;
    }
  }
  if (schema !== undefined && !schemaHeld) {
    throw new TypeError(
      `tool "${name}" has a \`schema\` that no guard of the leash checks: add args() for a Standard Schema, jsonSchemaArgs() from 'leashkit/ajv' for a JSON Schema`,
    );
  }
  if (schemaMissing !== undefined && !schemaHeld) {
    throw new TypeError(
      `tool "${name}" has no schema, which guard "${schemaMissing}" needs: give \`schema\`, or name the tool in the guard's \`unchecked\``,
    );
  }
  if (hasUrls && !urlsHeld) {
    throw new TypeError(`tool "${name}" has a \`url\` that no guard of the leash checks: add egress({ allow: [...] })`);
  }
  const { needsPrice } = rules.planFor(name);
  if (!tool.priced && needsPrice !== undefined) throw unpriced(name, needsPrice);
  return tool;
}

/** The declaration of a single call. */
export function declareRequest<Args>(where: string, call: CallRequest<Args>): Tool {
  if (typeof call !== 'object' || call === null) {
    throw new TypeError(`${where} expects a call { tool, args }, got ${kindOf(call)}`);
  }
  const { tool, args: _, url, idempotencyKey, ...options } = call;
  return declareTool(tool, {
    ...options,
    ...(url === undefined ? {} : { url: typeof url === 'function' ? url : () => url }),
    ...(idempotencyKey === undefined ? {} : { idempotencyKey: () => idempotencyKey }),
  });
}

/** What is checked and hashed of a single call. `null` is an argument, and not none. */
export function givenArgs<Args>({ args }: CallRequest<Args>): unknown {
  return args === undefined ? [] : args;
}
