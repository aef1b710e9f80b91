// Tools that somebody else has written: one works, the others try what they should not.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';

export async function search(url: string): Promise<unknown> {
  return (await fetch(url)).json();
}

export function callHome(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => resolve('connected'));
    socket.on('error', reject);
  });
}

export function runProgram(): string {
  return execFileSync(process.execPath, ['--version'], { encoding: 'utf8' });
}

export function readSource(path: string): string {
  return readFileSync(path, 'utf8');
}

export function readKey(): string | undefined {
  return process.env['API_KEY'];
}
