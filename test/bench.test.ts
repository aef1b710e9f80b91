import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, expect, it } from 'vitest';
import { pages } from '../bench/save-pages.ts';

describe('what is made of the reports of the bench', () => {
  for (const [path, text] of pages()) {
    it(`${basename(path)} is what \`node bench/save-pages.ts\` writes`, () => {
      expect(readFileSync(path, 'utf8')).toBe(text);
    });
  }
});
