import { type Command, type Input, UsageError } from './command.ts';
import { visible, visibleJson } from './escape.ts';
import { cloudEventOf } from './export-cloudevents.ts';
import { CSV_HEAD, csvRow } from './export-csv.ts';
import { OcsfExport } from './export-ocsf.ts';
import { type LogEvent, readLog, tellBad } from './read-log.ts';
import { EXIT, type Terminal } from './terminal.ts';

const FORMATS = ['jsonl', 'csv', 'ocsf', 'cloudevents'] as const;
type Format = (typeof FORMATS)[number];

export const exportLog: Command = {
  name: 'export',
  summary: 'print the events in another format',
  usage: 'FILE... [--format jsonl|csv|ocsf|cloudevents] [--kind KIND]... [--log ID]... [--json]',
  description:
    'Prints events of logs, verified as far as that goes without a key: where a log does not verify its export ends, with\n' +
    'exit code 1.\n\n' +
    '  jsonl        the lines byte for byte; on a terminal, control characters are escaped\n' +
    '  csv          RFC 4180. Control characters are spelled out, and a cell that begins with = + - or @, which a\n' +
    '               spreadsheet would take for a formula, gets an apostrophe in front: negative amounts too\n' +
    '  ocsf         OCSF 1.8.0 JSON lines: API Activity (6003) with the profile security_control for calls, Application\n' +
    '               Lifecycle (6002) for sessions. Checkpoints have no time, and are left out\n' +
    '  cloudevents  CloudEvents 1.0 JSON lines',
  options: {
    format: { type: 'string', argument: 'FORMAT', help: `${FORMATS.join(', ')}; default: jsonl` },
    kind: { type: 'string', multiple: true, argument: 'KIND', help: 'only events of this kind' },
    log: { type: 'string', multiple: true, argument: 'ID', help: 'only events of this log' },
    json: { type: 'boolean', help: 'the same as --format jsonl' },
  },
  example: 'export audit.jsonl --format csv --kind tool_denied --kind budget_denied > denials.csv',

  async run(input: Input, terminal: Terminal): Promise<number> {
    const files = input.someFiles;
    const format = input.oneOf('format', FORMATS) ?? 'jsonl';
    if (input.flag('json') && format === 'csv') throw new UsageError('--json and --format csv are two formats');
    const [kinds, logs] = [new Set(input.list('kind')), new Set(input.list('log'))];
    let pending = format === 'csv' ? CSV_HEAD : '';
    const afterPart = async (): Promise<boolean> => {
      const text = pending;
      pending = '';
      await terminal.out.write(text);
      return !terminal.out.broken;
    };
    let code: number = EXIT.ok;
    for (const file of files) {
      const render = rendererOf(format, terminal);
      const onEvent = (event: LogEvent, text: string): void => {
        const rendered = render(event, text);
        const wanted = (kinds.size === 0 || kinds.has(event.kind)) && (logs.size === 0 || logs.has(event.log));
        if (wanted && rendered !== undefined) pending += rendered;
      };
      const { bad, torn } = await readLog(terminal, file, { onEvent, afterPart });
      if (!(await afterPart())) return code;
      if (torn > 0) await terminal.err.write(`leash: ${visible(file)}: the last line has no end, and is left out\n`);
      if (bad === undefined) continue;
      await tellBad(terminal, file, bad);
      code = EXIT.bad;
    }
    return code;
  },
};

/** One for each file. It sees every event, also those that are not wanted. */
function rendererOf(format: Format, terminal: Terminal): (event: LogEvent, text: string) => string | undefined {
  switch (format) {
    case 'csv':
      return csvRow;
    case 'ocsf': {
      const ocsf = new OcsfExport();
      return (event) => ocsf.render(event);
    }
    case 'cloudevents':
      return cloudEventOf;
    case 'jsonl':
      return terminal.context.isTerminal.stdout
        ? (_event, text) => `${visibleJson(text)}\n`
        : (_event, text) => `${text}\n`;
  }
}
