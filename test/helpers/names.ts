import { declarationsOf, declared } from './declarations.ts';
import { readEntries } from './entries.ts';
import { type Option, optionsIn } from './options.ts';

/** An exported name, as the declarations in dist have it. */
interface Name {
  readonly name: string;
  /** Functions, classes and constants; the others are types. */
  readonly isValue: boolean;
  /** The first sentence of its comment. */
  readonly says: string;
  /** Of options: what they are. */
  readonly options: readonly Option[];
}

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

function firstSentence(text: string): string {
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
  const declarations = declarationsOf(entry);
  const names = [...declarations.exported.keys()].sort((a, b) => a.localeCompare(b, 'en'));
  return names.map((name) => {
    const { kind, comment } = declared(declarations, name);
    const instead = SAID[name] ?? optionsOf(name, names);
    if (comment === '' && instead === undefined) throw new Error(`${name} of ${entry} has no comment`);
    if (comment !== '' && SAID[name] !== undefined) throw new Error(`${name} has a comment: SAID needs no line of it`);
    const isValue = kind !== 'interface' && kind !== 'type';
    const says = comment === '' ? (instead as string) : firstSentence(comment);
    return { name, isValue, says, options: name.endsWith('Options') ? optionsIn(declarations, name) : [] };
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
  return `\n| ${title} | |\n|---|---|\n${names.map(row).join('')}`;
}

function row({ name, says }: { readonly name: string; readonly says: string }): string {
  return `| \`${name}\` | ${says.replaceAll('|', '\\|')} |\n`;
}

function optionTables(names: readonly Name[]): string {
  const tables = names
    .filter(({ options }) => options.length > 0)
    .map(({ name, options }) => {
      const rows = options.map(({ name, isOptional, says }) => row({ name: `${name}${isOptional ? '?' : ''}`, says }));
      return `\n| in \`${name}\` | |\n|---|---|\n${rows.join('')}`;
    });
  return tables.join('');
}

/** Every name that every subpath exports, and every option, as Markdown: tables for each subpath. */
export function renderNames(): string {
  const entries = readEntries().toSorted((a, b) => (a.specifier < b.specifier ? -1 : 1));
  const parts = entries.map(({ specifier, name }) => {
    const names = namesOf(name);
    const values = names.filter(({ isValue }) => isValue);
    const types = names.filter(({ isValue }) => !isValue);
    const heading = `## ${specifier}\n\n${counted(names)}\n`;
    return heading + table('value', values) + table('type', types) + optionTables(types);
  });
  return parts.join('\n');
}
