import type { Attack, Layer } from './attack.ts';
import type { Result } from './child.ts';
import { attacks } from './list.ts';
import type { Report } from './run.ts';

const byId: ReadonlyMap<string, Attack> = new Map(attacks.map((attack) => [attack.id, attack]));

/** Whether the attacker was reached. Names are asked for on the way to most connections: that counts where it is the aim. */
export function reached({ id, contacts }: Result): boolean {
  const aimsAtNames = byId.get(id)?.layers.includes('dns') ?? false;
  return contacts.some((contact) => contact !== 'lookup' || aimsAtNames);
}

/** What is wrong with a run under the leash, some of whose layers may be off. */
export function judgeLeashed({ results, loose, refused }: Report, off: readonly Layer[] = []): readonly string[] {
  return [
    ...loose.map((error) => `nobody handled ${error}`),
    ...refused.map((target) => `left the machine: ${target}`),
    ...results.flatMap((result) => {
      const attack = byId.get(result.id) as Attack;
      const open = attack.expected === 'reaches' || attack.layers.every((layer) => off.includes(layer));
      return [...(open ? wrongWhereOpen(attack, result) : wrongWhereHeld(attack, result))].map(
        (problem) => `${result.id}: ${problem}`,
      );
    }),
  ];
}

/** What is wrong with a run without a leash. */
export function judgeControl({ results, refused }: Report): readonly string[] {
  return [
    ...refused.map((target) => `left the machine: ${target}`),
    ...results.flatMap((result) => {
      const attack = byId.get(result.id) as Attack;
      return [...wrongWhereOpen(attack, result)].map((problem) => `${result.id}: ${problem}`);
    }),
  ];
}

function* wrongWhereOpen({ control }: Attack, result: Result): Generator<string> {
  if (result.ending.how === 'hung') yield 'hung';
  if (control === 'reaches' && !reached(result)) yield `did not reach the attacker: ${result.ending.error}`;
  if (control === 'dies' && reached(result)) yield `reached the attacker: ${result.contacts}`;
}

function* wrongWhereHeld({ expected, control, quiet }: Attack, result: Result): Generator<string> {
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
  if (!logged.some((reason) => reasons.includes(reason))) yield `no refusal as ${reasons} in the log: ${shown}`;
}
