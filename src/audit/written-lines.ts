/** What a sink was handed: consecutive lines of one log. */
export interface WrittenLines {
  /** Id of the log, empty where the lines name none. */
  readonly log: string;
  /** The lines without LF. */
  readonly lines: readonly string[];
}

const HEAD = /^\{"v":1,"log":"([0-9a-f-]{36})",/;

/**
 * Takes apart what `AuditSink.write` was given, for sinks that keep lines by log and number.
 *
 * @throws {RangeError} not complete lines, or not as many as are numbered: kept under wrong numbers they would be no copy.
 */
export function readWritten(text: string, first: number, last: number): WrittenLines {
  const lines = text.split('\n');
  if (lines.pop() !== '' || lines.length !== last - first + 1) {
    throw new RangeError(`a sink was handed lines ${first} to ${last}, and other text than so many lines`);
  }
  return { log: HEAD.exec(text)?.[1] ?? '', lines };
}
