import { budget, callCap, findLeashError } from 'leashkit';
import { leashModel, leashStop, leashTools, withLeash } from 'leashkit/ai-sdk';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { searching, versions } from './helpers/ai-sdk.ts';
import { caught } from './helpers/caught.ts';
import { recordedLeash } from './helpers/leash.ts';
import { SearchBody } from './helpers/search-body.ts';

describe.each(versions)('a looping agent of $name', ({ ai, script }) => {
  const inputSchema = z.object({ query: z.string() });
  it('x', async () => {
    const { leash, kinds, verified, held } = recordedLeash({ guards: [callCap(3)] });
    const body = new SearchBody();
    const tools = leashTools(leash, { search: ai.tool({ inputSchema, execute: body.run }) });
    const { model, requests } = script((_, i) => searching(i));
    const result = await ai.generateText({
      model,
      prompt: 'go',
      tools,
      stopWhen: [ai.stepCountIs(20), leashStop(leash)],
    });
    expect(body.ran).toBe(3);
    expect(result.steps.length).toBe(4);
    expect(requests.length).toBe(4);
    expect(result.finishReason).toBe('tool-calls');
    console.log(JSON.stringify(result.content), leash.breach?.message, kinds());
    expect(await held()).toBe('0');
    expect(await verified()).toBe('closed');
  });
  it('y', async () => {
    const { leash } = recordedLeash({ guards: [callCap(3)] });
    const body = new SearchBody();
    const tools = leashTools(leash, { search: ai.tool({ inputSchema, execute: body.run }) });
    const { model, requests } = script((_, i) => searching(i));
    const err = await caught(
      ai.generateText({ model: leashModel(leash, model, 'free'), prompt: 'go', tools, stopWhen: ai.stepCountIs(20) }),
    );
    expect(err).toBe(leash.breach);
    expect(body.ran).toBe(3);
    expect(requests.length).toBe(4);
  });
});
