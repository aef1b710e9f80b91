import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

/** Their manifest and lockfile are apart from the root's, so that an install of the root stays small. */
const folder = join(import.meta.dirname, 'peers');
const require = createRequire(join(folder, 'package.json'));

function read(path: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, path), 'utf8'));
  } catch {
    return undefined;
  }
}

const wanted = read('package.json')?.['devDependencies'] as Readonly<Record<string, string>>;

function isInstalled(): boolean {
  return Object.entries(wanted).every(([name, version]) => {
    return read(join('node_modules', name, 'package.json'))?.['version'] === version;
  });
}

/** Installs what the lockfile says, unless it is there. @returns whether they can be measured. */
export function installPeers(): boolean {
  if (isInstalled()) return true;
  process.stderr.write('installing what is measured beside leashkit: npm ci --prefix bench/peers\n');
  try {
    execFileSync('npm', ['ci', '--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund'], { stdio: 'ignore' });
  } catch {
    // Without a registry the rest is measured all the same.
  }
  return isInstalled();
}

/**
 * A package of `bench/peers/package.json`. Its types are the caller's to state, as far as it uses them: the root is
 * type-checked where the peers are not installed.
 */
export function peer<T>(name: string): T {
  return require(name) as T;
}

const others = read('../../package.json')?.['devDependencies'] as typeof wanted;

/** The package and its version, as a table names it. */
export function peerName(name: string): string {
  return `${name.replace(/^@[^/]+\//, '')} ${wanted[name] ?? others[name]}`;
}
