import { type EventProofReport, proveEvent, verifyEventProof } from '../audit/inclusion.ts';
import { readFile } from '../audit/line-reader.ts';
import { LeashError } from '../errors.ts';
import { type Command, type Input, UsageError } from './command.ts';
import { jsonLine, visible } from './escape.ts';
import { eventText } from './event-text.ts';
import { readJson, writeResult } from './file.ts';
import { placeOf } from './find-event.ts';
import type { Progress } from './progress.ts';
import { chooseLog, type LogEvent, readLog, withLog } from './read-log.ts';
import { EXIT, type Terminal } from './terminal.ts';
import { FIRST_USE, readTrustOptions, TRUST_OPTIONS, UNTRUSTED } from './trust.ts';
import { WRONG } from './verify-report.ts';

export const proof: Command = {
  name: 'proof',
  summary: 'prove that one event is in a log, or check such a proof',
  usage: 'FILE [--log ID] --seq N [--out FILE] | --check PROOF [--trust KEY]... [--tofu] [--json]',
  description:
    'Makes the proof that an event is in the log, under the last checkpoint that covers it. Whoever gets it can check it\n' +
    'offline, sees this one event, and needs no other line of the log.',
  options: {
    log: { type: 'string', argument: 'ID', help: 'which log; needed where the file holds several' },
    seq: { type: 'string', argument: 'N', help: 'sequence number of the event' },
    out: { type: 'string', argument: 'FILE', help: 'where the proof goes; it must not exist' },
    check: { type: 'string', argument: 'PROOF', help: 'file with a proof, to check' },
    ...TRUST_OPTIONS,
    json: { type: 'boolean', help: 'one JSON document; a proof is one anyhow' },
  },
  example: 'proof audit.jsonl --seq 17 --out event-17.proof.json',

  run: (input: Input, terminal: Terminal): Promise<number> =>
    input.value('check') === undefined ? make(input, terminal) : check(input, terminal),
};

async function make(input: Input, terminal: Terminal): Promise<number> {
  if (input.list('trust').length > 0 || input.flag('tofu')) {
    throw new UsageError('--trust and --tofu are for --check: whoever checks a proof says whom to trust');
  }
  const { file } = input;
  const { log, seq } = placeOf(input);
  const id = log ?? (await onlyLog(terminal, file));
  try {
    const proven = await withLog(terminal, file, (path, progress) =>
      proveEvent(watched(path, progress), { log: id, seq }),
    );
    await writeResult(terminal, input.value('out'), jsonLine(proven));
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof LeashError)) throw error;
    await terminal.err.write(`leash proof: ${visible(file)}: ${visible(error.message)} (${visible(error.code)})\n`);
    return error.code in WRONG ? EXIT.bad : EXIT.usage;
  }
}

async function* watched(path: string, progress: Progress): AsyncGenerator<Uint8Array> {
  let read = 0;
  for await (const part of readFile(path)) {
    yield part;
    read += part.length;
    progress.update(read);
  }
}

async function onlyLog(terminal: Terminal, file: string): Promise<string> {
  const { logs } = await readLog(terminal, file, {});
  return chooseLog(file, logs, undefined).id;
}

async function check(input: Input, terminal: Terminal): Promise<number> {
  input.without(['log', 'seq', 'out'], 'check');
  if (input.files.length > 0) throw new UsageError('--check needs no log: the proof says it all');
  const trusted = readTrustOptions(input);
  const report = verifyEventProof(await readJson(terminal, input.required('check'), 'proof'), trusted);
  const text = input.flag('json') ? jsonLine(report) : textOf(terminal, report, trusted.tofu === true);
  await terminal.out.write(text);
  return report.ok ? EXIT.ok : EXIT.bad;
}

function textOf(terminal: Terminal, report: EventProofReport, tofu: boolean): string {
  const { ok, code = 'E_FORMAT', event, origin = '', size } = report;
  if (!ok || event === undefined) return `${terminal.paint('red', `WRONG (${code}: ${WRONG[code]})`)}\n`;
  const open = report.trusted ? (tofu ? FIRST_USE : undefined) : UNTRUSTED;
  const doubt = open === undefined ? '' : `  ${terminal.paint('yellow', 'Not proven:')}\n  - ${open}\n`;
  const verdict = terminal.paint('green', 'ok');
  return `${verdict}: ${visible(origin)} held this event when it had ${size} lines\n  ${eventText(terminal, event as LogEvent)}\n${doubt}`;
}
