import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Rolldown } from 'tsdown';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** An entry of dist with everything that it reaches in one chunk, as a bundler sees it; packages stay outside. */
export async function bundle(name: string, minify: boolean): Promise<Rolldown.OutputChunk> {
  const [built] = await build({
    config: false,
    cwd: root,
    entry: [join(root, 'dist', `${name}.js`)],
    write: false,
    clean: false,
    dts: false,
    tsconfig: false,
    logLevel: 'silent',
    minify,
    // What is imported for nothing is imported all the same.
    treeshake: false,
    deps: { skipNodeModulesBundle: true },
    outputOptions: { codeSplitting: false },
  });
  return built?.chunks[0] as Rolldown.OutputChunk;
}
