import { type Restore, replace, throwing } from './replace.ts';
import type { CurrentScope } from './scope.ts';

/** `process.binding` hands out the sockets and processes below everything that is held elsewhere. */
export function holdProcessBinding(current: CurrentScope): Restore {
  return replace(process as unknown as { binding: unknown }, 'binding', throwing(current, 'process-binding'));
}
