const refuse = (what: string): never => {
  throw new Error(`${what} was called; time and randomness must come as events or choices`);
};

/** Runs a computation that must be pure with the dice and the clock taken away. They come back whatever happens. */
export function withoutChance<T>(run: () => T): T {
  const { Date: clock } = globalThis;
  const { random } = Math;
  const stopped = new Proxy(clock, {
    construct: (target, args) => (args.length > 0 ? Reflect.construct(target, args) : refuse('new Date()')),
    apply: () => refuse('Date()'),
    get: (target, key) => (key === 'now' ? () => refuse('Date.now()') : Reflect.get(target, key)),
  });
  try {
    Math.random = () => refuse('Math.random()');
    globalThis.Date = stopped;
    return run();
  } finally {
    Math.random = random;
    globalThis.Date = clock;
  }
}
