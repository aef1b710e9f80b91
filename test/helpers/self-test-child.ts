/**
 * Opens a leash in a process where something was changed before, and tells what came of it and what left the process.
 * Run by test/held/self-test.test.ts.
 */
import { createHook } from 'node:async_hooks';
import { setServers } from 'node:dns';
import { createLeash, egress, isLeashError } from 'leashkit';

const [, , dnsServer = '127.0.0.1:1'] = process.argv;
try {
  setServers([dnsServer]);
} catch {
  // Where what it replaces is fixed.
}

/** What asks the system to leave the process in some way. */
const LEAVING =
  /^(?:TCPCONNECTWRAP|PIPECONNECTWRAP|GETADDRINFOREQWRAP|GETNAMEINFOREQWRAP|QUERYWRAP|UDPSENDWRAP|PROCESSWRAP|WORKER)$/;
const left: string[] = [];
createHook({
  init(_, type) {
    if (LEAVING.test(type)) left.push(type);
  },
}).enable();

const outcome = (body: () => unknown): unknown => {
  try {
    return body();
  } catch (error) {
    return isLeashError(error) ? { code: error.code, message: error.message } : { thrown: String(error) };
  }
};

const lines: string[] = [];
const sink = { name: 'lines', write: (text: string) => void lines.push(text) };
const opened = outcome(() => {
  const leash = createLeash({ guards: [egress({ allow: [] })], audit: sink });
  return { coverage: leash.egress.coverage(), again: leash.egress.selfTest() };
});
const declared = outcome(() => createLeash({ guards: [egress({ allow: [], enforce: 'declared' })] }).egress.coverage());
// What was begun would have left by then.
setTimeout(() => {
  process.stdout.write(JSON.stringify({ opened, declared, left, lines: lines.length }));
  process.exit();
}, 100);
