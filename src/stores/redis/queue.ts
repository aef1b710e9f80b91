import type { Connection } from './connection.ts';
import type { Awaited } from './deadlines.ts';
import { type Item, Reply } from './items.ts';
import type { Keys } from './keys.ts';
import { DECIDE } from './scripts.ts';
import type { Shape } from './shapes.ts';

/** A script takes about this many; what one caller asks together is never divided. */
const MAX_ITEMS = 64;
/** What comes while so many are under way goes out together when one is answered. */
const MAX_IN_FLIGHT = 2;

/** What one caller asks together. */
class Question<T> implements Awaited {
  readonly items: readonly Item[];
  readonly #read: (reply: Reply) => T;
  readonly #resolve: (answer: T) => void;
  readonly #reject: (error: Error) => void;
  readonly #late: (answer: T) => void;
  isOver = false;
  /** Called when its time is over. */
  onExpired: () => void = () => {};

  constructor(
    items: readonly Item[],
    read: (reply: Reply) => T,
    resolve: (answer: T) => void,
    reject: (error: Error) => void,
    late: (answer: T) => void,
  ) {
    this.items = items;
    this.#read = read;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#late = late;
  }

  /** Takes its part of the answer; what it gives is to be called when all parts were there. */
  take(reply: Reply): () => void {
    try {
      const answer = this.#read(reply);
      return () => {
        if (this.isOver) return this.#late(answer);
        this.isOver = true;
        this.#resolve(answer);
      };
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      return () => this.fail(error);
    }
  }

  fail(error: Error): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#reject(error);
  }

  expire(): void {
    this.onExpired();
  }
}

/** Makes one script of what is asked in the same tick, or while other scripts are under way. */
export class Queue {
  readonly #connection: Connection;
  readonly #keys: Keys;
  #waiting: Question<never>[] = [];
  #inFlight = 0;
  #isScheduled = false;

  constructor(connection: Connection, keys: Keys) {
    this.#connection = connection;
    this.#keys = keys;
  }

  ask<T>(items: readonly Item[], read: (reply: Reply) => T, late: (answer: T) => void = () => {}): Promise<T> {
    return new Promise((resolve, reject) => {
      const question = new Question(items, read, resolve, reject, late);
      question.onExpired = () => question.fail(this.#connection.late());
      this.#waiting.push(question as unknown as Question<never>);
      this.#connection.deadlines.add(question);
      this.#schedule();
    });
  }

  /** When all has run that can run now: what one answer or one end of time brings about goes out together. */
  #schedule(): void {
    if (this.#isScheduled || this.#waiting.length === 0 || this.#inFlight >= MAX_IN_FLIGHT) return;
    this.#isScheduled = true;
    process.nextTick(() => {
      this.#isScheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    while (this.#inFlight < MAX_IN_FLIGHT) {
      const questions = this.#next();
      if (questions.length === 0) return;
      if (!this.#connection.isStuck) this.#send(questions);
      else for (const question of questions) question.fail(this.#connection.late());
    }
  }

  #next(): Question<never>[] {
    const questions: Question<never>[] = [];
    let items = 0;
    let taken = 0;
    for (const question of this.#waiting) {
      if (items > 0 && items + question.items.length > MAX_ITEMS) break;
      taken++;
      if (question.isOver) continue;
      questions.push(question);
      items += question.items.length;
    }
    this.#waiting.splice(0, taken);
    return questions;
  }

  #send(questions: readonly Question<never>[]): void {
    const { deadlines } = this.#connection;
    this.#inFlight++;
    let isInFlight = true;
    const land = (): void => {
      deadlines.tidy();
      if (!isInFlight) return;
      isInFlight = false;
      this.#inFlight--;
      this.#schedule();
    };
    const isOver = (): boolean => questions.every((question) => question.isOver);
    const fail = (error: Error): void => {
      for (const question of questions) question.fail(error);
      land();
    };
    const { keys, args } = written(questions, this.#keys);
    const answered = this.#connection.send(DECIDE, keys, args, isOver);
    for (const question of questions) {
      question.onExpired = () => {
        question.fail(this.#connection.late());
        if (!isInFlight || !isOver()) return;
        this.#connection.overdue(answered);
        land();
      };
    }
    answered.then((answer) => {
      const reply = new Reply(answer);
      let outcomes: (() => void)[];
      try {
        outcomes = questions.map((question) => question.take(reply));
        reply.end();
      } catch (error) {
        return fail(error as Error);
      }
      for (const outcome of outcomes) outcome();
      land();
    }, fail);
  }
}

/** As `lua-items.ts` reads them. */
const KINDS = { reserve: 1, extend: 2, settle: 3, void: 4, forfeit: 5 } as const;
const TOGETHER = 6;

function written(questions: readonly Question<never>[], names: Keys): { keys: string[]; args: string[] } {
  const keys = [...names.leases];
  const list: number[] = [0];
  const texts: string[] = [''];
  const shapes = new Map<Shape, number>();
  const scopes = new Set<string>();
  for (const { items } of questions) {
    if (items.length > 1 && items[0]?.shape === undefined) list.push(TOGETHER, items.length);
    for (const { id, kind, shape, onto, amounts } of items) {
      keys.push(names.hold(id));
      if (onto !== undefined) keys.push(names.hold(onto));
      list.push(KINDS[kind]);
      if (shape !== undefined) {
        let number = shapes.get(shape);
        if (number === undefined) {
          number = shapes.size + 1;
          shapes.set(shape, number);
          texts.push(shape.text);
          for (const scope of shape.scopes) scopes.add(scope);
        }
        list.push(number);
      } else if (kind === 'settle') list.push(amounts.length);
      for (let i = 0; i < amounts.length; i++) list.push(amounts[i] as number);
    }
  }
  list[0] = keys.length - names.leases.length;
  texts[0] = JSON.stringify(list);
  for (const scope of scopes) keys.push(names.scope(scope));
  return { keys, args: texts };
}
