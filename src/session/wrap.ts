import { isPromiseLike } from '../internal/maybe-promise.ts';
import type { Admission, Admitted } from './admission.ts';
import type { Misdeclared } from './record.ts';
import { isAsyncGeneratorFunction, pendingStream, refusedResult } from './stream.ts';
import { argsOf, checkedParams, type Tool } from './tool.ts';

type AnyFunction = (...params: never[]) => unknown;

/** The function under the leash. It answers at once, with a promise or with the stream that the function returns. */
export function wrapTool(admission: Admission, tool: Tool, fn: AnyFunction): AnyFunction {
  const streams = isAsyncGeneratorFunction(fn);
  const wrapped = function (this: unknown, ...params: unknown[]): unknown {
    let given: unknown;
    let problem: Misdeclared | undefined;
    try {
      given = argsOf(tool, params);
    } catch (error) {
      problem = { option: 'args', error };
    }
    const start = ({ ticket, unchecked }: Admitted): unknown => {
      // Inside the call: what `args` made of the parameters may throw when it is looked at, and the call must end then.
      const result = ticket.run(() =>
        Reflect.apply(fn, this, unchecked ? params : checkedParams(tool, params, given, ticket.args)),
      );
      // A generator function whose parameters do not fit throws before there is a generator.
      return streams && isPromiseLike(result) ? pendingStream(result as Promise<AsyncIterable<unknown>>) : result;
    };
    try {
      const admitted = admission.admit(tool, given, problem);
      if (!isPromiseLike(admitted)) return start(admitted);
      const started = Promise.resolve(admitted).then(start);
      return streams ? pendingStream(started as Promise<AsyncIterable<unknown>>) : started;
    } catch (error) {
      return streams ? pendingStream(Promise.reject(error)) : refusedResult(error);
    }
  };
  // Stack traces and frameworks read it.
  Object.defineProperty(wrapped, 'name', { value: fn.name, configurable: true });
  return wrapped;
}
