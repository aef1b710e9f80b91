/** leashkit/isolated: code that nobody vouches for, in a process that reaches nothing but what a leash lets it fetch. */
export { type Isolated, type IsolatedExports, isolated } from './isolated.ts';
export type { IsolatedOptions } from './options.ts';
