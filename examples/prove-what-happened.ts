// A log that a stranger can check: signed by a key that your root key vouches for, verified offline, tampering found.
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { callCap, createLeash, fileSink, verifyLog } from 'leashkit';

process.chdir(mkdtempSync(join(tmpdir(), 'leashkit-')));

// #region sign
const root = generateKeyPairSync('ed25519'); // keep the private half in a KMS: signer may be an async function

const leash = createLeash({
  guards: [callCap(10)],
  audit: {
    sink: fileSink('audit.jsonl'),
    signer: root.privateKey,
    onCheckpoint: (note) => writeFileSync('head.note', note), // send it elsewhere: it shows a log that was cut off
  },
});
const pay = leash.wrap('pay', async (order: { to: string; cents: number }) => `paid ${order.to}`);
for (const to of ['alice', 'bob', 'carol']) await pay({ to, cents: 1250 });
await leash.close();
// #endregion

// #region verify
const trust = [Buffer.from(root.publicKey.export({ format: 'jwk' }).x ?? '', 'base64url').toString('base64')];
const { ok, state } = await verifyLog('audit.jsonl', { trust, requireClosed: true });
console.log(ok, state);

const log = readFileSync('audit.jsonl', 'utf8');
writeFileSync('forged.jsonl', log.replace('"tool":"pay"', '"tool":"ask"'));
const forged = await verifyLog('forged.jsonl', { trust });
console.log(forged.ok, forged.code, `line ${forged.firstBadLine}`);
// #endregion

// Output:
// true closed
// false E_CHAIN line 3
