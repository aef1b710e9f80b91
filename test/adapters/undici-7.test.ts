import * as undici from 'undici-7';
import { vi } from 'vitest';
import * as adapter from '../../src/adapters/undici.ts';
import { keepsWhatTheAdapterPromises } from './undici/all.ts';
import type { Undici } from './undici/clients.ts';

// What it has not, since a mock tells of every name that it misses.
vi.mock('undici', async () => ({ Dispatcher1Wrapper: undefined, ...(await import('undici-7')) }));

keepsWhatTheAdapterPromises({ undici: undici as unknown as Undici, adapter });
