import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The landing page, and those that stand beside what they speak of. */
export const PAGES = [
  'README.md',
  'src/README.md',
  'src/egress/README.md',
  'src/stores/README.md',
  'src/audit/README.md',
  'examples/README.md',
  'bench/README.md',
] as const;

export interface Fence {
  readonly page: string;
  readonly language: string;
  /** `file.ts` for what an example prints, `file.ts#region` for a part of it. */
  readonly source: string | undefined;
  readonly code: string;
}

export interface Link {
  readonly target: string;
  /** From the root of the repository. */
  readonly path: string;
  readonly anchor: string | undefined;
}

const FENCE = /^```(\S*)([^\n]*)\n([\s\S]*?)^```$/gm;

export function textOfPage(page: string): string {
  return readFileSync(join(root, page), 'utf8');
}

export function fencesIn(page: string): readonly Fence[] {
  return [...textOfPage(page).matchAll(FENCE)].map(([, language = '', info = '', code = '']) => ({
    page,
    language,
    source: /source="([^"]+)"/.exec(info)?.[1],
    code: code.trimEnd(),
  }));
}

/** As GitHub makes anchors of headings. */
export function anchorsIn(page: string): readonly string[] {
  const headings = textOfPage(page)
    .replaceAll(FENCE, '')
    .matchAll(/^#+ (.+)$/gm);
  return [...headings].map(([, title = '']) =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}_\- ]/gu, '')
      .replaceAll(' ', '-'),
  );
}

/** Those within the repository. */
export function linksIn(page: string): readonly Link[] {
  const targets = textOfPage(page).matchAll(/\]\((?!https?:)([^)\s]+)\)/g);
  return [...targets].map(([, target = '']) => {
    const [path = '', anchor] = target.split('#');
    return { target, path: path === '' ? page : join(dirname(page), path), anchor };
  });
}

/** The rows below a line that begins so, as their cells. */
export function tableIn(page: string, head: string): readonly (readonly string[])[] {
  const text = textOfPage(page);
  const start = text.indexOf(`\n${head}`);
  if (start === -1) throw new Error(`${page} has no table ${head}`);
  const [, , ...rows] = (text.slice(start + 1).split('\n\n')[0] as string).trimEnd().split('\n');
  return rows.map((row) => {
    const cells = row.split(/(?<!\\)\|/).map((cell) => cell.trim());
    return cells.slice(1, -1);
  });
}

/** What stands in backticks. */
export function wordsIn(text: string): readonly string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, word = '']) => word);
}
