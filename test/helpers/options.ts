import { type Declarations, declared, findOwn, textOf } from './declarations.ts';

/** A key of an object of options, as the declarations in dist have it. */
export interface Option {
  readonly name: string;
  readonly isOptional: boolean;
  /** All of its comment, in one line. */
  readonly says: string;
}

/**
 * The options of an exported type whose name ends so, with those of the types that it is made of. None of a selection of
 * another one's, whose defaults it need not have.
 */
export function optionsIn(declarations: Declarations, exportedName: string): readonly Option[] {
  const { kind, text, comment, within } = declared(declarations, exportedName);
  if (kind === 'type') {
    if (text.startsWith(' = Omit<')) return [];
    // What an option of one of several shapes means stands at the whole.
    return unique([...partsOf(within, text), ...membersOf(text, comment)]);
  }
  const [, head = text, body = ''] = /^(.*?)\{\n([\s\S]*)\n\}/.exec(text) ?? [];
  const inherited = / extends (.+) /.exec(withoutParameters(head))?.[1] ?? '';
  return unique([...partsOf(within, inherited), ...membersOf(body, undefined)]);
}

function unique(options: readonly Option[]): readonly Option[] {
  return [...new Map(options.map((option) => [option.name, option])).values()];
}

/** `Name<Parameters> extends ...` without the parameters, which may extend something too. */
function withoutParameters(head: string): string {
  let depth = 0;
  for (let i = 0; i < head.length; i++) {
    if (head[i] === '<') depth++;
    if (head[i] === '>' && head[i - 1] !== '=' && --depth === 0) return head.slice(i + 1);
    if (depth === 0 && head[i] === ' ') break;
  }
  return head;
}

function* partsOf(within: Declarations, text: string): Iterable<Option> {
  const [, picked] = /\bPick<[\w.]+, ([^>]+)>/.exec(text) ?? [];
  const [, omitted = ''] = /\bOmit<.*, ("[^>]+)>/.exec(text) ?? [];
  const left = new Set(wordsIn(omitted));
  // Of another package: its names, whose meaning is there.
  if (picked !== undefined) {
    const says = 'In its own words. Default: its own.';
    yield { name: wordsIn(picked).join('` `'), isOptional: false, says };
    return;
  }
  for (const [name] of text.matchAll(/\b[A-Z]\w*\b/g)) {
    const part = findOwn(within, name);
    if (part?.kind !== 'interface') continue;
    for (const option of optionsIn(part.within, name)) if (!left.has(option.name)) yield option;
  }
}

function wordsIn(union: string): readonly string[] {
  return [...union.matchAll(/"([^"]+)"/g)].map(([, word = '']) => word);
}

function membersOf(body: string, shared: string | undefined): readonly Option[] {
  const member = /(?:^ {2}\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\n)?^ {2}readonly (\w+)(\?)?: (.*)$/gm;
  return [...body.matchAll(member)]
    .filter(([, , , , type]) => type !== 'never;')
    .map(([, comment, name = '', optional]) => {
      const says = comment === undefined ? shared : textOf(comment);
      if (says === undefined || says === '') throw new Error(`the option \`${name}\` has no comment`);
      return { name, isOptional: optional !== undefined, says: says.replaceAll(/\s+/g, ' ') };
    });
}
