import { createHash } from 'node:crypto';
import { Ajv, type ErrorObject, type KeywordDefinition, type Options, type ValidateFunction } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { ArgsIssue } from '../errors.ts';
import type { Guard } from '../guard.ts';
import {
  type ArgsCheck,
  type ArgsOptions,
  argsGuard,
  collectIssues,
  declaredNames,
  readSchemas,
  readUnchecked,
  ruleName,
} from '../guards/args.ts';
import { maskedPointer, pointerSegments } from '../internal/json-pointer.ts';
import { checkOptions, shown } from '../internal/options.ts';

/**
 * A JSON Schema as a plain object, of draft 2020-12 or draft-07. (No index signature: schemas typed by an interface of
 * another package would not fit one.)
 */
export type JsonSchema = object;

/** Adds formats to an Ajv instance, as `ajv-formats` does. */
export type FormatsPlugin = (ajv: Ajv) => unknown;

export interface JsonSchemaArgsOptions extends ArgsOptions {
  /**
   * What `import addFormats from 'ajv-formats'` gives. A function of your own that calls `ajv.addFormat` will do. Default:
   * none, so that a schema that uses `format` does not compile.
   */
  readonly formats?: FormatsPlugin | { readonly default: FormatsPlugin } | undefined;
}

type Draft = '2020-12' | '07';

const DRAFTS: readonly (readonly [Draft, RegExp])[] = [
  ['2020-12', /^https?:\/\/json-schema\.org\/draft\/2020-12\/schema#?$/],
  ['07', /^https?:\/\/json-schema\.org\/draft-07\/schema#?$/],
];

const COMPILE: Options = {
  strict: true,
  strictTypes: false,
  strictTuples: false,
  strictRequired: false,
  allowMatchingProperties: true,
  logger: false,
  // The first broken rule is enough to refuse; looking for all lets the arguments decide how long that takes.
  allErrors: false,
  messages: false,
  ownProperties: true,
  coerceTypes: false,
  useDefaults: false,
  removeAdditional: false,
  validateFormats: true,
  // Done once per draft by `metaSchemas`, not anew for each schema.
  meta: false,
  validateSchema: false,
};

/**
 * Holds the arguments of tools to JSON Schemas through Ajv: those in `schemas` by tool name, and the one that a tool
 * declares itself (`wrap(name, fn, { schema })`). Where both exist both must pass.
 *
 * The draft is told by `$schema`: 2020-12 or draft-07; a schema without `$schema` is read as 2020-12. Schemas compile
 * once, those in `schemas` here and a tool's own when it is wrapped, from a snapshot: changing the object later changes
 * nothing. Build the guard once and share it between leashes. A keyword that the draft does not know, a `format` that
 * `formats` did not bring, a `$ref` that leaves the schema, `$async` and a property named `__proto__` (which Ajv skips)
 * do not compile. Nothing is coerced, defaulted or removed: the tool receives what was checked.
 *
 * A refusal is `ARGS_INVALID` with the keyword and the path of each broken rule and never a value; names that the schema
 * does not declare appear as `*`. The schema is trusted: a `pattern` that backtracks without end blocks the process, so
 * take none from those whom the leash is to hold.
 *
 * A tool without a schema, or with a schema that no guard of the leash can hold, is an error when it is wrapped, unless
 * it is `unchecked`.
 *
 * @throws {TypeError} a schema that does not compile (the message names the tool and says why), or an unknown option.
 */
export function jsonSchemaArgs(
  schemas: { readonly [tool: string]: JsonSchema } = {},
  options: JsonSchemaArgsOptions = {},
): Guard {
  checkOptions('jsonSchemaArgs', options, ['unchecked', 'formats']);
  const formats = readFormats(options.formats);
  const unchecked = readUnchecked('jsonSchemaArgs', options.unchecked);
  const listed = readSchemas('jsonSchemaArgs', schemas, (tool, schema) => compile(tool, schema, formats));
  const known = new WeakMap<object, Compiled>();
  const guard = argsGuard({
    name: 'json-schema-args',
    settings: {
      schemas: Object.fromEntries([...listed].map(([tool, { source }]) => [tool, digest(source)])),
      unchecked: unchecked.setting,
      formats: formats !== undefined,
    },
    listed: new Map([...listed].map(([tool, { check }]) => [tool, check])),
    isUnchecked: unchecked.includes,
    declared(tool, schema) {
      const made = known.get(schema);
      if (made !== undefined || !isJsonSchema(schema)) return made?.check;
      const fresh = compile(tool, schema, formats);
      known.set(schema, fresh);
      return fresh.check;
    },
  });
  return Object.freeze({
    ...guard,
    prepare(declaration) {
      const { tool, schema } = declaration;
      const made = schema === undefined ? undefined : known.get(schema);
      // Calls carry the object, not its text: one that changed cannot be held to the old text here and the new there.
      if (made !== undefined && made.source !== snapshot(tool, schema).source) {
        throw new TypeError(
          `jsonSchemaArgs: the schema of tool "${tool}" was changed after it was compiled for a tool; pass a copy`,
        );
      }
      return guard.prepare?.(declaration);
    },
  } satisfies Guard);
}

/** In binary, as Ajv divides, 19.99 is no multiple of 0.01. */
const MULTIPLE_OF: KeywordDefinition = {
  keyword: 'multipleOf',
  type: 'number',
  schemaType: 'number',
  validate: isMultiple,
  errors: false,
};

function isMultiple(of: number, value: number): boolean {
  const decimals = [value, of].map(decimal);
  const places = Math.max(...decimals.map((each) => each.places));
  const [dividend, divisor] = decimals.map((each) => each.digits * 10n ** BigInt(places - each.places));
  return (dividend as bigint) % (divisor as bigint) === 0n;
}

/** The number that JSON writes. */
function decimal(value: number): { readonly digits: bigint; readonly places: number } {
  const [digits = '', exponent = '0'] = String(value).split('e');
  const [whole, fraction = ''] = digits.split('.');
  return { digits: BigInt(`${whole}${fraction}`), places: fraction.length - Number(exponent) };
}

interface Snapshot {
  readonly schema: Readonly<Record<string, unknown>>;
  /** The schema as JSON. */
  readonly source: string;
}

interface Compiled {
  readonly check: ArgsCheck;
  readonly source: string;
}

/**
 * A Standard Schema is for `args`, also where it is a plain object (Valibot). JSON Schema that Zod made is both: it
 * carries the validator where no enumeration sees it.
 */
function isJsonSchema(schema: object): boolean {
  const prototype = Object.getPrototypeOf(schema);
  return (prototype === null || prototype === Object.prototype) && !Object.keys(schema).includes('~standard');
}

function snapshot(tool: string, schema: unknown): Snapshot {
  if (typeof schema !== 'object' || schema === null || !isJsonSchema(schema)) {
    throw new TypeError(
      `jsonSchemaArgs: the schema of tool "${tool}" must be a JSON Schema as a plain object, got ${shown(schema)}`,
    );
  }
  try {
    const clone = structuredClone(schema) as Record<string, unknown>;
    return { schema: clone, source: JSON.stringify(clone) };
  } catch (error) {
    throw refused(tool, error);
  }
}

function compile(tool: string, given: unknown, formats: FormatsPlugin | undefined): Compiled {
  const { schema, source } = snapshot(tool, given);
  const { $schema, ...body } = schema;
  const draft = draftOf(tool, $schema);
  if (Object.hasOwn(body, '$async')) {
    throw new TypeError(`jsonSchemaArgs: the schema of tool "${tool}" is \`$async\`: its answer would be a promise`);
  }
  if (mentionsProto(body)) {
    throw new TypeError(
      `jsonSchemaArgs: the schema of tool "${tool}" has a rule for \`__proto__\`, which Ajv would skip`,
    );
  }
  let validate: ValidateFunction;
  try {
    const meta = metaSchemas(draft);
    if (!meta.validate(meta.defaultMeta() as string, body)) throw new Error(meta.errorsText(meta.errors));
    // An instance for each schema: in a shared one equal `$id`s clash, and an inner `$id` answers the `$ref` of another
    // schema. (`addUsedSchema: false` does not help with inner ones, and breaks `$ref: '#'`.)
    const ajv = draft === '07' ? new Ajv(COMPILE) : new Ajv2020(COMPILE);
    // Ajv resolves it and yet, in strict mode, does not know it.
    if (draft === '2020-12') ajv.addKeyword('$anchor');
    ajv.removeKeyword('multipleOf').addKeyword(MULTIPLE_OF);
    formats?.(ajv);
    validate = ajv.compile(body);
  } catch (error) {
    const unknownFormat = formats === undefined && /unknown format/.test(String(error));
    if (unknownFormat) throw refused(tool, error, "for `format` pass { formats: addFormats } from 'ajv-formats'");
    throw refused(tool, error, $schema === undefined ? 'without `$schema` it is read as draft 2020-12' : undefined);
  }
  const declared = declaredNames(body);
  const check: ArgsCheck = (args) => {
    const valid: unknown = validate(args);
    if (valid === true) return undefined;
    const errors = valid === false ? (validate.errors ?? []) : [];
    return collectIssues(errors, (error) => issueOf(error, args, declared));
  };
  return { check, source };
}

function refused(tool: string, error: unknown, hint?: string): TypeError {
  const reason = error instanceof Error ? error.message : String(error);
  const more = hint === undefined ? '' : ` (${hint})`;
  return new TypeError(`jsonSchemaArgs: the schema of tool "${tool}" does not compile: ${reason}${more}`, {
    cause: error,
  });
}

function draftOf(tool: string, $schema: unknown): Draft {
  if ($schema === undefined) return '2020-12';
  const known = DRAFTS.find(([, pattern]) => typeof $schema === 'string' && pattern.test($schema));
  if (known === undefined) {
    throw new TypeError(
      `jsonSchemaArgs: \`$schema\` of tool "${tool}" must name draft 2020-12 or draft-07, got ${shown($schema)}`,
    );
  }
  return known[0];
}

const metas = new Map<Draft, Ajv>();

/** The instance that judges schemas of a draft; it never sees one as its own, so nothing of them stays in it. */
function metaSchemas(draft: Draft): Ajv {
  let meta = metas.get(draft);
  if (meta === undefined) {
    meta = draft === '07' ? new Ajv({ logger: false }) : new Ajv2020({ logger: false });
    metas.set(draft, meta);
  }
  return meta;
}

function mentionsProto(schema: unknown): boolean {
  if (typeof schema !== 'object' || schema === null) return false;
  return Object.entries(schema).some(([key, child]) => key === '__proto__' || mentionsProto(child));
}

/** Keywords whose error is told of the object and is about one name of its content. */
const ABOUT_A_NAME: ReadonlySet<string> = new Set(['additionalProperties', 'unevaluatedProperties', 'propertyNames']);

function issueOf(error: ErrorObject, args: unknown, declared: ReadonlySet<string>): ArgsIssue {
  const segments: unknown[] = [...pointerSegments(error.instancePath)];
  const { missingProperty: missing }: { missingProperty?: unknown } = error.params;
  if (typeof missing === 'string') segments.push(missing);
  // `propertyName` is set on what `propertyNames` found wrong with the name itself. Undefined appears as `*`.
  else if (ABOUT_A_NAME.has(error.keyword) || error.propertyName !== undefined) segments.push(undefined);
  const rule = error.keyword === 'false schema' ? 'false-schema' : ruleName(error.keyword);
  return { path: maskedPointer(segments, args, declared), rule: rule ?? 'invalid' };
}

function readFormats(formats: unknown): FormatsPlugin | undefined {
  if (formats === undefined) return undefined;
  // Under `module: nodenext` the default export of `ajv-formats` is typed as the module that holds it.
  const plugin = typeof formats === 'object' && formats !== null && 'default' in formats ? formats.default : formats;
  if (typeof plugin === 'function') return plugin as FormatsPlugin;
  throw new TypeError(`\`jsonSchemaArgs.formats\` must be a function such as ajv-formats gives, got ${shown(formats)}`);
}

function digest(source: string): string {
  return `sha256:${createHash('sha256').update(source).digest('hex')}`;
}
