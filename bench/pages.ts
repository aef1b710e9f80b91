import { type Correctness, correctnessTitle } from './correctness.ts';
import type { GrowthReport, Picture } from './growth-report.ts';
import { goalText, isReached, type MeasuredGroup, type Report, subjectOf, whole } from './report.ts';

/** Groups with a target, one row each: the table of README.md. */
export function renderSpeed({ machine, groups }: Report): string {
  const rows = groups.flatMap((group) => {
    const { title, goal, results } = group;
    if (goal === undefined) return [];
    const own = subjectOf(group);
    const [reference] = results as [MeasuredGroup['results'][0]];
    const verdict = isReached(goal, own) ? goalText(goal) : `${goalText(goal)}, missed`;
    return [
      `| ${title} | ${whole(own.perSecond)}/s | ${reference.name}: ${whole(reference.perSecond)}/s | ${own.ratio.toFixed(2)}x | ${verdict} |`,
    ];
  });
  return [
    '| | leashkit | compared with | ratio | target |',
    '|---|---|---|---|---|',
    ...rows,
    '',
    `Node ${machine.node.slice(1)}, ${machine.cores} cores of an ${machine.cpu}, ${machine.slices} slices of ${machine.sliceMs} ms each, medians.`,
    '',
  ].join('\n');
}

/** bench/README.md. */
export function renderBench(report: Report, growth: GrowthReport | undefined): string {
  const { machine, groups, correctness } = report;
  return [
    '# What it costs',
    '',
    '<!-- Written by `npm run bench -- --save` and `npm run bench:growth -- --save`. -->',
    '',
    'Every figure here is from one run of `npm run bench` on one machine, and every picture is drawn from',
    '[its report](report.json). The subjects of a group run in turn, slice by slice, so that what else the machine does falls on',
    'each alike; those that need no server have a process each, so that none is slow for what the compiler has learned from another.',
    'A ratio is the median of the ratios within each turn, and the spread is the middle half of them.',
    '',
    `Node ${machine.node.slice(1)}, ${machine.cores} cores of an ${machine.cpu}, ${machine.slices} slices of ${machine.sliceMs} ms each.`,
    'Servers are on loopback: Redis without persistence, PostgreSQL with its own settings; SQLite is in a file.',
    '',
    ...groups.flatMap(renderGroup),
    ...(correctness.length === 0 ? [] : renderCorrectness(correctness)),
    ...(growth === undefined ? [] : renderGrowth(growth)),
  ].join('\n');
}

function renderGroup(group: MeasuredGroup): readonly string[] {
  const { id, title, goal, note, results } = group;
  const rows = results.map(
    ({ name, perSecond, ratio, spread: [low, high] }) =>
      `| ${name} | ${whole(perSecond)} | ${ratio.toFixed(2)} | ${low.toFixed(2)} to ${high.toFixed(2)} |`,
  );
  return [
    `## ${title}`,
    '',
    '| | in a second | ratio | spread |',
    '|---|---|---|---|',
    ...rows,
    '',
    ...(goal === undefined ? [] : [verdictOf(group), '']),
    ...(note === undefined ? [] : [note, '']),
    `![${title}](${id}.svg)`,
    '',
  ];
}

function verdictOf(group: MeasuredGroup): string {
  const { goal } = group;
  if (goal === undefined) return '';
  const asked = `Target: ${goalText(goal)} for "${goal.of}"`;
  if (isReached(goal, subjectOf(group))) return `${asked}; reached.`;
  return `${asked}; **missed**${goal.because === undefined ? '' : `: ${goal.because}`}.`;
}

function renderCorrectness(correctness: readonly Correctness[]): readonly string[] {
  const rows = correctness.map(
    ({ name, how, parallel, inTurn }) =>
      `| ${name} | ${how} | ${parallel.ran}, $${parallel.usd} | ${inTurn.ran}, $${inTurn.usd} |`,
  );
  return [
    `## ${correctnessTitle}`,
    '',
    'How many of them ran, and what they spent: all at once, and each after the one before. Ten are right.',
    '',
    '| | told | at once | in turn |',
    '|---|---|---|---|',
    ...rows,
    '',
  ];
}

function renderGrowth({ growth }: GrowthReport): readonly string[] {
  return [
    '# What it costs as things grow',
    '',
    'From one run of `npm run bench:growth` on the same machine ([its report](growth.json)). Both axes are logarithmic: what does not',
    'grow is level, and what grows in proportion has slope 1.',
    '',
    ...growth.flatMap(renderPicture),
  ];
}

function renderPicture({ id, title, lines }: Picture): readonly string[] {
  const items = lines.map(({ name, slope, grown, verdict, because }) => {
    const shape = slope === undefined ? `${((grown ?? 0) / 1e6).toFixed(2)} MB in the last decade` : slope.toFixed(2);
    return `- ${name}: ${verdict} (${slope === undefined ? '' : 'slope '}${shape})${because === undefined ? '' : `: ${because}`}`;
  });
  return [`## ${title}`, '', `![${title}](growth-${id}.svg)`, '', ...items, ''];
}
