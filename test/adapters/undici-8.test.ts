import * as undici from 'undici';
import { describe } from 'vitest';
import * as adapter from '../../src/adapters/undici.ts';
import { isHeldWhenComposed } from './undici/composed.ts';
import { endsWithItsLeash } from './undici/ending.ts';
import { isHeld } from './undici/held.ts';
import { keepsLeashesApart } from './undici/parallel.ts';
import { goesByItsProxy } from './undici/proxied.ts';
import { belongsToItsSession } from './undici/session.ts';
import { isHeldToWhatItStates } from './undici/stated.ts';

const copy = { undici, adapter };

describe('a client', () => isHeld(copy));
describe('a request', () => isHeldToWhatItStates(copy));
describe('leashes', () => keepsLeashesApart(copy));
describe('a composition', () => isHeldWhenComposed(copy));
describe('a client that ends', () => endsWithItsLeash(copy));
describe('a session', () => belongsToItsSession(copy));
describe('a client with a proxy', () => goesByItsProxy(copy));
