import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { readEntries } from '../helpers/entries.ts';

const here = import.meta.dirname;
const root = join(here, '../..');

/** Where the manifest beside this file is installed. */
export const installed: string = join(here, 'node_modules');

/** What a program can import of the package. */
export interface Module {
  /** `'leashkit'`, `'leashkit/ajv'` … */
  readonly specifier: string;
  /** What it exports, sorted. */
  readonly names: readonly string[];
}

/** The package as `npm publish` would send it. */
export interface Packed {
  readonly modules: readonly Module[];
  /**
   * A new project, with the package, the programs beside this file, and nothing else.
   *
   * @param packages of the manifest beside this file that the project gets as well.
   * @returns its folder.
   */
  project(packages?: readonly string[]): string;
  /** Deletes it and its projects. */
  remove(): void;
}

/**
 * Packs what is built, and installs it into an empty project.
 *
 * @throws {Error} more than the package itself was installed.
 */
export async function pack(): Promise<Packed> {
  const folder = mkdtempSync(join(tmpdir(), 'leashkit-consumers-'));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  try {
    const model = join(folder, 'model');
    for (const programs of ['programs', 'types']) cpSync(join(here, programs), model, { recursive: true });
    writeFileSync(join(model, 'package.json'), '{ "private": true, "type": "module" }');
    const printed = await npm(root, 'pack', '--json', '--pack-destination', folder);
    const [{ filename }] = JSON.parse(printed) as [{ readonly filename: string }];
    // What has no dependencies needs no registry.
    await npm(model, 'install', '--offline', join(folder, filename));
    const present = readdirSync(join(model, 'node_modules')).filter((name) => !name.startsWith('.'));
    if (present.join() !== 'leashkit') throw new Error(`installing the package brings ${present.join(', ')}`);
    return { modules: await readModules(), project: (packages = []) => project(folder, model, packages), remove };
  } catch (error) {
    remove();
    throw error;
  }
}

function project(folder: string, model: string, packages: readonly string[]): string {
  const made = mkdtempSync(join(folder, 'project-'));
  cpSync(model, made, { recursive: true, verbatimSymlinks: true });
  for (const name of packages) {
    const link = join(made, 'node_modules', name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(installed, name), link, 'junction');
  }
  return made;
}

/** By the manifest; their names as the build has them here, where every peer is at hand. */
async function readModules(): Promise<readonly Module[]> {
  const modules: Module[] = [];
  for (const { specifier, name } of readEntries()) {
    const module = (await import(pathToFileURL(join(root, 'dist', `${name}.js`)).href)) as object;
    modules.push({ specifier, names: Object.keys(module).sort() });
  }
  return modules;
}

async function npm(cwd: string, ...args: readonly string[]): Promise<string> {
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-update-notifier', '--loglevel', 'error'];
  const { stdout } = await promisify(execFile)('npm', [...args, ...quiet], {
    cwd,
    shell: process.platform === 'win32',
  });
  return stdout;
}
