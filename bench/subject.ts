/**
 * One subject of a group of groups.ts in a process of its own: what the compiler has learned from one, and what one leaves on
 * the heap, is not the next one's time. Arguments: the id of the group, and which of its subjects. Told how many rounds, it
 * does them and answers. Ends with its parent. Needs --expose-gc.
 */
import { inProcess } from './groups.ts';

const [id, index] = process.argv.slice(2);
const group = inProcess.find((each) => each.id === id);
const subject = (await group?.subjects())?.[Number(index)];
if (subject === undefined) throw new Error(`no subject ${index} of group ${id}`);
process.on('message', async (rounds: number) => {
  globalThis.gc?.({ type: 'minor' });
  await subject.run(rounds);
  process.send?.('done');
});
process.once('disconnect', () => process.exit());
