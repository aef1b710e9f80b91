import type { ToolOptions } from '../../session/tool.ts';
import { readTerms, TERMS, type Terms } from './tool-body.ts';

/** What `readTerms` gives, and the tools that the terms name. */
export interface OpenTerms {
  readonly named: readonly string[];
  readonly termsOf: (tool: string) => Pick<ToolOptions, 'cost' | 'schema' | 'url'>;
}

/** The terms of tools that are known only when they are called: there is no list of them to compare the names with. */
export function readOpenTerms(where: string, terms: Terms): OpenTerms {
  const named = [...new Set(TERMS.flatMap((term) => Object.keys(terms[term] ?? {})))];
  return { named, termsOf: readTerms(where, named, terms) };
}
