/** Writes the names that the package exports into README.md, between their two comments: `npm run names`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { renderNames } from './helpers/names.ts';

const readme = fileURLToPath(new URL('../README.md', import.meta.url));
const before = readFileSync(readme, 'utf8');
const names = /(?<=<!-- npm run names -->\n)[\s\S]*?(?=<!-- end of the names -->)/;
if (!names.test(before)) throw new Error('README.md has no place for the names');
writeFileSync(
  readme,
  before.replace(names, () => `\n${renderNames()}\n`),
);
