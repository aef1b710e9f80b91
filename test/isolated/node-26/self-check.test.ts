import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const CHECK = new URL('../../../src/isolated/self-check.ts', import.meta.url).href;

/** What a Node with these flags finds open. */
async function openIn(node: 'node' | 'node-26', flags: readonly string[]): Promise<readonly string[]> {
  const program = `import { findOpen } from ${JSON.stringify(CHECK)}; console.log(JSON.stringify(await findOpen()));`;
  const args = [...flags, '--input-type=module', '-e', program];
  const path = node === 'node' ? `${root}node_modules/node/bin/node` : process.execPath;
  const { stdout } = await promisify(execFile)(path, args);
  return JSON.parse(stdout);
}

const READ = `--allow-fs-read=${root}src/`;
const NO_SQLITE = '--no-experimental-sqlite';

describe('the check of a worker', () => {
  it('finds everything open where nothing is closed', async () => {
    expect(await openIn('node-26', [])).toEqual(['everything']);
  });

  it('finds nothing open where everything is closed', async () => {
    expect(await openIn('node-26', ['--permission', READ, NO_SQLITE])).toEqual([]);
  });

  it.each([
    { flags: ['--allow-net'], open: ['net', 'TCP', 'Unix sockets', 'UDP'] },
    { flags: ['--allow-fs-read=*'], open: ['fs.read'] },
    { flags: ['--allow-fs-write=*'], open: ['fs.write'] },
    { flags: ['--allow-child-process'], open: ['child'] },
    { flags: ['--allow-worker'], open: ['worker'] },
    { flags: ['--allow-inspector'], open: ['inspector'] },
    { flags: ['--allow-addons'], open: ['addon'] },
    { flags: ['--allow-wasi'], open: ['wasi'] },
    { flags: ['--allow-ffi'], open: ['ffi'] },
    { flags: ['--experimental-sqlite'], open: ['node:sqlite'] },
  ])('finds open what $flags opens: $open', async ({ flags, open }) => {
    expect(await openIn('node-26', ['--permission', READ, NO_SQLITE, ...flags])).toEqual(open);
  });

  it('does not believe a model that says of an open network that it is closed', async () => {
    expect(await openIn('node', ['--permission', READ, NO_SQLITE])).toEqual(['TCP', 'Unix sockets', 'UDP']);
  });
});
