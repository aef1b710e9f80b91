import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { csvCell } from '../../src/cli/export-csv.ts';
import { Bench, CALL, LOG_A, LOG_B, LogWriter, ROOT, richLog } from './fixture.ts';

const bench = new Bench();
afterAll(() => bench.remove());

const rich = richLog({ root: ROOT }).close();

beforeAll(() => {
  bench.write('rich.jsonl', rich.text);
  bench.write('other.jsonl', new LogWriter({ log: LOG_B, agent: 'buyer' }).denied('mail', 'rate', 'RATE_LIMITED').text);
  bench.write('edited.jsonl', rich.text.replace('"reason":"exhausted"', '"reason":"in_flight"'));
  bench.write('torn.jsonl', `${rich.text}{"v":1`);
});

const exported = async (...args: readonly string[]): Promise<string[]> => {
  const { code, out, err } = await bench.run(['export', ...args]);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  return out.split('\n').slice(0, -1);
};

describe('leash export', () => {
  it.each([
    { name: 'every line to the byte', args: [], lines: rich.lines },
    { name: 'the same as --json', args: ['--json'], lines: rich.lines },
    {
      name: 'events of two kinds',
      args: ['--kind', 'charge', '--kind', 'tool_ok'],
      lines: [2, 4, 11].map((i) => rich.lines[i]),
    },
    { name: 'no event of a kind that there is not', args: ['--kind', 'charges'], lines: [] },
    { name: 'no event of another log', args: ['--log', LOG_B], lines: [] },
    { name: 'events of one log', args: ['--log', LOG_A, '--kind', 'kill_switch'], lines: [rich.lines[12]] },
  ])('prints $name', async ({ args, lines }) => {
    expect(await exported('rich.jsonl', ...args)).toEqual(lines);
  });

  it('prints file after file, with one head in CSV', async () => {
    const both = await exported('rich.jsonl', 'other.jsonl', '--format', 'csv');
    expect(both).toHaveLength(1 + rich.lines.length + 2);
    expect(both.filter((line) => line.startsWith('log,'))).toHaveLength(1);
    expect(
      await exported('other.jsonl', 'rich.jsonl', '--kind', 'session_open', '--format', 'cloudevents'),
    ).toHaveLength(2);
  });

  it.each([{ format: 'jsonl' }, { format: 'csv' }, { format: 'ocsf' }, { format: 'cloudevents' }])(
    'ends $format before the first line that is wrong, with 1',
    async ({ format }) => {
      const { code, out, err } = await bench.run(['export', 'edited.jsonl', '--format', format]);
      expect({ code, err }).toEqual({
        code: 1,
        err: 'leash: edited.jsonl does not verify: line 8 is the first that is wrong (E_CHAIN)\n',
      });
      const head = format === 'csv' ? 1 : 0;
      expect(out.trimEnd().split('\n')).toHaveLength(7 + head);
    },
  );

  it('leaves out a torn line and says so', async () => {
    expect(await bench.run(['export', 'torn.jsonl'])).toEqual({
      code: 0,
      out: rich.text,
      err: 'leash: torn.jsonl: the last line has no end, and is left out\n',
    });
  });
});

describe('leash export --format csv', () => {
  it('has one column for each thing that events say', async () => {
    const lines = await exported('rich.jsonl', '--format', 'csv', '--kind', 'budget_denied', '--kind', 'kill_switch');
    expect(lines).toEqual([
      'log,seq,ts,kind,call,tool,guard,code,reason,error,note,us,usd,sat,overrun,observed,unit,cap,requested,remaining,scheme,host,port,addr,args,agent,session,calls,denied,prev,other\r',
      `${LOG_A},6,2026-11-20T12:00:06.000Z,budget_denied,${CALL},stripe.charge,budget,BUDGET_EXCEEDED,exhausted,,,,,,,,usd,5,4,'-0.5,,,,,,,,,,${prevOf(6)},\r`,
      `${LOG_A},12,2026-11-20T12:01:12.000Z,kill_switch,,,,,operator,,,,,,,,,,,,,,,,,,,,,${prevOf(12)},\r`,
    ]);
  });

  it('keeps what has no column as JSON in the last', async () => {
    const [, open = ''] = await exported('rich.jsonl', '--format', 'csv', '--kind', 'session_open');
    const cell = /"(\{.*\})"\r$/.exec(open)?.[1]?.replaceAll('""', '"') ?? '';
    expect(JSON.parse(cell)).toMatchObject({ origin: `leash.local/${LOG_A}`, mode: 'enforce', hash: 's1' });
  });

  function prevOf(seq: number): string {
    return (JSON.parse(rich.lines[seq] ?? '') as { prev: string }).prev;
  }
});

describe('csvCell', () => {
  it.each([
    { value: undefined, cell: '' },
    { value: '', cell: '' },
    { value: 0, cell: '0' },
    { value: 'plain', cell: 'plain' },
    { value: 'a,b', cell: '"a,b"' },
    { value: 'say "hi"', cell: '"say ""hi"""' },
    { value: 'a\r\nb', cell: 'a\\u{d}\\u{a}b' },
    { value: '=1+1', cell: "'=1+1" },
    { value: '+1', cell: "'+1" },
    { value: '-1', cell: "'-1" },
    { value: '@SUM(A1)', cell: "'@SUM(A1)" },
    { value: '=HYPERLINK("http://evil.example","x")', cell: `"'=HYPERLINK(""http://evil.example"",""x"")"` },
    { value: '\uff1d1', cell: "'\uff1d1" },
    // Spelled out, they are no longer at the beginning of a cell.
    { value: '\t=1', cell: '\\u{9}=1' },
    { value: '\r=1', cell: '\\u{d}=1' },
    { value: '1-1', cell: '1-1' },
    { value: 'a=b', cell: 'a=b' },
  ])('writes $value', ({ value, cell }) => {
    expect(csvCell(value)).toBe(cell);
  });
});

describe('leash export --format cloudevents', () => {
  it('puts the line into an envelope', async () => {
    const [charge = ''] = await exported('rich.jsonl', '--format', 'cloudevents', '--kind', 'charge');
    expect(JSON.parse(charge)).toEqual({
      specversion: '1.0',
      id: `${LOG_A}/11`,
      source: `urn:leash:${LOG_A}`,
      type: 'dev.leash.charge.v1',
      time: '2026-11-20T12:01:11.000Z',
      datacontenttype: 'application/json',
      data: JSON.parse(rich.lines[11] ?? ''),
    });
  });

  it('has no time for a checkpoint', async () => {
    const [checkpoint = ''] = await exported('rich.jsonl', '--format', 'cloudevents', '--kind', 'checkpoint');
    expect(JSON.parse(checkpoint)).not.toHaveProperty('time');
  });
});

describe('leash export --format ocsf', () => {
  const METADATA = {
    version: '1.8.0',
    product: { name: 'leashkit', vendor_name: 'leashkit', version: '0.1.0' },
    log_name: 'leash-log/1',
    log_provider: 'leashkit',
  };
  const events = async (...args: readonly string[]): Promise<Record<string, unknown>[]> =>
    (await exported('rich.jsonl', '--format', 'ocsf', ...args)).map(
      (line) => JSON.parse(line) as Record<string, unknown>,
    );

  it('tells of a refused call as API Activity with what was decided', async () => {
    const [denied] = await events('--kind', 'budget_denied');
    expect(denied).toEqual({
      category_uid: 6,
      category_name: 'Application Activity',
      class_uid: 6003,
      class_name: 'API Activity',
      activity_id: 99,
      activity_name: 'budget_denied',
      type_uid: 600399,
      type_name: 'API Activity: Other',
      severity_id: 3,
      severity: 'Medium',
      status_id: 2,
      status: 'Failure',
      status_code: 'BUDGET_EXCEEDED',
      status_detail: 'exhausted',
      action_id: 2,
      action: 'Denied',
      disposition_id: 2,
      disposition: 'Blocked',
      is_alert: true,
      time: Date.UTC(2026, 10, 20, 12, 0, 6),
      actor: { app_name: 'shopper', session: { uid: 's-1' } },
      api: { operation: 'stripe.charge', request: { uid: CALL }, response: { error: 'BUDGET_EXCEEDED' } },
      src_endpoint: { uid: LOG_A, name: 'shopper' },
      policy: { name: 'budget', uid: 'budget' },
      metadata: {
        ...METADATA,
        profiles: ['security_control'],
        uid: `${LOG_A}/6`,
        sequence: 6,
        event_code: 'budget_denied',
        correlation_uid: CALL,
        original_time: '2026-11-20T12:00:06.000Z',
      },
      unmapped: { unit: 'usd', cap: '5', requested: '4', remaining: '-0.5', prev: expect.any(String) },
    });
  });

  it('tells of a session as Application Lifecycle', async () => {
    const [open] = await events('--kind', 'session_open');
    expect(open).toEqual({
      category_uid: 6,
      category_name: 'Application Activity',
      class_uid: 6002,
      class_name: 'Application Lifecycle',
      activity_id: 3,
      activity_name: 'Start',
      type_uid: 600203,
      type_name: 'Application Lifecycle: Start',
      severity_id: 1,
      severity: 'Informational',
      status_id: 1,
      status: 'Success',
      time: Date.UTC(2026, 10, 20, 12),
      app: { name: 'shopper', uid: 's-1' },
      metadata: {
        ...METADATA,
        uid: `${LOG_A}/0`,
        sequence: 0,
        event_code: 'session_open',
        correlation_uid: 's-1',
        original_time: '2026-11-20T12:00:00.000Z',
      },
      unmapped: expect.objectContaining({ mode: 'enforce', key: expect.any(String) }),
    });
  });

  it('classifies every kind, and leaves out the checkpoint', async () => {
    const told = await events();
    expect(
      told.map(({ metadata, type_uid, severity_id, action_id, disposition_id }) => {
        const { event_code } = metadata as { event_code: string };
        return [event_code, type_uid, severity_id, action_id, disposition_id];
      }),
    ).toEqual([
      ['session_open', 600203, 1, undefined, undefined],
      ['tool_start', 600399, 1, 1, 1],
      ['tool_ok', 600399, 1, 1, 1],
      ['tool_start', 600399, 1, 1, 1],
      ['tool_ok', 600399, 1, 1, 1],
      ['tool_denied', 600399, 3, 2, 2],
      ['budget_denied', 600399, 3, 2, 2],
      ['egress_denied', 600399, 3, 2, 2],
      ['egress_ok', 600399, 1, 1, 1],
      ['tool_start', 600399, 1, 1, 1],
      ['tool_error', 600399, 2, 1, 27],
      ['charge', 600399, 1, 1, 1],
      ['kill_switch', 600207, 4, undefined, undefined],
      ['session_close', 600204, 1, undefined, undefined],
    ]);
  });

  it('names the host that was to be reached, and the address that was', async () => {
    const [denied, ok] = await events('--kind', 'egress_ok', '--kind', 'egress_denied');
    expect(denied).toMatchObject({ dst_endpoint: { hostname: 'evil.example', port: 443, svc_name: 'https' } });
    expect(ok).toMatchObject({
      dst_endpoint: { hostname: 'shop.example', port: 443, svc_name: 'https', ip: '203.0.113.7' },
    });
  });

  it('tells a refusal that was only observed from one that was not', async () => {
    bench.write('observed.jsonl', new LogWriter().denied('mail', 'rate', 'RATE_LIMITED', ',"observed":1').text);
    const lines = await exported('observed.jsonl', '--format', 'ocsf', '--kind', 'tool_denied');
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      status: 'Success',
      severity_id: 2,
      action_id: 3,
      action: 'Observed',
      disposition_id: 17,
      is_alert: false,
    });
  });

  it('knows who acts though the first line is not wanted, in each file for itself', async () => {
    const lines = await exported('rich.jsonl', 'other.jsonl', '--format', 'ocsf', '--kind', 'tool_denied');
    expect(lines.map((line) => (JSON.parse(line) as { actor: { app_name: string } }).actor.app_name)).toEqual([
      'shopper',
      'buyer',
    ]);
  });
});
