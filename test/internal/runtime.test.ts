import { describe, expect, it } from 'vitest';
import { runtimeName } from '../../src/internal/runtime.ts';

describe('runtimeName', () => {
  it.each([
    { versions: { node: '24.21.0' }, name: 'Node 24.21.0' },
    { versions: { node: '26.3.0', bun: '1.4.5' }, name: 'Bun 1.4.5' },
    { versions: { node: '26.3.0', deno: '2.9.5' }, name: 'Deno 2.9.5' },
  ])('is $name', ({ versions, name }) => {
    expect(runtimeName(versions)).toBe(name);
  });

  it('is that which runs', () => {
    expect(runtimeName()).toBe(`Node ${process.versions.node}`);
  });
});
