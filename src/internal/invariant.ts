/*! Bundles tiny-invariant (MIT, Alexander Reardon); its licence is in LICENSE. */
import tinyInvariant from 'tiny-invariant';

/** States that cannot happen unless this library is broken; anything a user can cause is a typed error instead. */
export function invariant(condition: unknown, message: string): asserts condition {
  tinyInvariant(condition, message);
}
