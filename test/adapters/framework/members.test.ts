import { describe, expect, it } from 'vitest';
import { viewOf, withMembers } from '../../../src/adapters/framework/members.ts';

class Counter {
  #count = 0;
  label = 'counter';
  static readonly made = 1;

  next(): number {
    return ++this.#count;
  }

  twice(): number {
    return this.next() + this.next();
  }

  get count(): number {
    return this.#count;
  }
}

const mark = Symbol('mark');

describe('withMembers of a plain object', () => {
  it('is a copy with these members, and leaves the object as it was', () => {
    const tool = { description: 'd', run: (): string => 'own', [mark]: 1 };
    const held = withMembers(tool, { run: () => 'held' });
    expect(held).toMatchObject({ description: 'd', [mark]: 1 });
    expect([held.run(), tool.run()]).toEqual(['held', 'own']);
  });

  it('keeps getters lazy, hidden members hidden, and the prototype', () => {
    let read = 0;
    const tool = Object.defineProperty(
      {
        __proto__: null,
        get schema() {
          return ++read;
        },
      },
      'hidden',
      { value: 'h' },
    );
    const held = withMembers(tool, { run: 1 });
    expect(read).toBe(0);
    expect(held.schema).toBe(1);
    expect(Object.keys(held)).toEqual(['schema', 'run']);
    expect(Reflect.get(held, 'hidden')).toBe('h');
    expect(Object.getPrototypeOf(held)).toBeNull();
  });

  it('can be made of a frozen object', () => {
    expect(withMembers(Object.freeze({ run: 1, other: 2 }), { run: 3 })).toEqual({ run: 3, other: 2 });
  });

  it('takes a member called __proto__ for what it is', () => {
    const held = withMembers({}, JSON.parse('{"__proto__": 5}'));
    expect(Object.keys(held)).toEqual(['__proto__']);
    expect(Object.getPrototypeOf(held)).toBe(Object.prototype);
  });
});

describe('withMembers of an instance of a class', () => {
  it('is one of that class, whose other methods work on the instance, private fields and all', () => {
    const counter = new Counter();
    const held = withMembers(counter, { extra: 5 });
    expect(held).toBeInstanceOf(Counter);
    expect([held.next(), held.next(), held.count, counter.count]).toEqual([1, 2, 2, 2]);
    expect(held.constructor).toBe(Counter);
    expect(held.next).toBe(held.next);
  });

  it('replaces a member for who comes from outside, not for the methods of the class', () => {
    const counter = new Counter();
    const held = withMembers(counter, { next: () => 100 });
    expect([held.next(), held.twice()]).toEqual([100, 3]);
  });

  it('shows the replaced member however it is looked at', () => {
    const counter = Object.assign(new Counter(), { run: (): string => 'own' });
    const held = withMembers(counter, { run: () => 'held' });
    const { run } = held;
    const copies = [held.run, run, { ...held }.run, Object.assign({}, held).run, Reflect.get(held, 'run')];
    const described = Object.getOwnPropertyDescriptor(held, 'run')?.value as () => string;
    expect([...copies, described, Object.create(held).run].map((each) => each())).toEqual(Array(7).fill('held'));
    expect(Object.keys(held)).toEqual(['label', 'run']);
    expect('run' in withMembers(new Counter(), { run: 1 })).toBe(true);
  });

  it('writes through to the instance, and lets nobody put the member back', () => {
    const counter = Object.assign(new Counter(), { run: (): string => 'own' });
    const held = withMembers(counter, { run: () => 'held' });
    held.label = 'renamed';
    expect(counter.label).toBe('renamed');
    expect(() => {
      held.run = () => 'put back';
    }).toThrow(TypeError);
    expect(() => Object.defineProperty(held, 'run', { value: 1 })).toThrow(TypeError);
    expect(() => Reflect.deleteProperty(held, 'run') || expect.unreachable()).toThrow();
    expect(held.run()).toBe('held');
    expect(Reflect.deleteProperty(held, 'label')).toBe(true);
    expect(counter).not.toHaveProperty('label');
  });

  it('can be made of a frozen instance', () => {
    const counter = Object.freeze(Object.assign(new Counter(), { run: (): string => 'own' }));
    const held = withMembers(counter, { run: () => 'held' });
    expect([held.run(), held.label, held.next()]).toEqual(['held', 'counter', 1]);
    expect({ ...held }.run()).toBe('held');
  });
});

describe('viewOf', () => {
  it('is a view of a plain object, too', () => {
    const plain = {
      state: 'new',
      change() {
        this.state = 'changed';
      },
    };
    const held = viewOf(plain, { extra: 1 });
    held.change();
    expect([held.state, plain.state]).toEqual(['changed', 'changed']);
    held.state = 'set';
    expect(plain.state).toBe('set');
  });

  it('lets a member be set that has a setter, and no other', () => {
    let own = 'first';
    const target = { handler: 'of the target', locked: 1 };
    const held = viewOf(target, {
      get handler() {
        return own;
      },
      set handler(value) {
        own = value;
      },
      get locked() {
        return 2;
      },
    });
    held.handler = 'second';
    expect([held.handler, own, target.handler]).toEqual(['second', 'second', 'of the target']);
    expect(() => {
      held.locked = 3;
    }).toThrow(TypeError);
    expect(held.locked).toBe(2);
  });
});

describe('withMembers of an instance whose methods are to see the members', () => {
  class Tool {
    label = 'own';
    run(): string {
      return this.body();
    }
    body(): string {
      return `${this.label} body`;
    }
    get described(): string {
      return this.body();
    }
  }

  it('has methods that find them, however they are called', () => {
    const tool = new Tool();
    const held = withMembers(tool, { body: () => 'held' }, 'view');
    expect([held.run(), Reflect.apply(held.run, held, []), tool.run()]).toEqual(['held', 'held', 'own body']);
    expect(held.described).toBe('own body');
  });

  it('lets methods write to the instance, and not to the members', () => {
    const tool = Object.assign(new Tool(), {
      rename(this: Tool): void {
        this.label = 'renamed';
      },
      undo(this: Tool): void {
        this.body = () => 'undone';
      },
    });
    const held = withMembers(tool, { body: () => 'held' }, 'view');
    held.rename();
    expect(tool.label).toBe('renamed');
    expect(() => held.undo()).toThrow(TypeError);
    expect(held.run()).toBe('held');
  });
});
