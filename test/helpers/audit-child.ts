import { writeSync } from 'node:fs';
import { fileSink } from '../../src/audit/file-sink.ts';
import { currentCall } from '../../src/call.ts';
import type { DeniedError } from '../../src/errors.ts';
import { callCap } from '../../src/guards/call-cap.ts';
import { createLeash } from '../../src/leash.ts';
import type { Leash } from '../../src/leash-contract.ts';

/**
 * A program that writes a log and says what it was told is written: `node audit-child.ts <how> <path>`. A line on its
 * output is the id of a call whose tool ran, or log and seq of a refusal.
 */

const [how = '', path = ''] = process.argv.slice(2);

function open(): Leash {
  return createLeash({
    guards: [callCap({ max: 0, tools: ['never'] })],
    agent: String(process.pid),
    audit: fileSink(path),
    stopOn: 'none',
  });
}

/** At once: what the process has said is said, however it ends. */
function say(text: string | undefined): void {
  writeSync(1, `${text}\n`);
}

/** One call that runs, with room for a long line, and one that is refused. */
async function callTwice(leash: Leash): Promise<void> {
  await leash.run({ tool: `tool ${'é'.repeat(100)}`, args: { n: 1 } }, () => say(currentCall()?.id));
  await leash.run({ tool: 'never' }, () => {}).catch(({ event }: DeniedError) => say(`${event.log} ${event.seq}`));
}

/** Calls that have begun and will never end. */
function begin(leash: Leash, count: number): void {
  for (let i = 0; i < count; i++) {
    void leash.run({ tool: 'begun' }, () => {
      say(currentCall()?.id);
      return new Promise(() => {});
    });
  }
}

const PROGRAMS: Readonly<Record<string, () => Promise<void>>> = {
  'for ever': async () => {
    const leash = open();
    for (;;) await callTwice(leash);
  },
  exit: async () => {
    const leash = open();
    begin(leash, 20);
    await callTwice(leash);
    process.exit(0);
  },
  throw: async () => {
    const leash = open();
    begin(leash, 20);
    await callTwice(leash);
    setImmediate(() => {
      throw new Error('nobody catches this');
    });
  },
  together: async () => {
    say('ready');
    // Starts with the others, when all are ready.
    await new Promise((resolve) => process.stdin.once('data', resolve));
    process.stdin.destroy();
    for (let i = 0; i < 5; i++) {
      const leashes = [open(), open(), open()];
      for (let j = 0; j < 20; j++) for (const leash of leashes) await callTwice(leash);
      for (const leash of leashes) await leash.close();
    }
  },
};

await PROGRAMS[how]?.();
