import * as undici from 'undici';
import { describe } from 'vitest';
import * as adapter from '../../src/adapters/undici.ts';
import { isHeld } from './undici/held.ts';
import { isHeldToWhatItStates } from './undici/stated.ts';

const copy = { undici, adapter };

describe('a client', () => isHeld(copy));
describe('a request', () => isHeldToWhatItStates(copy));
