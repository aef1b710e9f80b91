import { generateKeyPairSync } from 'node:crypto';
import { formatNoteKey, isKeyName, rawPublicKey } from '../audit/keys.ts';
import { newLogKey } from '../audit/log-key.ts';
import { encodeBase64 } from '../internal/base64.ts';
import { type Command, type Input, UsageError } from './command.ts';
import { jsonLine, visible } from './escape.ts';
import { SECRET, writeNewFile } from './file.ts';
import { EXIT, type Terminal } from './terminal.ts';

export const keygen: Command = {
  name: 'keygen',
  summary: 'make a root key, or a key for the arguments in logs',
  usage: 'FILE [--name NAME | --log-key] [--json]',
  description:
    'Makes an Ed25519 root key, which certifies the keys of sessions: writes the private half as PKCS#8 PEM, for your eyes\n' +
    'alone (mode 0600), and prints the public one, for whoever verifies. Never overwrites a file.',
  options: {
    name: { type: 'string', argument: 'NAME', help: 'who the note key is of; default: leash.local' },
    'log-key': { type: 'boolean', help: 'a log key instead: 32 random bytes in base64, to open arguments with' },
    json: { type: 'boolean', help: 'one JSON document' },
  },
  example: 'keygen root.pem --name example.com/agents',

  async run(input: Input, terminal: Terminal): Promise<number> {
    const { file } = input;
    const made = input.flag('log-key') ? logKey(input) : rootKey(input);
    await writeNewFile(terminal, file, made.secret, SECRET);
    const text = input.flag('json') ? jsonLine({ file, ...made.told }) : `${visible(file)}: ${made.text}\n`;
    await terminal.out.write(text);
    return EXIT.ok;
  },
};

interface Made {
  readonly secret: string;
  readonly told: object;
  readonly text: string;
}

function logKey(input: Input): Made {
  if (input.value('name') !== undefined) throw new UsageError('--name is for a root key: a log key has none');
  return {
    secret: newLogKey(),
    told: { kind: 'log-key' },
    text: 'a log key. Whoever has it can open arguments in logs; without it nobody can. Keep it apart from the logs.',
  };
}

function rootKey(input: Input): Made {
  const name = input.value('name') ?? 'leash.local';
  if (!isKeyName(name)) throw new UsageError('--name must hold no white space, no plus sign and no control character');
  const { privateKey, publicKey: key } = generateKeyPairSync('ed25519');
  const publicKey = encodeBase64(rawPublicKey(key));
  const noteKey = formatNoteKey({ name, key });
  return {
    secret: privateKey.export({ format: 'pem', type: 'pkcs8' }) as string,
    told: { kind: 'root', publicKey, noteKey },
    text: `a root key. Keep it secret.\npublic key: ${publicKey}\nnote key:   ${noteKey}`,
  };
}
