import { expect, it } from 'vitest';
import { jsonArguments } from '../../../src/adapters/framework/json-arguments.ts';

it.each([
  { given: '{"a":[1]}', read: { a: [1] } },
  { given: '5', read: 5 },
  { given: 'null', read: null },
  { given: '', read: '' },
  { given: '{"a":', read: '{"a":' },
  { given: { a: 1 }, read: { a: 1 } },
  { given: undefined, read: undefined },
])('$given are the arguments $read', ({ given, read }) => {
  expect(jsonArguments(given)).toEqual(read);
});
