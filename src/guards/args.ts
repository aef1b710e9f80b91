import type { ArgsIssue } from '../errors.ts';
import { ALLOW, type Denial, type Guard, type Preparation, type Verdict } from '../guard.ts';
import { snapshotJson } from '../internal/canonical-json.ts';
import { maskedPointer } from '../internal/json-pointer.ts';
import { after, isPromiseLike, type MaybePromise } from '../internal/maybe-promise.ts';
import { checkName, checkOptions, checkTools, shown } from '../internal/options.ts';

/** A validator of Standard Schema v1 (https://standardschema.dev): Zod, Valibot, ArkType and others bring it. */
export interface StandardSchema {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    validate(value: unknown): StandardResult | Promise<StandardResult>;
  };
}

/** What a Standard Schema validator answers: the value, or what is wrong with it. */
export type StandardResult =
  | { readonly value: unknown; readonly issues?: undefined }
  | { readonly issues: readonly unknown[] };

export interface ArgsOptions {
  /**
   * Tools whose arguments nobody has to describe; `'all'` for every tool that has no schema. A tool named here that has
   * a schema is still held to it. Default: none, so that wrapping a tool without a schema is an error.
   */
  readonly unchecked?: readonly string[] | 'all' | undefined;
}

/** What is wrong with the arguments; undefined when nothing is. */
export type ArgsCheck = (args: unknown) => MaybePromise<readonly ArgsIssue[] | undefined>;

/** What a guard of arguments by schema is made of. */
export interface ArgsGuardParts {
  readonly name: string;
  readonly settings: unknown;
  /** Schemas given to the guard, by tool name. */
  readonly listed: ReadonlyMap<string, ArgsCheck>;
  readonly isUnchecked: (tool: string) => boolean;
  /** The check of a schema that a tool brought; undefined for a kind of schema that another guard holds. */
  readonly declared: (tool: string, schema: object) => ArgsCheck | undefined;
}

const HELD: Preparation = Object.freeze({ schema: 'held' });
const MISSING: Preparation = Object.freeze({ schema: 'missing' });

const MAX_ISSUES = 16;
/** Validators may report an issue for each item of a long list; past this many nothing new is looked for. */
const MAX_LOOKED_AT = 1_000;
const MAX_TOLD = 3;
const RULE = /^[a-z][a-z0-9_.-]{0,63}$/i;

/**
 * Holds the arguments of tools to Standard Schema validators: those in `schemas` by tool name, and the one that a tool
 * declares itself (`wrap(name, fn, { schema })`). Where both exist both must pass.
 *
 * The validator only judges, on a copy. Its output is dropped: transforms, coercions and defaults do not reach the tool,
 * which receives exactly what was checked and hashed. Validators may be asynchronous.
 *
 * A refusal is `ARGS_INVALID` with at most 16 issues, each the path and the rule that was broken and never a value or a
 * message. Property names appear in paths if the schema can tell which names it declares (`~standard.jsonSchema`: Zod,
 * ArkType), otherwise as `*`, since a name may be content. A validator that throws or answers with neither a value nor
 * issues refuses the call.
 *
 * A tool without a schema, or with a schema that no guard of the leash can hold, is an error when it is wrapped, unless
 * it is `unchecked`.
 *
 * @throws {TypeError} an entry that is no Standard Schema v1 (the message names the tool), or an unknown option.
 */
export function args(schemas: { readonly [tool: string]: StandardSchema } = {}, options: ArgsOptions = {}): Guard {
  checkOptions('args', options, ['unchecked']);
  const listed = readSchemas('args', schemas, (tool, schema) => standardCheck('args', tool, schema));
  const unchecked = readUnchecked('args', options.unchecked);
  const known = new WeakMap<object, ArgsCheck>();
  return argsGuard({
    name: 'args',
    settings: { tools: [...listed.keys()].sort(), unchecked: unchecked.setting },
    listed,
    isUnchecked: unchecked.includes,
    declared(tool, schema) {
      const check = known.get(schema);
      if (check !== undefined || !('~standard' in schema)) return check;
      const made = standardCheck('args', tool, schema);
      known.set(schema, made);
      return made;
    },
  });
}

/** The guard that both kinds of schema share: what it says of a declaration, and of a call. */
export function argsGuard({ name, settings, listed, isUnchecked, declared }: ArgsGuardParts): Guard {
  return Object.freeze({
    name,
    settings,
    prepare({ tool, schema }): Preparation | undefined {
      const own = schema === undefined ? undefined : declared(tool, schema);
      // A listed schema does not stand in for a declared one that only another guard can read.
      if (own !== undefined || (schema === undefined && listed.has(tool))) return HELD;
      return isUnchecked(tool) ? undefined : MISSING;
    },
    // Without a schema of this guard's kind it allows: whether some guard holds the tool was settled by `prepare`.
    check(call): MaybePromise<Verdict> {
      const own = call.schema === undefined ? undefined : declared(call.tool, call.schema);
      return after(verdict(listed.get(call.tool), call.args), (first) =>
        first.allow ? verdict(own, call.args) : first,
      );
    },
  } satisfies Guard);
}

function verdict(check: ArgsCheck | undefined, value: unknown): MaybePromise<Verdict> {
  return check === undefined ? ALLOW : after(check(value), (issues) => (issues === undefined ? ALLOW : denial(issues)));
}

function denial(issues: readonly ArgsIssue[]): Denial {
  const told = issues.slice(0, MAX_TOLD).map(({ path, rule }) => (path === '' ? rule : `${path} (${rule})`));
  const rest = issues.length > MAX_TOLD ? ` and ${issues.length - MAX_TOLD} more` : '';
  return {
    allow: false,
    code: 'ARGS_INVALID',
    reason: 'schema',
    message: `arguments do not match the schema: ${told.join(', ')}${rest}`,
    issues,
  };
}

/** The first 16 different issues; never none, since this is asked for only after a validator refused. */
export function collectIssues<T>(found: readonly T[], issueOf: (found: T) => ArgsIssue): readonly ArgsIssue[] {
  const issues = new Map<string, ArgsIssue>();
  for (const one of found.slice(0, MAX_LOOKED_AT)) {
    const issue = issueOf(one);
    issues.set(`${issue.path} ${issue.rule}`, issue);
    if (issues.size === MAX_ISSUES) break;
  }
  return issues.size === 0 ? [{ path: '', rule: 'invalid' }] : [...issues.values()];
}

/** `word` if it can be the name of a rule, and is not a sentence. */
export function ruleName(word: unknown): string | undefined {
  return typeof word === 'string' && RULE.test(word) ? word : undefined;
}

/** A record of schemas by tool name as a map, so that a tool called `constructor` finds nothing that nobody listed. */
export function readSchemas<T>(
  where: string,
  schemas: unknown,
  read: (tool: string, schema: unknown) => T,
): ReadonlyMap<string, T> {
  const prototype = typeof schemas === 'object' && schemas !== null ? Object.getPrototypeOf(schemas) : undefined;
  // An own prototype is what `{ __proto__: schema }` makes: a schema for a tool of that name would be lost unseen.
  if (prototype !== null && prototype !== Object.prototype) {
    throw new TypeError(`${where} expects a plain object of schemas by tool name, got ${shown(schemas)}`);
  }
  return new Map(
    Object.entries(schemas as object).map(([tool, schema]) => [
      checkName(`${where} tool name`, tool),
      read(tool, schema),
    ]),
  );
}

export function readUnchecked(
  where: string,
  option: unknown,
): { readonly setting: readonly string[] | 'all'; readonly includes: (tool: string) => boolean } {
  if (option === 'all') return { setting: 'all', includes: () => true };
  if (option !== undefined && !Array.isArray(option)) {
    throw new TypeError(`\`${where}.unchecked\` must be 'all' or an array of tool names, got ${shown(option)}`);
  }
  // An empty list, which `checkTools` takes for a mistake, is the default here.
  const tools = (option?.length === 0 ? undefined : checkTools(`${where}.unchecked`, option)) ?? [];
  const names = new Set(tools);
  return { setting: tools, includes: (tool) => names.has(tool) };
}

/** Every property name that a JSON Schema speaks of. Names are the developer's text; those of the data may not be. */
export function declaredNames(schema: unknown): ReadonlySet<string> {
  const names = new Set<string>();
  const nodes = new Set<object>([Object(schema)]);
  for (const node of nodes) {
    for (const [keyword, child] of Object.entries(node)) {
      if (typeof child !== 'object' || child === null) continue;
      nodes.add(child);
      if (keyword === 'required') addNames(names, child);
      if (!NAMING.has(keyword) || Array.isArray(child)) continue;
      for (const [name, inner] of Object.entries(child)) {
        names.add(name);
        // A list of names under `dependentRequired` and `dependencies`.
        addNames(names, inner);
      }
    }
  }
  return names;
}

/** Keywords whose keys are property names. */
const NAMING: ReadonlySet<string> = new Set(['properties', 'dependentRequired', 'dependentSchemas', 'dependencies']);

function addNames(names: Set<string>, list: unknown): void {
  if (!Array.isArray(list)) return;
  for (const name of list) if (typeof name === 'string') names.add(name);
}

/** @throws {TypeError} not a Standard Schema v1. */
function standardCheck(where: string, tool: string, schema: unknown): ArgsCheck {
  // ArkType's schemas are functions.
  const holder = (typeof schema === 'object' && schema !== null) || typeof schema === 'function';
  const standard = holder ? (schema as Partial<StandardSchema>)['~standard'] : undefined;
  if (
    ((typeof standard !== 'object' || standard === null) && typeof standard !== 'function') ||
    standard.version !== 1 ||
    typeof standard.validate !== 'function'
  ) {
    throw new TypeError(
      `${where}: the schema of tool "${tool}" is not a Standard Schema v1 validator, got ${shown(schema)}`,
    );
  }
  let names: ReadonlySet<string> | undefined;
  const judge = (result: unknown, value: unknown): readonly ArgsIssue[] | undefined => {
    if (typeof result !== 'object' || result === null) throw new TypeError('the result is no object');
    const issues = (result as { issues?: unknown }).issues;
    if (issues === undefined && 'value' in result) return undefined;
    if (!Array.isArray(issues)) throw new TypeError('the result has neither a value nor a list of issues');
    names ??= standardNames(standard);
    const declared = names;
    return collectIssues(issues, (issue) => standardIssue(issue, value, declared));
  };
  // What a validator throws may quote the arguments: it goes into the cause, which nobody prints or logs.
  const failed = (cause: unknown): Error => new Error(`the schema of tool "${tool}" gave no verdict`, { cause });
  return (value) => {
    try {
      const result: unknown = standard.validate(forValidator(value));
      if (!isPromiseLike(result)) return judge(result, value);
      return Promise.resolve(result)
        .then((settled) => judge(settled, value))
        .catch((cause: unknown) => {
          throw failed(cause);
        });
    } catch (cause) {
      throw failed(cause);
    }
  };
}

function standardIssue(issue: unknown, value: unknown, names: ReadonlySet<string>): ArgsIssue {
  // `code` is Zod's word for the rule, `type` Valibot's. An issue may be anything, also nothing.
  const { path, code, type } = Object(issue) as { path?: unknown; code?: unknown; type?: unknown };
  const segments: unknown[] = Array.isArray(path) ? path.map(segmentKey) : [];
  return { path: maskedPointer(segments, value, names), rule: ruleName(code) ?? ruleName(type) ?? 'invalid' };
}

function segmentKey(segment: unknown): unknown {
  return typeof segment === 'object' && segment !== null ? (segment as { key?: unknown }).key : segment;
}

/** The names that the schema declares, as far as it can be asked: a schema that has no JSON Schema form has none. */
function standardNames(standard: { readonly vendor?: unknown }): ReadonlySet<string> {
  try {
    const { jsonSchema } = standard as { jsonSchema: { input: (options: object) => unknown } };
    const target = { target: 'draft-2020-12' };
    // Zod throws for a part such as a date unless told to leave it open; the names beside it are still good.
    const libraryOptions = { unrepresentable: 'any' };
    return declaredNames(jsonSchema.input(standard.vendor === 'zod' ? { ...target, libraryOptions } : target));
  } catch {
    return new Set();
  }
}

/** A validator may change what it is given (a preprocessing step often does), and the tool is to receive the original. */
function forValidator(value: unknown): unknown {
  return typeof value === 'object' ? snapshotJson(value) : value;
}
