import * as undici from 'undici-7';
import { describe, vi } from 'vitest';
import * as adapter from '../../src/adapters/undici.ts';
import type { Undici } from './undici/clients.ts';
import { isHeldWhenComposed } from './undici/composed.ts';
import { endsWithItsLeash } from './undici/ending.ts';
import { isHeld } from './undici/held.ts';
import { keepsLeashesApart } from './undici/parallel.ts';
import { goesByItsProxy } from './undici/proxied.ts';
import { belongsToItsSession } from './undici/session.ts';
import { isHeldToWhatItStates } from './undici/stated.ts';

// What it has not, since a mock tells of every name that it misses.
vi.mock('undici', async () => ({ Dispatcher1Wrapper: undefined, ...(await import('undici-7')) }));

const copy = { undici: undici as unknown as Undici, adapter };

describe('a client', () => isHeld(copy));
describe('a request', () => isHeldToWhatItStates(copy));
describe('leashes', () => keepsLeashesApart(copy));
describe('a composition', () => isHeldWhenComposed(copy));
describe('a client that ends', () => endsWithItsLeash(copy));
describe('a session', () => belongsToItsSession(copy));
describe('a client with a proxy', () => goesByItsProxy(copy));
