import type { Attack } from './attack.ts';
import type { Report, Result } from './child.ts';

/** Whether the attacker was reached. Names are asked for on the way to most connections: that counts where it is the aim. */
function reached({ layers }: Attack, { contacts }: Result): boolean {
  const aimsAtNames = layers.includes('name-queries') || layers.includes('saved-functions');
  return contacts.some((contact) => contact !== 'lookup' || aimsAtNames);
}

/** How many attacks of a run reached the attacker. */
export function countReached(attacks: readonly Attack[], { results }: Report): number {
  const byId = indexOf(attacks);
  return results.filter((result) => {
    const attack = byId.get(result.id) as Attack;
    return attack.expected !== 'answers' && reached(attack, result);
  }).length;
}

/** What is wrong with a run under the leash. */
export function judgeLeashed(attacks: readonly Attack[], report: Report): readonly string[] {
  const held = wrong(attacks, report, (attack, result) =>
    attack.expected === 'reaches' ? wrongWhereOpen(attack, result) : wrongWhereHeld(attack, result),
  );
  return [...held, ...report.loose.map((error) => `nobody handled ${error}`)];
}

/** What is wrong with a run without a leash, or with all layers off that hold its attacks. */
export function judgeOpen(attacks: readonly Attack[], report: Report): readonly string[] {
  return wrong(attacks, report, wrongWhereOpen);
}

function wrong(
  attacks: readonly Attack[],
  { results, refused }: Report,
  judge: (attack: Attack, result: Result) => Iterable<string>,
): readonly string[] {
  const byId = indexOf(attacks);
  const wrongs = results.flatMap((result) => {
    const attack = byId.get(result.id) as Attack;
    return Array.from(judge(attack, result), (problem) => `${result.id}: ${problem}`);
  });
  return [...wrongs, ...refused.map((target) => `left the machine: ${target}`)];
}

function indexOf(attacks: readonly Attack[]): ReadonlyMap<string, Attack> {
  return new Map(attacks.map((attack) => [attack.id, attack]));
}

function* wrongWhereOpen(attack: Attack, result: Result): Generator<string> {
  const { expected, control } = attack;
  if (expected === 'answers') return yield* wrongWhereAnswered(result);
  if (control === 'varies') return;
  if (result.ending.how === 'hung') yield 'hung';
  if (control === 'reaches' && !reached(attack, result)) yield `did not reach the attacker: ${result.ending.error}`;
  if (control === 'dies' && reached(attack, result)) yield `reached the attacker: ${result.contacts}`;
}

function* wrongWhereHeld({ expected, control, quiet }: Attack, result: Result): Generator<string> {
  if (expected === 'answers') return yield* wrongWhereAnswered(result);
  const { ending, contacts, logged, loose } = result;
  if (contacts.length > 0) yield `reached the attacker: ${contacts}`;
  if (ending.how === 'hung') yield 'hung';
  for (const error of loose) yield `nobody handled ${error}`;
  if (expected === 'held' || expected === 'reaches') return;
  if (expected === 'fails') {
    if (ending.how !== 'rejected') yield ending.how;
    return;
  }
  // Where the versions do not go together, the client does not come as far as the leash.
  if (control === 'varies' && ending.how === 'rejected' && ending.code === undefined) return;
  const reasons: readonly string[] = typeof expected === 'string' ? [expected] : expected;
  const shown = `${ending.how} with ${ending.reason ?? ending.error}, logged ${logged.join() || 'nothing'}`;
  const found = ending.code === 'EGRESS_DENIED' && reasons.includes(ending.reason ?? '');
  if (!(quiet || found)) yield `not refused as ${reasons}: ${shown}`;
  // The log of a leash is closed with it.
  if (reasons.includes('revoked')) return;
  if (!logged.some((reason) => reasons.includes(reason))) yield `no refusal as ${reasons} in the log: ${shown}`;
}

function* wrongWhereAnswered({ ending, contacts, loose }: Result): Generator<string> {
  if (ending.how !== 'resolved') yield `was not answered: ${ending.how} with ${ending.reason ?? ending.error}`;
  if (contacts.length === 0) yield 'did not reach the allowed host';
  for (const error of loose) yield `nobody handled ${error}`;
}
