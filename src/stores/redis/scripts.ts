import { createHash } from 'node:crypto';
import { LUA_HOLDS } from './lua-holds.ts';
import { LUA_ITEMS, LUA_OUT } from './lua-items.ts';
import { LUA_MANAGE } from './lua-manage.ts';
import { LUA_RARE } from './lua-rare.ts';
import { LUA_SCOPES } from './lua-scopes.ts';
import { LUA_WRITE } from './lua-write.ts';

export interface Script {
  readonly text: string;
  readonly sha1: string;
}

function script(...parts: readonly string[]): Script {
  // The first line lets the server refuse at once what would fail half-way: on a replica, or when memory is full.
  const text = `#!lua\n${parts.join('')}`;
  return { text, sha1: createHash('sha1').update(text).digest('hex') };
}

const FUNCTIONS = LUA_SCOPES + LUA_HOLDS + LUA_OUT + LUA_RARE;

/** Reserves and settles. KEYS: the two sorted sets, keys of holds, scopes. ARGV: the items as JSON, texts of lines. */
export const DECIDE: Script = script(
  'local keys, first, items = KEYS, 3, cjson.decode(ARGV[1])\n',
  FUNCTIONS,
  "if not string.match(ARGV[1], '^%[[%d,]+%]$') then error('amounts are digits') end\n",
  LUA_ITEMS,
  LUA_WRITE,
  'return out\n',
);

/** Everything else, as `lua-manage.ts` tells. */
export const MANAGE: Script = script(
  'local keys, first, items = {}, 1, {0}\n',
  FUNCTIONS,
  LUA_MANAGE,
  LUA_ITEMS,
  LUA_WRITE,
  'return answer\n',
);
