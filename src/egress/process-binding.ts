import { type Restore, replace } from './replace.ts';
import type { CurrentScope } from './scope.ts';

/** `process.binding` hands out the sockets and processes below everything that is held elsewhere. */
export function holdProcessBinding(current: CurrentScope): Restore {
  return replace(process as unknown as { binding: unknown }, 'binding', (original) => {
    return function binding(this: unknown, ...args: unknown[]): unknown {
      const refusal = current()?.way('process-binding');
      if (refusal !== undefined) throw refusal;
      return Reflect.apply(original, this, args);
    };
  });
}
