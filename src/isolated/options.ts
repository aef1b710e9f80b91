import { realpathSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { checkTimerMs } from '../internal/deadline.ts';
import { checkInteger, checkOptions, shown } from '../internal/options.ts';
import type { Leash } from '../leash-contract.ts';

export interface IsolatedOptions {
  /** Its egress guards, of which it needs one, judge what the module fetches. Its end ends the worker. */
  readonly leash: Leash;
  /**
   * Files and folders that the module may read, beside its own file: what it imports, `node_modules`, its data. Paths from
   * the working directory, or `file:` URLs. Links lead out of a folder. Default: none.
   */
  readonly read?: readonly (string | URL)[];
  /** The whole environment of the worker. Node's own variables (`NODE_…`) other than `NODE_ENV` are refused. Default: empty. */
  readonly env?: Readonly<Record<string, string>>;
  /** JavaScript heap in MiB; buffers are not counted. Integer >= 16. Default: 256. */
  readonly maxHeapMb?: number;
  /**
   * How long loading the module may take, and each call. What takes longer ends the worker, for nothing else stops code that
   * never gives way. Integer from 1 to 2^31 - 1. Default: 30 000.
   */
  readonly timeoutMs?: number;
}

export interface IsolatedSettings {
  /** Not looked at yet. */
  readonly leash: Leash;
  readonly module: string;
  readonly read: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly maxHeapMb: number;
  readonly timeoutMs: number;
}

/** The least with which Node starts and loads a module. */
const MIN_HEAP_MB = 16;

export function readIsolatedOptions(module: unknown, options: unknown): IsolatedSettings {
  checkOptions('isolated', options, ['leash', 'read', 'env', 'maxHeapMb', 'timeoutMs']);
  const { leash, read = [], env = {}, maxHeapMb = 256, timeoutMs = 30_000 } = options as Partial<IsolatedOptions>;
  if (!Array.isArray(read)) throw new TypeError(`\`isolated.read\` must be an array of paths, got ${shown(read)}`);
  const file = pathOf('the module of `isolated`', module);
  if (!(module instanceof URL) && !isAbsolute(module as string)) {
    throw new RangeError(`the module of \`isolated\` must be a file: URL or an absolute path, got ${shown(module)}`);
  }
  return {
    leash: leash as Leash,
    module: pathToFileURL(file).href,
    read: [file, ...read.map((path, i) => pathOf(`\`isolated.read[${i}]\``, path))].flatMap(withTarget),
    env: readEnv(env),
    maxHeapMb: checkInteger('isolated.maxHeapMb', maxHeapMb, MIN_HEAP_MB),
    timeoutMs: checkTimerMs('isolated.timeoutMs', timeoutMs),
  };
}

function pathOf(what: string, value: unknown): string {
  if (typeof value !== 'string' && !(value instanceof URL)) {
    throw new TypeError(`${what} must be a path or a file: URL, got ${shown(value)}`);
  }
  if (value instanceof URL && value.protocol !== 'file:') {
    throw new RangeError(`${what} must be a file: URL, got one of ${value.protocol}`);
  }
  if (value === '') throw new RangeError(`${what} must be a path, got ''`);
  const path = resolve(value instanceof URL ? fileURLToPath(value) : value);
  // Node would read it as a pattern, and allow more.
  if (path.includes('*')) throw new RangeError(`${what} must not contain \`*\`, got ${shown(path)}`);
  return path;
}

/** A link and where it leads: the loader asks for both. */
function withTarget(path: string): readonly string[] {
  let target: string;
  try {
    target = realpathSync(path);
  } catch (error) {
    throw new RangeError(`\`isolated\` cannot find ${shown(path)}`, { cause: error });
  }
  if (target.includes('*')) throw new RangeError(`\`isolated\`: where ${shown(path)} leads must not contain \`*\``);
  return target === path ? [path] : [path, target];
}

function readEnv(env: unknown): Readonly<Record<string, string>> {
  if (typeof env !== 'object' || env === null || Array.isArray(env)) {
    throw new TypeError(`\`isolated.env\` must be an object of strings, got ${shown(env)}`);
  }
  return Object.fromEntries(
    Object.entries(env).map(([name, value]: [string, unknown]) => {
      // They could give the worker what the flags take from it.
      if (/^NODE_/i.test(name) && name !== 'NODE_ENV') {
        throw new RangeError(`\`isolated.env\` must not set ${name}: it is Node's own`);
      }
      if (typeof value !== 'string') throw new TypeError(`\`isolated.env.${name}\` must be a string`);
      return [name, value];
    }),
  );
}
