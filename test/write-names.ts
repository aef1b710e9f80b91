/** Writes the names that the package exports into src/README.md, between their two comments: `npm run names`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { renderNames } from './helpers/names.ts';

const page = fileURLToPath(new URL('../src/README.md', import.meta.url));
const before = readFileSync(page, 'utf8');
const names = /(?<=<!-- npm run names -->\n)[\s\S]*?(?=<!-- end of the names -->)/;
if (!names.test(before)) throw new Error('src/README.md has no place for the names');
writeFileSync(
  page,
  before.replace(names, () => `\n${renderNames()}\n`),
);
