import { jsonLine } from './escape.ts';
import type { LogEvent } from './read-log.ts';

/** An event as one line of CloudEvents 1.0 in its JSON format. `data` is the line itself. */
export function cloudEventOf(event: LogEvent): string {
  const { log, seq, kind, ts } = event;
  return jsonLine({
    specversion: '1.0',
    id: `${log}/${seq}`,
    source: `urn:leash:${log}`,
    type: `dev.leash.${kind}.v1`,
    // A checkpoint has none.
    ...(ts === undefined ? {} : { time: ts }),
    datacontenttype: 'application/json',
    data: event,
  });
}
