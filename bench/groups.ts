import { governance } from './agent-governance.ts';
import { auditPath, durable } from './audit.ts';
import { cachedDecision } from './egress.ts';
import { besideLlmBudget } from './llm-budget.ts';
import type { Group } from './measure.ts';
import { memoryStoreGroup } from './memory-store.ts';
import { logLines } from './pino.ts';
import { wholeCall } from './whole-call.ts';

/** Groups that need bench/peers. */
export const besidePeers: readonly Group[] = [governance, besideLlmBudget, logLines];

/** Groups whose subjects need nothing but a process, and get one each. */
export const inProcess: readonly Group[] = [
  wholeCall,
  memoryStoreGroup(1),
  memoryStoreGroup(50),
  ...besidePeers,
  auditPath,
  durable,
  cachedDecision,
];
