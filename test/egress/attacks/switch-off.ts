import type { Layer } from './attack.ts';

/** Takes layers out of the enforcement of this process, to show that each of them is needed. */
export function switchOff(layers: readonly Layer[]): void {
  if (layers.length > 0) throw new Error(`there is no switch yet for ${layers.join(', ')}`);
}
