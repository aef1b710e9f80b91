import { type LogHead, type VerifyOptions, verifyLog } from '../audit/verify.ts';
import { type Command, type Input, UsageError } from './command.ts';
import { jsonLine, visible } from './escape.ts';
import { readHead } from './head-file.ts';
import { withLog } from './read-log.ts';
import { EXIT, type Terminal } from './terminal.ts';
import { readTrustOptions, TRUST_OPTIONS } from './trust.ts';
import { notProven, type Verified, verifiedText } from './verify-report.ts';

export const verify: Command = {
  name: 'verify',
  summary: 'check every line, link and signature of a log',
  usage: 'FILE... [--trust KEY]... [--tofu] [--head FILE]... [--require-closed] [--json]',
  description:
    'Checks logs as they lie there, and says what the check does not prove. Ends with 0 if nothing is wrong, 1 if a\n' +
    'line is wrong or missing, 2 if a file cannot be read, 3 if a log is not closed under --require-closed.',
  options: {
    ...TRUST_OPTIONS,
    head: {
      type: 'string',
      multiple: true,
      argument: 'FILE',
      help: 'a note or head that was kept elsewhere: what it names must be in the logs',
    },
    'require-closed': { type: 'boolean', help: 'every log must be closed' },
    json: { type: 'boolean', help: 'one JSON document' },
  },
  example: 'verify audit.jsonl --trust 11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo= --require-closed',

  async run(input: Input, terminal: Terminal): Promise<number> {
    const files = input.someFiles;
    const options = readTrustOptions(input);
    const tofu = options.tofu === true;
    const heads: LogHead[] = [];
    for (const file of input.list('head')) heads.push(await readHead(terminal, file));
    const requireClosed = input.flag('require-closed');
    const results: Result[] = [];
    for (const file of files) results.push(await verifyFile(terminal, file, options, files.length === 1 ? heads : []));
    if (files.length > 1) await expectHeads(terminal, results, options, heads);
    const codes = results.map((result) => exitOf(result, requireClosed));
    if (input.flag('json')) {
      const ok = codes.every((code) => code === EXIT.ok);
      const documents = results.map((result) => documentOf(result, { heads, tofu }));
      await terminal.out.write(jsonLine({ ok, files: documents }));
    }
    for (const result of results) {
      if ('error' in result) await terminal.err.write(`leash: ${visible(result.error)}\n`);
      else if (!input.flag('json')) {
        await terminal.out.write(verifiedText(terminal, result, { heads, tofu, requireClosed }));
      }
    }
    // A log that was tampered with is the worst news, whatever else there is.
    return [EXIT.bad, EXIT.usage, EXIT.notClosed].find((code) => codes.includes(code)) ?? EXIT.ok;
  },
};

type Result = Verified | { readonly file: string; readonly error: string };

async function verifyFile(
  terminal: Terminal,
  file: string,
  options: VerifyOptions,
  heads: readonly LogHead[],
): Promise<Result> {
  try {
    const report = await withLog(terminal, file, (path, progress) =>
      verifyLog(path, { ...options, heads, onProgress: progress.update }),
    );
    return { file, report };
  } catch (error) {
    if (error instanceof UsageError) return { file, error: error.message };
    throw error;
  }
}

/** A head is expected of the files that hold its log; that none does is wrong with all of them. */
async function expectHeads(
  terminal: Terminal,
  results: Result[],
  options: VerifyOptions,
  heads: readonly LogHead[],
): Promise<void> {
  const holds = (result: Result | undefined, id: string): boolean =>
    result !== undefined && 'report' in result && result.report.logs.some(({ log }) => log === id);
  const nowhere = heads.filter(({ log }) => !results.some((result) => holds(result, log)));
  for (const [i, { file }] of [...results.entries()]) {
    const expected = [...heads.filter(({ log }) => holds(results[i], log)), ...nowhere];
    if (expected.length > 0) results[i] = await verifyFile(terminal, file, options, expected);
  }
}

function exitOf(result: Result, requireClosed: boolean): number {
  if ('error' in result) return EXIT.usage;
  if (!result.report.ok) return EXIT.bad;
  return requireClosed && result.report.state !== 'closed' ? EXIT.notClosed : EXIT.ok;
}

function documentOf(result: Result, given: { readonly heads: readonly LogHead[]; readonly tofu: boolean }): object {
  if ('error' in result) return result;
  const { file, report } = result;
  return { file, ...report, notProven: notProven(report, given) };
}
