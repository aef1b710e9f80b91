import * as undici from 'undici';
import * as adapter from '../../src/adapters/undici.ts';
import { keepsWhatTheAdapterPromises } from './undici/all.ts';

keepsWhatTheAdapterPromises({ undici, adapter });
