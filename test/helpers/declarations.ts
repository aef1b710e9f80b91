import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const dist = fileURLToPath(new URL('../../dist', import.meta.url));

/** A file of declarations, as the build has written it: an entry, or what entries share. */
export interface Declarations {
  readonly file: string;
  readonly source: string;
  /** By the name that the file exports: its own name for it. */
  readonly exported: ReadonlyMap<string, string>;
  /** By the file's own name: where it comes from, and what it is exported as there. */
  readonly imported: ReadonlyMap<string, { readonly file: string; readonly name: string }>;
}

export interface Declared {
  readonly kind: 'function' | 'class' | 'const' | 'interface' | 'type';
  /** Its text, without stars; empty where it has none. */
  readonly comment: string;
  /** From behind its name to the end of its block, or of its line where it has none. */
  readonly text: string;
  /** Where it is declared: what the text speaks of is found there. */
  readonly within: Declarations;
}

const BLOCK_END = /^[^\n]*?(?:\{\n[\s\S]*?\n\}|$)/m;
/** Its members end with a semicolon too, and are indented. */
const TYPE_END = /^[\s\S]*?;\n(?![ }])/;

/** @param entry as its file in dist is called. */
export function declarationsOf(entry: string): Declarations {
  return readDeclarations(join(dist, `${entry}.d.ts`));
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

/** @throws {Error} no such name is declared. */
export function declared(declarations: Declarations, exportedName: string): Declared {
  const { file, exported } = declarations;
  const own = exported.get(exportedName) ?? exportedName;
  const found = findOwn(declarations, own);
  if (found === undefined) throw new Error(`${file} does not declare ${own}`);
  return found;
}

/** What a file calls so, wherever the build has put it; undefined for names of others, such as those of the platform. */
export function findOwn({ file, source, exported, imported }: Declarations, own: string): Declared | undefined {
  const elsewhere = imported.get(own);
  if (elsewhere !== undefined) return declared(readDeclarations(elsewhere.file), elsewhere.name);
  const comment = String.raw`(?:^/\*\*((?:(?!\*/)[\s\S])*)\*/\n)?`;
  const name = own.replace('$', String.raw`\$`);
  const start = String.raw`^(?:declare (?:abstract )?)?(function|class|const|interface|type) ${name}(?![\w$])`;
  const found = new RegExp(comment + start, 'm').exec(source);
  if (found === null) return undefined;
  const kind = found[2] as Declared['kind'];
  const rest = source.slice(found.index + found[0].length);
  const [text = ''] = (kind === 'type' ? TYPE_END : BLOCK_END).exec(rest) ?? [];
  return {
    kind,
    comment: textOf(found[1] ?? ''),
    text,
    within: { file, source, exported, imported },
  };
}

/** A comment without its stars. */
export function textOf(comment: string): string {
  return comment
    .split('\n')
    .map((line) => line.replace(/^\s*\* ?/, ''))
    .join('\n')
    .trim();
}
