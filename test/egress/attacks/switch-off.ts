import { Canary } from '../../../src/egress/hooks/canary.ts';
import { HOOKS } from '../../../src/egress/hooks/hooks.ts';
import type { Layer } from './attack.ts';

/**
 * Takes layers out of the enforcement of this process, to show what each of them is for. They still hold the canaries, for
 * without those no leash would start.
 */
export function switchOff(layers: readonly Layer[]): void {
  const hooks = HOOKS as Record<string, (typeof HOOKS)[string]>;
  for (const layer of layers) {
    const hold = hooks[layer];
    if (hold === undefined) throw new Error(`there is no layer '${layer}'`);
    hooks[layer] = (current) =>
      hold(() => {
        const scope = current();
        return scope instanceof Canary ? scope : undefined;
      });
  }
}
