import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readEntries } from './entries.ts';

/** An exported name, as the declarations in dist have it. */
interface Name {
  readonly name: string;
  /** Functions, classes and constants; the others are types. */
  readonly isValue: boolean;
  /** The first sentence of its comment. */
  readonly says: string;
}

const root = fileURLToPath(new URL('../..', import.meta.url));

/** What options are of, where their name does not tell, and types whose comments are at their parts. */
const SAID: Readonly<Record<string, string>> = {
  AuditOptions: '`audit` of `createLeash`: the sink, and how lines are signed and arguments hidden.',
  HoldState: 'What became of a hold.',
  LeashOptions: 'Options of `createLeash`.',
  Settle: 'Ends a hold: what of it is booked.',
  Settled: 'How a hold ended, and what was booked beyond it.',
  StoreDecision: 'Whether a reservation fits, and the first line that does not.',
};

/** The longest text that is shown whole. */
const WHOLE = 160;

interface Declarations {
  readonly file: string;
  readonly source: string;
  /** By the name that the file exports: its own name for it. */
  readonly exported: ReadonlyMap<string, string>;
  /** By the file's own name: where it comes from, and what it is exported as there. */
  readonly imported: ReadonlyMap<string, { readonly file: string; readonly name: string }>;
}

/** `a as b` as `[a, b]`, `a` as `[a, a]`. */
function renamed(list: string): readonly (readonly [string, string])[] {
  return list.split(',').map((item) => {
    const [from = '', to = from] = item
      .trim()
      .replace(/^type /, '')
      .split(' as ');
    return [from, to];
  });
}

function readDeclarations(file: string): Declarations {
  const source = readFileSync(file, 'utf8');
  const [, list] = /^export \{ ([^}]*) \};\s*$/m.exec(source) ?? [];
  if (list === undefined) throw new Error(`${file} has no list of exports at its end`);
  const exported = new Map(renamed(list).map(([own, name]) => [name, own]));
  const imported = new Map<string, { readonly file: string; readonly name: string }>();
  for (const [, names = '', from = ''] of source.matchAll(/^import \{ ([^}]*) \} from "(\.[^"]+)\.js";$/gm)) {
    for (const [name, own] of renamed(names)) imported.set(own, { file: join(dirname(file), `${from}.d.ts`), name });
  }
  return { file, source, exported, imported };
}

/** Its kind and comment, wherever the build has put it. */
function find({ file, source, exported, imported }: Declarations, name: string): { kind: string; comment: string } {
  const own = exported.get(name) ?? name;
  const elsewhere = imported.get(own);
  if (elsewhere !== undefined) return find(readDeclarations(elsewhere.file), elsewhere.name);
  const comment = String.raw`(?:^/\*\*((?:(?!\*/)[\s\S])*)\*/\n)?`;
  const declaration = String.raw`^(?:declare (?:abstract )?)?(function|class|const|interface|type) ${own.replace('$', String.raw`\$`)}(?![\w$])`;
  const found = new RegExp(comment + declaration, 'm').exec(source);
  if (found === null) throw new Error(`${file} does not declare ${own}`);
  return { kind: found[2] as string, comment: found[1] ?? '' };
}

function firstSentence(comment: string): string {
  const text = comment
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, ''))
    .join('\n')
    .trim();
  const paragraph = (text.split(/\n\s*\n|\n@/)[0] as string).replaceAll(/\s+/g, ' ');
  const sentence = /^.*?\.(?= [^a-z]|$)/.exec(paragraph)?.[0] ?? paragraph;
  if (sentence.length <= WHOLE) return sentence;
  const [, beginning] = /^(.{20,}?)[:;] /.exec(sentence) ?? [];
  return beginning === undefined ? sentence : `${beginning}.`;
}

/** `MemorySinkOptions` are options of `memorySink`. */
function optionsOf(name: string, names: readonly string[]): string | undefined {
  const [, of] = /^(\w+)Options$/.exec(name) ?? [];
  const own = of === undefined ? undefined : of.charAt(0).toLowerCase() + of.slice(1);
  return own === undefined || !names.includes(own) ? undefined : `Options of \`${own}\`.`;
}

/** @throws {Error} a name has no comment where it is declared, or one and a line in `SAID`. */
function namesOf(entry: string): readonly Name[] {
  const declarations = readDeclarations(join(root, 'dist', `${entry}.d.ts`));
  const names = [...declarations.exported.keys()].sort((a, b) => a.localeCompare(b, 'en'));
  return names.map((name) => {
    const { kind, comment } = find(declarations, name);
    const instead = SAID[name] ?? optionsOf(name, names);
    if (comment === '' && instead === undefined) throw new Error(`${name} of ${entry} has no comment`);
    if (comment !== '' && SAID[name] !== undefined) throw new Error(`${name} has a comment: SAID needs no line of it`);
    const isValue = kind !== 'interface' && kind !== 'type';
    return { name, isValue, says: comment === '' ? (instead as string) : firstSentence(comment) };
  });
}

function counted(names: readonly Name[]): string {
  const values = names.filter(({ isValue }) => isValue).length;
  const types = names.length - values;
  const plural = (n: number, thing: string): string => `${n} ${thing}${n === 1 ? '' : 's'}`;
  return [...(values > 0 ? [plural(values, 'value')] : []), ...(types > 0 ? [plural(types, 'type')] : [])].join(', ');
}

function table(title: string, names: readonly Name[]): string {
  if (names.length === 0) return '';
  const rows = names.map(({ name, says }) => `| \`${name}\` | ${says.replaceAll('|', '\\|')} |\n`);
  return `\n| ${title} | |\n|---|---|\n${rows.join('')}`;
}

/** Every name that every subpath exports, as Markdown: a table for each, folded up. */
export function renderNames(): string {
  const entries = readEntries().toSorted((a, b) => (a.specifier < b.specifier ? -1 : 1));
  const folds = entries.map(({ specifier, name }) => {
    const names = namesOf(name);
    const summary = `<code>${specifier}</code>: ${counted(names)}`;
    const values = names.filter(({ isValue }) => isValue);
    const types = names.filter(({ isValue }) => !isValue);
    return `<details>\n<summary>${summary}</summary>\n${table('value', values)}${table('type', types)}\n</details>\n`;
  });
  return folds.join('\n');
}
