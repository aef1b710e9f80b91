import { stat } from 'node:fs/promises';
import { LOG_KEY_VARIABLE, readLogKey } from '../audit/log-key.ts';
import { checkOpening, matchesCommitment, type Opening, openCommitment } from '../audit/opening.ts';
import { decodeBase64 } from '../internal/base64.ts';
import { type Command, type Input, UsageError } from './command.ts';
import { jsonLine, visible } from './escape.ts';
import { readJson, SECRET, withFile, writeResult } from './file.ts';
import { findEvent, placeOf } from './find-event.ts';
import { EXIT, type Terminal } from './terminal.ts';

export const open: Command = {
  name: 'open',
  summary: 'show which arguments an event stands for, or check what was shown',
  usage: 'FILE [--log ID] --seq N --args FILE [--key-file FILE] [--out FILE] | --check OPENING FILE [--json]',
  description:
    'With the log key, makes the opening of one event: whoever gets it can check the arguments of this event, and of no\n' +
    'other. With --check, checks one against the log, which needs no key. An opening holds the arguments in the clear.\n' +
    `Without --key-file the log key is that of the environment, ${LOG_KEY_VARIABLE}. Arguments in logs of hash mode h1\n` +
    'and sha256 need no opening, and are only compared.',
  options: {
    log: { type: 'string', argument: 'ID', help: 'which log; needed where the file holds several' },
    seq: { type: 'string', argument: 'N', help: 'sequence number of the event' },
    args: { type: 'string', argument: 'FILE', help: 'the arguments, as JSON' },
    'key-file': { type: 'string', argument: 'FILE', help: 'the log key, in base64' },
    out: { type: 'string', argument: 'FILE', help: 'where the opening goes; it must not exist' },
    check: { type: 'string', argument: 'OPENING', help: 'file with an opening, to check' },
    json: { type: 'boolean', help: 'one JSON document' },
  },
  example: 'open audit.jsonl --seq 17 --args args.json --key-file log.key > opening.json',

  run: (input: Input, terminal: Terminal): Promise<number> =>
    input.value('check') === undefined ? make(input, terminal) : check(input, terminal),
};

async function make(input: Input, terminal: Terminal): Promise<number> {
  const { file } = input;
  const place = placeOf(input);
  const args = await readJson(terminal, input.required('args'), 'JSON');
  const key = await readKey(input, terminal);
  const event = await findEvent(terminal, file, place);
  if (event === undefined) return EXIT.bad;
  const { log, seq } = event;
  const commitment = commitmentOf(event);
  if (!commitment.startsWith('s1:')) {
    if (commitment.startsWith('h1:') && key === undefined) throw noKey();
    return await tellMatch(
      input,
      terminal,
      { log, seq },
      plain(() => matchesCommitment(args, commitment, key)),
    );
  }
  if (key === undefined) throw noKey();
  const opening = plain(() => openCommitment({ key, log, seq, args }));
  if (!checkOpening(opening, commitment)) return await tellMatch(input, terminal, { log, seq }, false);
  await writeResult(terminal, input.value('out'), jsonLine(opening), SECRET);
  return EXIT.ok;
}

async function check(input: Input, terminal: Terminal): Promise<number> {
  input.without(['log', 'seq', 'args', 'key-file', 'out'], 'check');
  const { file } = input;
  const opening = await readOpening(terminal, input.required('check'));
  const event = await findEvent(terminal, file, opening);
  if (event === undefined) return EXIT.bad;
  const { log, seq } = event;
  const commitment = commitmentOf(event);
  const matches = plain(() => checkOpening(opening, commitment));
  return await tellMatch(input, terminal, { log, seq }, matches);
}

async function tellMatch(
  input: Input,
  terminal: Terminal,
  { log, seq }: { readonly log: string; readonly seq: number },
  ok: boolean,
): Promise<number> {
  const words = ok
    ? `${terminal.paint('green', 'ok')}: these are the arguments of event`
    : `${terminal.paint('red', 'WRONG')}: these are not the arguments of event, or not with this key or salt:`;
  const text = input.flag('json') ? jsonLine({ ok, log, seq }) : `${words} ${seq} of log ${visible(log)}\n`;
  await terminal.out.write(text);
  return ok ? EXIT.ok : EXIT.bad;
}

function commitmentOf({ kind, seq, args }: { kind: string; seq: number; args?: string }): string {
  if (args === undefined) throw new UsageError(`event ${seq} is a ${kind} and names no arguments`);
  return args;
}

function noKey(): UsageError {
  return new UsageError(`the log key is missing: give --key-file or set ${LOG_KEY_VARIABLE}`);
}

/** The arguments that the user gave may be none that a log can stand for. */
function plain<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw new UsageError('the arguments are no plain JSON', { cause: error });
  }
}

async function readKey(input: Input, terminal: Terminal): Promise<Uint8Array | undefined> {
  const file = input.value('key-file');
  const text = terminal.context.env[LOG_KEY_VARIABLE] ?? '';
  try {
    if (file !== undefined) {
      const path = terminal.path(file);
      // A key file that is missing would be made, and open nothing.
      return await withFile('read', file, async () => {
        await stat(path);
        return readLogKey('--key-file', { file: path });
      });
    }
    if (text === '') return undefined;
    const bytes = decodeBase64(text);
    if (bytes === undefined) throw new UsageError(`${LOG_KEY_VARIABLE} must hold a log key in base64`);
    return readLogKey(LOG_KEY_VARIABLE, bytes);
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(error.message, { cause: error });
    throw error;
  }
}

async function readOpening(terminal: Terminal, file: string): Promise<Opening> {
  const opening = (await readJson(terminal, file, 'opening')) as Partial<Opening> | null;
  const { log, seq, salt, args } = opening ?? {};
  const whole = typeof log === 'string' && Number.isSafeInteger(seq) && typeof salt === 'string' && args !== undefined;
  if (!whole) throw new UsageError(`${file} holds no opening`);
  return { log, seq: seq as number, salt, args };
}
