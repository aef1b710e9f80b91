import { findLeashError } from '../errors.ts';
import type { MaybePromise } from '../internal/maybe-promise.ts';
import { checkInteger, checkOptions, kindOf, shown } from '../internal/options.ts';
import { unlessAborted } from '../internal/unless-aborted.ts';

/** One call that the model asks for. */
export interface ScriptedCall {
  readonly tool: string;
  /** Reaches the tool as it is. Default: none. */
  readonly args?: unknown;
}

/** One turn of the model: a call, several at once, or its answer, which ends the run. */
export type ScriptedTurn = ScriptedCall | readonly ScriptedCall[] | string;

/** What became of a call. */
export interface AgentCall {
  /** The turn that asked for it, from 1. */
  readonly step: number;
  readonly tool: string;
  readonly args: unknown;
  /** `'refused'`: by a leash. `'failed'`: the tool threw, or there is no such tool. */
  readonly outcome: 'ran' | 'refused' | 'failed';
  /** Of a stream: everything that it gave, as an array. */
  readonly result: unknown;
  /** What the tool threw. */
  readonly error: unknown;
  /** The code of the refusal. */
  readonly code: string | undefined;
  /** What the model is told: the result, or name and message of the error. */
  readonly told: string;
}

/** What `runScriptedAgent` plays: a script, tools, and what ends the run. */
export interface AgentOptions {
  /**
   * What the model says, turn by turn, whatever it is told; the run ends with the last one. A function decides by what it
   * has seen, and what it throws ends the run, as a failed request to a model does.
   */
  readonly script: readonly ScriptedTurn[] | ((seen: readonly AgentCall[]) => MaybePromise<ScriptedTurn>);
  /** Under the leash already: `{ search: leash.wrap('search', search) }`. */
  readonly tools: Readonly<Record<string, (args: never) => unknown>>;
  /** Such as `leash.signal`: ends the run by throwing its reason. Default: none. */
  readonly signal?: AbortSignal;
  /** Asked before each turn but the first; true ends the run: `() => leash.breach !== undefined`. Default: never. */
  readonly stopWhen?: () => boolean;
  /** Turns after which the run ends in any case. Integer >= 1. Default: 20. */
  readonly maxSteps?: number;
}

/** What became of a scripted run. */
export interface AgentRun {
  /** What ended it: the answer, the end of the script, `stopWhen` or `maxSteps`. */
  readonly end: 'answer' | 'script' | 'stopped' | 'max-steps';
  readonly answer: string | undefined;
  /** How many turns the model had: requests that would have been paid for. */
  readonly steps: number;
  readonly calls: readonly AgentCall[];
  /** The calls and the end in a line each, for a snapshot: `4 search refused: CALL_CAP_REACHED`. */
  readonly trace: readonly string[];
}

/**
 * Runs an agent without a framework and without a model: a loop that calls the tools of each turn, all at once, tells the
 * model what they gave or threw, and goes on, as the loops of frameworks do. Throwing alone stops it no more than them.
 *
 * @throws what the script throws, and the reason of `signal`; @throws {TypeError | RangeError} an option, or a turn that
 * is none.
 */
export async function runScriptedAgent(options: AgentOptions): Promise<AgentRun> {
  checkOptions('runScriptedAgent', options, ['script', 'tools', 'signal', 'stopWhen', 'maxSteps']);
  const { script, tools, signal, stopWhen, maxSteps = 20 } = options;
  const turnAt = readScript(script);
  if (typeof tools !== 'object' || tools === null) {
    throw new TypeError(`\`runScriptedAgent.tools\` must be an object of functions, got ${shown(tools)}`);
  }
  checkInteger('runScriptedAgent.maxSteps', maxSteps, 1);
  const calls: AgentCall[] = [];
  const ended = (end: AgentRun['end'], steps: number, answer?: string): AgentRun => ({
    end,
    answer,
    steps,
    calls,
    trace: [...calls.map(traceOf), `${end} after ${steps} ${steps === 1 ? 'step' : 'steps'}`],
  });
  for (let step = 1; step <= maxSteps; step++) {
    signal?.throwIfAborted();
    if (step > 1 && stopWhen?.()) return ended('stopped', step - 1);
    const turn = await turnAt(step, calls);
    if (turn === undefined) return ended('script', step - 1);
    if (typeof turn === 'string') return ended('answer', step, turn);
    const asked = readTurn(turn);
    // All of them begin before any of them is waited for.
    const made = Promise.all(asked.map((call) => make(call, step, tools)));
    // A tool that hangs does not keep the run from ending.
    calls.push(...(await (signal === undefined ? made : unlessAborted(made, signal))));
  }
  return ended('max-steps', maxSteps);
}

function readScript(
  script: AgentOptions['script'],
): (step: number, seen: readonly AgentCall[]) => MaybePromise<ScriptedTurn | undefined> {
  if (typeof script === 'function') {
    return async (_, seen) => {
      const turn: unknown = await script([...seen]);
      if (turn === undefined)
        throw new TypeError('the script gave no turn: return a call, an array of them or an answer');
      return turn as ScriptedTurn;
    };
  }
  if (!Array.isArray(script)) {
    throw new TypeError(`\`runScriptedAgent.script\` must be an array of turns or a function, got ${shown(script)}`);
  }
  const turns: readonly ScriptedTurn[] = [...script];
  return (step) => turns[step - 1];
}

function readTurn(turn: ScriptedCall | readonly ScriptedCall[]): readonly ScriptedCall[] {
  const asked: readonly unknown[] = Array.isArray(turn) ? turn : [turn];
  for (const call of asked) {
    if (typeof (call as Partial<ScriptedCall> | null | undefined)?.tool !== 'string') {
      throw new TypeError(
        `a turn of the script must be a call such as { tool: 'search' }, or an answer, got ${kindOf(call)}`,
      );
    }
  }
  return asked as readonly ScriptedCall[];
}

async function make(call: ScriptedCall, step: number, tools: AgentOptions['tools']): Promise<AgentCall> {
  const { tool, args } = call;
  const made = { step, tool, args };
  try {
    // A model may ask for anything, `constructor` too.
    const run = Object.hasOwn(tools, tool) ? tools[tool] : undefined;
    if (run === undefined) throw new Error(`there is no tool "${tool}"`);
    const result = await collected(args === undefined ? (run as () => unknown)() : run(args as never));
    return { ...made, outcome: 'ran', result, error: undefined, code: undefined, told: textOf(result) };
  } catch (error) {
    const refusal = findLeashError(error);
    const outcome = refusal === undefined ? 'failed' : 'refused';
    return { ...made, outcome, result: undefined, error, code: refusal?.code, told: String(error) };
  }
}

async function collected(value: unknown): Promise<unknown> {
  const given = await value;
  if (typeof given !== 'object' || given === null || !(Symbol.asyncIterator in given)) return given;
  const parts: unknown[] = [];
  for await (const part of given as AsyncIterable<unknown>) parts.push(part);
  return parts;
}

function textOf(result: unknown): string {
  if (typeof result === 'string') return result;
  try {
    return JSON.stringify(result) ?? '';
  } catch {
    return String(result);
  }
}

function traceOf({ step, tool, outcome, code, error }: AgentCall): string {
  const why = outcome === 'ran' ? '' : outcome === 'refused' ? `: ${code}` : `: ${String(error)}`;
  return `${step} ${tool} ${outcome}${why}`;
}
