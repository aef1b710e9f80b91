import { type Command, columns, type Input } from './command.ts';
import { jsonLine, visible } from './escape.ts';
import { moneyText } from './event-text.ts';
import { writeNewFile } from './file.ts';
import { readLog, tellBad } from './read-log.ts';
import { chartSvg, chartText } from './stats-chart.ts';
import { Totals } from './stats-totals.ts';
import { EXIT, type Terminal } from './terminal.ts';

const SHOWN = 10;

export const stats: Command = {
  name: 'stats',
  summary: 'count calls and denials, and draw spend over time',
  usage: 'FILE... [--svg FILE] [--json]',
  description:
    'Adds up what the logs say, verified as far as that goes without a key: what stands behind a line that is wrong does\n' +
    'not count, and the exit code is 1. Spend is what was booked; a call that never ended has booked nothing.',
  options: {
    svg: { type: 'string', argument: 'FILE', help: 'draw spend over time into this file too; it must not exist' },
    json: { type: 'boolean', help: 'one JSON document' },
  },
  example: 'stats audit.jsonl --svg spend.svg',

  async run(input: Input, terminal: Terminal): Promise<number> {
    const files = input.someFiles;
    const svg = input.value('svg');
    const totals = new Totals();
    let ok = true;
    for (const file of files) {
      const { bad } = await readLog(terminal, file, { onEvent: (event) => totals.add(event) });
      if (bad === undefined) continue;
      ok = false;
      await tellBad(terminal, file, bad);
    }
    if (svg !== undefined) await writeNewFile(terminal, svg, chartSvg(totals));
    await terminal.out.write(input.flag('json') ? jsonLine(documentOf(files, totals, ok)) : textOf(terminal, totals));
    return ok ? EXIT.ok : EXIT.bad;
  },
};

function documentOf(files: readonly string[], totals: Totals, ok: boolean): object {
  const { sessions, events, from, to, started, unfinished, errors, denied, observed, overruns, dropped, spend } =
    totals;
  return {
    ok,
    files,
    from,
    to,
    sessions,
    events,
    dropped,
    calls: { started, ok: totals.ok, errors, unfinished, overruns },
    denials: { denied, observed, by: totals.denials },
    egress: { ok: totals.egressOk, denied: totals.egressDenied },
    tools: totals.tools,
    spend: {
      usd: totals.usd.toString(),
      sat: totals.sat.toString(),
      partMs: spend.width,
      parts: spend.list().map(({ from: start, usd, sat }) => ({
        from: new Date(start).toISOString(),
        usd: usd.toString(),
        sat: sat.toString(),
      })),
    },
  };
}

function textOf(terminal: Terminal, totals: Totals): string {
  const { sessions, events, from, to, started, unfinished, errors, denied, observed, overruns, dropped } = totals;
  const { usd, sat, egressOk, egressDenied } = totals;
  const spent = moneyText({
    ...(usd.isZero ? {} : { usd: usd.toString() }),
    ...(sat.isZero ? {} : { sat: sat.toString() }),
  });
  const rows: [string, string | false][] = [
    ['sessions', `${sessions}`],
    ['events', `${events}`],
    ['from', from ?? false],
    ['to', to ?? false],
    ['calls', `${started}: ${totals.ok} ok, ${errors} failed, ${unfinished} without an end`],
    ['overruns', overruns > 0 && `${overruns} cost more than was held`],
    ['denied', `${denied}${observed > 0 ? `, and ${observed} only observed` : ''}`],
    ['egress', egressOk + egressDenied > 0 && `${egressOk} let through, ${egressDenied} denied`],
    ['lost', dropped > 0 && `${dropped} events were dropped`],
    ['spent', spent === '' ? 'nothing' : spent],
  ];
  const heading = (title: string): string => `\n${terminal.paint('bold', title)}\n`;
  let text = columns(rows.filter((row): row is [string, string] => row[1] !== false));
  const { denials, tools } = totals;
  if (denials.length > 0) {
    text += heading('Denials by guard and code');
    text += table(
      denials.map((denial) => [
        visible(denial.guard),
        visible(denial.code),
        `${denial.denied}${denial.observed > 0 ? ` (and ${denial.observed} observed)` : ''}`,
      ]),
    );
  }
  if (tools.length > 0) {
    text += heading('Tools');
    text += table(
      tools.map(({ tool, calls, errors: failed, denied: refused }) => [
        visible(tool),
        `${calls} calls`,
        `${failed} failed, ${refused} denied`,
      ]),
    );
  }
  const chart = chartText(totals);
  return chart === '' ? text : `${text}\n${chart}`;
}

/** The first rows, and how many there are more. */
function table(rows: readonly (readonly string[])[]): string {
  const shown = rows.slice(0, SHOWN);
  const widths = (shown[0] ?? []).map((_, i) => Math.max(...shown.map((row) => row[i]?.length ?? 0)));
  const lines = shown.map((row) => `  ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')}`.trimEnd());
  if (rows.length > SHOWN) lines.push(`  and ${rows.length - SHOWN} more`);
  return `${lines.join('\n')}\n`;
}
