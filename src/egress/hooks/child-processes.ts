import { type Restore, replace, together } from './replace.ts';
import type { CurrentScope } from './scope.ts';

let admitted = false;

/** Whether a process that starts in this step has been asked about. */
export function isProcessAdmitted(): boolean {
  return admitted;
}

/** Another process is under no leash. `fork`, `exec`, `execFile`, `spawn` and `cluster` all come to `ChildProcess.spawn`. */
export function holdChildProcesses(current: CurrentScope): Restore {
  const childProcess = process.getBuiltinModule('node:child_process');
  const guarded =
    (original: (this: unknown, ...args: unknown[]) => unknown) =>
    (self: unknown, args: unknown[]): unknown => {
      const refusal = current()?.leave('child-process');
      if (refusal !== undefined) throw refusal;
      const before = admitted;
      admitted = true;
      try {
        return Reflect.apply(original, self, args);
      } finally {
        admitted = before;
      }
    };
  const hold = (owner: object, name: string): Restore =>
    replace(owner as Record<string, unknown>, name, (original) => {
      const call = guarded(original);
      return function (this: unknown, ...args: unknown[]): unknown {
        return call(this, args);
      };
    });
  const restores = [
    hold(childProcess.ChildProcess.prototype, 'spawn'),
    hold(childProcess, 'spawnSync'),
    hold(childProcess, 'execSync'),
    hold(childProcess, 'execFileSync'),
    hold(process, 'execve'),
  ];
  return together(restores);
}
