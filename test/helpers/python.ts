import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The second reader of logs, which shares nothing with the library. */
export const VERIFIER: string = fileURLToPath(new URL('../../examples/verify_log.py', import.meta.url));

/** A Python that can run it. */
export const python: string | undefined = ['python3', '/usr/bin/python3', 'python'].find(
  (name) => spawnSync(name, ['-c', 'import cryptography']).status === 0,
);
