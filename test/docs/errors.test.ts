import * as leashkit from 'leashkit';
import { describe, expect, it } from 'vitest';
import { anchorsIn, tableIn, wordsIn } from '../helpers/pages.ts';
import { foundInSources, unionWords } from '../helpers/source-words.ts';

/** One row a code, or several codes in one: what it is thrown as, its reasons, and what to do. */
const rows = tableIn('README.md', '| `code` |').map(([codes = '', thrown = '', reasons = '', todo = '']) => {
  return { codes: wordsIn(codes), thrown, reasons, todo };
});
const named = new Set(rows.flatMap(({ codes }) => codes));

/** Where the sources have a code and its reason side by side. */
const PAIRS = [
  /\bcode: '([A-Z_]+)',\s+reason: '([^']+)'/g,
  /\bcode: '(SESSION_[A-Z]+)', detail: ['`]([^'`$]+)/g,
  /\bsessionEnded\('(SESSION_[A-Z]+)', '([^']+)'\)/g,
];
/** Where a reason is one of the words that a parameter may be. */
const CHOSEN = /^export function (?:storeFailed|conflict)\((.*)\): Refusal \{[\s\S]*?code: '([A-Z_]+)'/gm;

/** The reasons that the library's own sources give to each code. */
const reasonsOf = new Map<string, Set<string>>();
function gives(code: string, words: readonly string[]): void {
  reasonsOf.set(code, new Set([...(reasonsOf.get(code) ?? []), ...words]));
}
for (const pattern of PAIRS) {
  for (const [code = '', reason = ''] of foundInSources(pattern)) gives(code, [reason.trim()]);
}
for (const [parameters = '', code = ''] of foundInSources(CHOSEN)) {
  const words = [...parameters.matchAll(/'([^']+)'/g)].map(([, word = '']) => word);
  gives(code, words);
}
for (const [option = ''] of foundInSources(/\boption(?::| =) '(\w+)'/g)) gives('CALL_INVALID', [option]);
gives('BUDGET_EXCEEDED', unionWords('BudgetReason'));
gives('PROOF_INVALID', unionWords('ProofReason'));
// Calls are counted when they begin: no call that runs is in the way of another.
for (const code of ['CALL_CAP_REACHED', 'RATE_LIMITED']) gives(code, ['exceeds_cap', 'exhausted']);
gives(
  'EGRESS_DENIED',
  unionWords('EgressReason').filter((reason) => !reason.startsWith('address:')),
);

describe('the table of errors', () => {
  it('has every code that is thrown, and no other', () => {
    const thrown = foundInSources(/new LeashError\('([A-Z_]+)'/g).flat();
    const codes = new Set([...unionWords('LeashErrorCode'), ...thrown, 'CALL_INVALID']);
    expect([...named].sort()).toEqual([...codes].sort());
  });

  it('knows reasons of as many codes as have some', () => {
    expect([...reasonsOf.keys()].sort()).toEqual(
      [
        'ARGS_INVALID BUDGET_EXCEEDED CALL_CAP_REACHED CALL_INVALID CONFLICT EGRESS_DENIED GUARD_FAILED PROOF_INVALID RATE_LIMITED',
        'SESSION_BREACHED SESSION_CLOSED SESSION_STOPPED STORE_UNAVAILABLE',
      ]
        .join(' ')
        .split(' '),
    );
  });

  it.each([...reasonsOf])('has every reason of %s, and no other', (code, reasons) => {
    const row = rows.find(({ codes }) => codes.includes(code));
    const shown = wordsIn(row?.reasons ?? '').filter((word) => !word.startsWith('address:'));
    expect([...new Set(shown)].filter((word) => word !== 'allowUpTo').sort()).toEqual([...reasons].sort());
  });

  it('names every class of errors, and the fields that it adds', () => {
    const classes = Object.entries(leashkit).flatMap(([name, value]) =>
      typeof value === 'function' && value.prototype instanceof Error ? [name] : [],
    );
    const shown = rows.map(({ thrown }) => thrown).join(' ');
    expect(classes.filter((name) => !shown.includes(`\`${name}\``))).toEqual([]);
  });

  it.each(rows.filter(({ codes }) => codes.length > 0))('says what to do about $codes', ({ todo }) => {
    expect(todo).not.toBe('');
  });
});

describe('the table of reasons of egress', () => {
  it('has every one, and no other', () => {
    const shown = tableIn('src/egress/README.md', '| reason | means |').flatMap(([reason = '', means = '']) => [
      ...wordsIn(reason).filter((word) => word !== 'address:<kind>'),
      ...wordsIn(means).filter((word) => word.startsWith('address:')),
    ]);
    // What a public address is refused for has other names.
    const reasons = unionWords('EgressReason').filter((reason) => reason !== 'address:public');
    expect(shown.sort()).toEqual([...reasons].sort());
  });
});

describe('the page of the log', () => {
  it('has every code of verifyLog', () => {
    const shown = tableIn('src/audit/README.md', '| code |').flatMap(([code = '']) => wordsIn(code));
    expect(shown).toEqual(unionWords('VerifyCode'));
    expect(anchorsIn('src/audit/README.md')).toContain('verifying');
  });

  it('has the keys of every kind of line', () => {
    const [layout = ''] = foundInSources(/^const LAYOUT: [^=]*= \{\n([\s\S]*?)\n\}/gm)[0] ?? [];
    const kinds = [...layout.matchAll(/(\w+): '([^']*)'/g)].map(([, kind = '', keys = '']) => [`\`${kind}\``, keys]);
    expect(kinds.length).toBeGreaterThan(10);
    expect(tableIn('src/audit/README.md', '| kind | keys |')).toEqual(kinds);
  });
});
