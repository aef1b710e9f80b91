import { type Checkpoint, checkpointNote } from '../audit/checkpoint.ts';
import { formatNoteKey, readPublicKey } from '../audit/keys.ts';
import { type Command, type Input, UsageError } from './command.ts';
import { jsonLine } from './escape.ts';
import { chooseLog, readLog, tellBad } from './read-log.ts';
import { EXIT, type Terminal } from './terminal.ts';

interface Signed extends Checkpoint {
  readonly key: string;
  readonly sig: string;
}

export const checkpoint: Command = {
  name: 'checkpoint',
  summary: 'print the last checkpoint of a log as a signed note',
  usage: 'FILE [--log ID] [--json]',
  description:
    'Prints the last checkpoint as a C2SP signed note. Kept elsewhere, it shows later that the log was not cut off or\n' +
    'written anew: leash verify FILE --head NOTE.',
  options: {
    log: { type: 'string', argument: 'ID', help: 'which log; needed where the file holds several' },
    json: { type: 'boolean', help: 'one JSON document, with the key that checks the note' },
  },
  example: 'checkpoint audit.jsonl > audit.note',

  async run(input: Input, terminal: Terminal): Promise<number> {
    const { file } = input;
    /** By log. */
    const last = new Map<string, Signed>();
    const read = await readLog(terminal, file, {
      onEvent: ({ log, kind, size = 0, root = '', sig = '' }, _text, { origin, publicKey: key = '' }) => {
        if (kind === 'checkpoint') last.set(log, { origin, size, root, key, sig });
      },
    });
    const log = chooseLog(file, read.logs, input.value('log'));
    if (log.bad !== undefined) {
      await tellBad(terminal, file, log.bad);
      return EXIT.bad;
    }
    const signed = last.get(log.id);
    const key = readPublicKey(signed?.key ?? '');
    if (signed === undefined || key === undefined) throw new UsageError(`log ${log.id} has no checkpoint`);
    const { origin, size, root, sig } = signed;
    const note = checkpointNote({ origin, size, root }, key, sig);
    const noteKey = formatNoteKey({ name: origin, key });
    await terminal.out.write(input.flag('json') ? jsonLine({ log: log.id, origin, size, root, noteKey, note }) : note);
    return EXIT.ok;
  },
};
