import { hash, randomUUID } from 'node:crypto';
import stableStringify from 'fast-json-stable-stringify';
import { loggedCalls, logging, scratch } from './audit.ts';
import { type Input, input } from './input.ts';
import type { Group, Subject } from './measure.ts';
import { peer, peerName } from './peers.ts';

interface Destination {
  flushSync(): void;
  end(): void;
  once(event: 'ready' | 'close', told: () => void): void;
}

interface Pino {
  (options: { base: null }, destination: Destination): { info(event: object): void };
  destination(options: { dest: string; sync: boolean; minLength?: number }): Destination;
}

function logged(name: string, argsOf: (args: Input) => unknown, minLength?: number): Subject {
  const pino = peer<Pino>('pino');
  return {
    name,
    async run(rounds) {
      const { path, remove } = scratch();
      const buffered = minLength === undefined ? { sync: true } : { sync: false, minLength };
      const destination = pino.destination({ dest: path, ...buffered });
      if (minLength !== undefined) await new Promise<void>((resolve) => destination.once('ready', resolve));
      const log = pino({ base: null }, destination);
      for (let i = 0; i < rounds; i++) {
        const call = randomUUID();
        log.info({ kind: 'tool_start', call, tool: 'stripe.charge', args: argsOf(input) });
        log.info({ kind: 'tool_ok', call, tool: 'stripe.charge', us: 12 });
      }
      const closed = new Promise<void>((resolve) => destination.once('close', resolve));
      destination.end();
      await closed;
      remove();
    },
  };
}

/** A logger's lines say what happened to whoever believes the file; these can be checked. */
export const logLines: Group = {
  id: 'log-lines',
  title: `Two lines of a call in a file, beside ${peerName('pino')}`,
  note: 'Lines of a logger are not chained, and can be changed.',
  subjects: () => [
    logged('pino, two lines, the arguments in plain text', (args) => args),
    logged('pino, the arguments as a plain hash', (args) => hash('sha256', stableStringify(args))),
    logged(
      'pino, the arguments in plain text, 4 KB at a time: the last ones die with the process',
      (args) => args,
      4096,
    ),
    loggedCalls(
      'leash.wrap with a call cap: two chained lines, the arguments as a salted hash',
      logging('never', 'none'),
      1,
    ),
    loggedCalls('the same, signed every 256 lines', logging('never', 'checkpoint'), 1),
  ],
};
