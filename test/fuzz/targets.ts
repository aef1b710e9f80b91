import type { Target } from './target.ts';
import { duration, money, prices, usage } from './targets/amounts.ts';
import { address, host, hostRule, rule } from './targets/hosts.ts';
import { canonical, workerFrames, workerMessage } from './targets/json.ts';
import { chainedLog, commandLine, log, logLine } from './targets/logs.ts';
import { postgresReplies, redisReplies, storeAnswers, webhook } from './targets/replies.ts';
import { eventProof, note, proofClaims, proofToken } from './targets/tokens.ts';

/** Every parser of what others write. */
export const targets: readonly Target[] = [
  duration,
  money,
  prices,
  usage,
  hostRule,
  host,
  address,
  rule,
  canonical,
  workerMessage,
  workerFrames,
  log,
  chainedLog,
  logLine,
  commandLine,
  proofToken,
  proofClaims,
  note,
  eventProof,
  storeAnswers,
  redisReplies,
  postgresReplies,
  webhook,
];
