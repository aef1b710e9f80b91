import { parseCheckpoint, textOfNote } from './checkpoint.ts';
import type { LogHead } from './verify.ts';

/**
 * What a checkpoint that was kept as a C2SP signed note, as `onCheckpoint` gets it, says of its log: for the `heads` of
 * `verifyLog`. Its signatures are not looked at: a head comes from where the user kept it, and a wrong one can only fail.
 *
 * @throws {LeashError} `NOTE_INVALID`.
 */
export function headOfNote(note: string): LogHead {
  const { origin, size, root } = parseCheckpoint(textOfNote(note));
  return { log: origin.slice(origin.lastIndexOf('/') + 1), size, root };
}
