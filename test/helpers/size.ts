import { gzipSync } from 'node:zlib';
import { bundle } from './bundle.ts';

/** In bytes. */
export interface Size {
  readonly minified: number;
  readonly gzipped: number;
}

/** The most that an entry may weigh, gzipped, with the parts that entries share. Whoever raises one says why. */
export const CEILINGS: Readonly<Record<string, number>> = {
  index: 72_000,
  'ai-sdk': 8_000,
  ajv: 3_800,
  anthropic: 1_100,
  'claude-agent-sdk': 4_800,
  isolated: 8_400,
  langchain: 8_900,
  mcp: 6_700,
  openai: 2_000,
  'openai-agents': 8_200,
  postgres: 13_600,
  prices: 4_400,
  redis: 15_400,
  sqlite: 10_200,
  testing: 7_400,
  undici: 14_000,
};

/** What a program that imports this entry of dist alone loads of this package. */
export async function sizeOf(entry: string): Promise<Size> {
  const { code } = await bundle(entry, true);
  return { minified: Buffer.byteLength(code), gzipped: gzipSync(code, { level: 9 }).length };
}
