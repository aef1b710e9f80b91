import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { egress } from '../../src/guards/egress.ts';
import { type IsolatedOptions, isolated } from '../../src/isolated/index.ts';
import { createLeash } from '../../src/leash.ts';
import { rejection } from '../helpers/refused.ts';

const MODULE = new URL('./node-26/modules/tools.ts', import.meta.url);

describe('isolated', () => {
  const leash = createLeash({ guards: [egress({ allow: [] })] });

  it.each<{ readonly given: readonly unknown[]; readonly type: ErrorConstructor; readonly message: RegExp }>([
    {
      given: [undefined, { leash }],
      type: TypeError,
      message: /^the module of `isolated` must be a path or a file: URL, got undefined$/,
    },
    {
      given: ['tools.js', { leash }],
      type: RangeError,
      message: /must be a file: URL or an absolute path, got 'tools\.js'$/,
    },
    {
      given: [new URL('https://example.test/a.js'), { leash }],
      type: RangeError,
      message: /must be a file: URL, got one of https:$/,
    },
    { given: [new URL('data:text/javascript,0'), { leash }], type: RangeError, message: /got one of data:$/ },
    { given: ['/none/such.js', { leash }], type: RangeError, message: /^`isolated` cannot find '\/none\/such\.js'$/ },
    { given: ['/none/*', { leash }], type: RangeError, message: /must not contain `\*`/ },
    { given: [MODULE, undefined], type: TypeError, message: /^isolated expects an options object, got undefined$/ },
    {
      given: [MODULE, { leash, unknown: 1 }],
      type: TypeError,
      message: /unknown option `unknown`; known options are leash, read/,
    },
    {
      given: [MODULE, { leash, read: '/tmp' }],
      type: TypeError,
      message: /^`isolated\.read` must be an array of paths, got '\/tmp'$/,
    },
    {
      given: [MODULE, { leash, read: [1] }],
      type: TypeError,
      message: /^`isolated\.read\[0\]` must be a path or a file: URL, got 1$/,
    },
    {
      given: [MODULE, { leash, read: [''] }],
      type: RangeError,
      message: /^`isolated\.read\[0\]` must be a path, got ''$/,
    },
    { given: [MODULE, { leash, read: ['/'.concat('*')] }], type: RangeError, message: /must not contain `\*`/ },
    {
      given: [MODULE, { leash, read: ['none-such'] }],
      type: RangeError,
      message: /^`isolated` cannot find '.*none-such'$/,
    },
    {
      given: [MODULE, { leash, read: [new URL('https://example.test')] }],
      type: RangeError,
      message: /^`isolated\.read\[0\]` must be a file: URL/,
    },
    {
      given: [MODULE, { leash, env: [] }],
      type: TypeError,
      message: /^`isolated\.env` must be an object of strings, got an array$/,
    },
    { given: [MODULE, { leash, env: { A: 1 } }], type: TypeError, message: /^`isolated\.env\.A` must be a string$/ },
    {
      given: [MODULE, { leash, env: { NODE_OPTIONS: '--allow-net' } }],
      type: RangeError,
      message: /must not set NODE_OPTIONS: it is Node's own$/,
    },
    { given: [MODULE, { leash, env: { node_options: '' } }], type: RangeError, message: /must not set node_options/ },
    {
      given: [MODULE, { leash, env: { NODE_V8_COVERAGE: '/tmp' } }],
      type: RangeError,
      message: /must not set NODE_V8_COVERAGE/,
    },
    {
      given: [MODULE, { leash, maxHeapMb: 15 }],
      type: RangeError,
      message: /^`isolated\.maxHeapMb` must be an integer >= 16, got 15$/,
    },
    {
      given: [MODULE, { leash, maxHeapMb: '64' }],
      type: TypeError,
      message: /^`isolated\.maxHeapMb` must be an integer >= 16, got '64'$/,
    },
    {
      given: [MODULE, { leash, timeoutMs: 0 }],
      type: RangeError,
      message: /^`isolated\.timeoutMs` must be an integer >= 1, got 0$/,
    },
    {
      given: [MODULE, { leash, timeoutMs: 2 ** 31 }],
      type: RangeError,
      message: /^`isolated\.timeoutMs` must be at most 2147483647 ms, got \d+$/,
    },
    {
      given: [MODULE, {}],
      type: TypeError,
      message: /^isolated expects a leash that createLeash .+ has made, got undefined$/,
    },
    { given: [MODULE, { leash: { fetch } }], type: TypeError, message: /^isolated expects a leash .+, got an object$/ },
    {
      given: [MODULE, { leash: createLeash({ guards: [] }) }],
      type: TypeError,
      message: /^isolated needs an egress guard in the leash/,
    },
  ])('refuses $message', async ({ given, type, message }) => {
    const error = await rejection(isolated(...(given as [URL, IsolatedOptions])));
    expect(error.message).toMatch(message);
    expect(error).toBeInstanceOf(type);
  });

  it('refuses a leash that has ended, with its error', async () => {
    const ended = createLeash({ guards: [egress({ allow: [] })] });
    await ended.close();
    expect(await rejection(isolated(MODULE, { leash: ended }))).toMatchObject({ code: 'SESSION_CLOSED' });
  });

  it('refuses to start on Node 24, and says what to do', async () => {
    const from = (path: string): string => JSON.stringify(new URL(`../../src/${path}`, import.meta.url).href);
    const program = `
      import { isolated } from ${from('isolated/index.ts')};
      import { createLeash } from ${from('leash.ts')};
      import { egress } from ${from('guards/egress.ts')};
      const leash = createLeash({ guards: [egress({ allow: [] })] });
      const error = await isolated(new URL(${JSON.stringify(MODULE.href)}), { leash }).catch((error) => error);
      console.log(JSON.stringify(error));`;
    const node = fileURLToPath(new URL('../../node_modules/node/bin/node', import.meta.url));
    const { stdout } = await promisify(execFile)(node, ['--input-type=module', '-e', program]);
    expect(JSON.parse(stdout)).toEqual({
      name: 'EgressUnenforcedError',
      code: 'EGRESS_UNENFORCED',
      message: expect.stringMatching(
        /^isolated\(\) needs Node >= 26, .+; this is Node 24\.\d+\.\d+\. Run the program with Node 26 or later, or run .+\.$/,
      ),
    });
  });
});
