import fc from 'fast-check';
import { daxFault, rcu, rwsem, spinlock, zap } from '../../machines/index.js';
import { type ActorSpec, actor, defineSystem, type Exploration, explore, type System } from '../../src/index.js';
import {
  type GupUnbindSetup,
  gupUnbindSystem,
  type PercpuRefSetup,
  percpuRefSystem,
  reference,
  shootdownReference,
  type Thread,
  type TlbShootdownSetup,
  tlbShootdownSystem,
} from '../../src/scenarios/index.js';
import { exclusion } from './exclusion.js';
import { type Line, probe } from './probe.js';

/** What was violated, and what was asked but not answered. Empty: everything holds in all states seen. */
const complaints = ({ properties, ignoredMessages }: Exploration): string[] => [
  ...properties.flatMap(({ name, violation }) => (violation ? [`${name}: ${violation.message}`] : [])),
  ...ignoredMessages.map((message) => `ignored: ${message}`),
];

/** A check of generated programs is worth something if it notices when a safeguard is missing: some program violates this property. */
function someViolate<T>(programs: fc.Arbitrary<T>, build: (program: T) => System, property: string, maxStates: number): void {
  const violates = (program: T): boolean => {
    const { properties } = explore(build(program), { maxStates, stop: (violated) => violated.has(property) });
    return properties.some(({ name, violation }) => name === property && violation !== null);
  };
  expect(fc.sample(programs, { numRuns: 20, seed: 1 }).some(violates)).toBe(true);
}

describe('locks', () => {
  type Kind = 'lock' | 'read' | 'write';
  const section: Record<Kind, Line[]> = {
    lock: [
      { to: 'lock', message: { type: 'lock' }, until: 'locked' },
      { to: 'lock', message: { type: 'unlock' } },
    ],
    read: [
      { to: 'lock', message: { type: 'down_read' }, until: 'locked' },
      { to: 'lock', message: { type: 'up_read' } },
    ],
    write: [
      { to: 'lock', message: { type: 'down_write' }, until: 'locked' },
      { to: 'lock', message: { type: 'up_write' } },
    ],
  };
  const threads = ['p', 'q', 'r'];
  const programs = (...kinds: Kind[]): fc.Arbitrary<Kind[][]> =>
    fc.array(fc.array(fc.constantFrom(...kinds), { minLength: 1, maxLength: 3 }), { minLength: 3, maxLength: 3 });
  const build = (lock: ActorSpec, program: Kind[][]): System => {
    const probes = program.map((kinds, index) => [threads[index], probe(kinds.flatMap((kind) => section[kind]))]);
    return defineSystem({ id: 'lock', actors: { lock, ...Object.fromEntries(probes) }, properties: [exclusion(threads)] });
  };

  test('under a spin lock one thread at most runs, and all of them finish', () => {
    fc.assert(
      fc.property(programs('lock'), (program) => {
        const result = explore(build(actor(spinlock) as ActorSpec, program));
        expect([complaints(result), result.exhausted]).toEqual([[], true]);
      }),
      { numRuns: 15 },
    );
  });

  test('under a semaphore who writes is alone, and all threads finish', () => {
    fc.assert(
      fc.property(programs('read', 'write'), (program) => {
        const result = explore(build(actor(rwsem) as ActorSpec, program));
        expect([complaints(result), result.exhausted]).toEqual([[], true]);
      }),
      { numRuns: 40 },
    );
  });

  test('a lock that is granted while it is held would be noticed', () => {
    const shared = spinlock.provide({ guards: { contended: () => false } });
    someViolate(programs('lock'), (program) => build(actor(shared) as ActorSpec, program), 'deadlock', 10_000);
    const generous = rwsem.provide({ guards: { readable: () => true } });
    someViolate(programs('read', 'write'), (program) => build(actor(generous) as ActorSpec, program), 'exclusion', 10_000);
  });
});

describe('percpu_ref', () => {
  const cpu = fc.constantFrom('cpu0', 'cpu1');
  const programs: fc.Arbitrary<PercpuRefSetup> = fc.record({
    users: fc.array(fc.record({ get: cpu, put: cpu }), { minLength: 1, maxLength: 3 }),
    mode: fc.constantFrom('tryget', 'tryget_live'),
    base: fc.nat(2),
    hashed: fc.boolean(),
    watcher: fc.boolean(),
  });
  // Who frees the counters too must have unhashed the object.
  const build = (setup: PercpuRefSetup): System => percpuRefSystem('percpu-ref', { exits: setup.hashed === true, ...setup }, {});

  test('whatever users on whatever CPUs do: released once, while nobody holds a reference', () => {
    fc.assert(
      fc.property(programs, (setup) => {
        expect(complaints(explore(build(setup), { maxStates: 40_000 }))).toEqual([]);
      }),
      { numRuns: 25 },
    );
  });

  test('a callback that does not wait for the grace period would be noticed (row C1)', () => {
    const hasty = rcu.provide({ guards: { readersDone: ({ context }) => context.pending.length > 0 } });
    someViolate(programs, (setup) => build({ ...setup, rcu: hasty }), 'I7', 40_000);
  });
});

describe('gup against what takes the page away', () => {
  interface Program {
    setup: Partial<GupUnbindSetup>;
    /** What the user thread does: loads and stores, one after the other. */
    accesses: { path: string; arguments: { vpn: number; write: boolean } }[];
  }
  const access = fc.boolean().map((write) => ({ path: 'user.access', arguments: { vpn: 0, write } }));
  const programs = (removal: fc.Arbitrary<'unbind' | 'truncate'>): fc.Arbitrary<Program> =>
    fc.record({
      setup: fc.record({
        flush: fc.constantFrom('ipi', 'broadcast'),
        mapped: fc.boolean(),
        pin: fc.boolean(),
        gups: fc.constantFrom(1, 1, 2),
        user: fc.boolean(),
        munmap: fc.boolean(),
        removal,
      }),
      accesses: fc.array(access, { minLength: 1, maxLength: 3 }),
    });

  /** The same system with other inputs for some of its actors. */
  function withInputs(system: System, inputs: Record<string, unknown>): System {
    const spec = ({ index, address, logic, input, lane, path }: System['actors'][number]): ActorSpec => {
      const own = system.choices.filter((choice) => choice.actor.index === index);
      const events = (fair: boolean): never[] => own.filter((choice) => choice.fair === fair).map(({ event }) => event as never);
      return {
        logic,
        input: inputs[address] ?? input,
        choices: events(true),
        environment: events(false),
        path,
        ...(lane === null ? {} : { lane }),
      } as ActorSpec;
    };
    return defineSystem({
      id: system.id,
      actors: Object.fromEntries(system.actors.map((one) => [one.address, spec(one)])),
      properties: system.properties,
      limits: system.limits,
    });
  }

  const build =
    (changes: Partial<GupUnbindSetup> = {}) =>
    ({ setup, accesses }: Program): System =>
      withInputs(gupUnbindSystem('gup', { ...reference, ...setup, ...changes }), { user: { program: accesses } });
  const maxStates = 30_000;

  test('the reference protocol keeps every invariant, whoever takes part', () => {
    fc.assert(
      fc.property(programs(fc.constantFrom('unbind', 'truncate')), (program) => {
        expect(complaints(explore(build()(program), { maxStates }))).toEqual([]);
      }),
      { numRuns: 25 },
    );
  });

  test('to rebuild a system with the inputs that it has changes nothing', () => {
    const system = gupUnbindSystem('gup', { ...reference, user: true });
    const numbers = ({ states, transitions, depth }: Exploration): number[] => [states, transitions, depth];
    const [rebuilt, original] = [explore(withInputs(system, {})), explore(system)];
    expect(numbers(rebuilt)).toEqual(numbers(original));
    expect(withInputs(system, {}).digest).toBe(system.digest);
  });

  test('a device that hands out pages when it is dead would be noticed (row A8b)', () => {
    someViolate(
      programs(fc.constant('unbind')),
      build({ fault: daxFault.provide({ guards: { daxAlive: () => true } }), mapped: false, user: true, gups: 0, munmap: false }),
      'I1',
      maxStates,
    );
  });

  test('so would a missing second look at the pte (row A3)', () => {
    const withoutRecheck = reference.gupFast.provide({ guards: { rechecksAfterGrab: () => false } });
    someViolate(programs(fc.constant('truncate')), build({ gupFast: withoutRecheck, base: 1, flush: 'broadcast', mapped: true }), 'I12', maxStates);
  });
});

describe('threads that touch, look up, discard and unmap pages', () => {
  type Call = Thread['program'][number];
  interface Program {
    threads: Thread[];
    setup: Pick<TlbShootdownSetup, 'flush' | 'tables'> & { batchSize?: number };
  }
  const pages = 2;
  const calls: fc.Arbitrary<Call[]> = fc.oneof(
    fc.nat(pages - 1).map((page): Call[] => [{ do: 'store', page }]),
    fc.constantFrom<Call[]>(
      [{ do: 'gup' }],
      [{ do: 'munmap' }],
      [{ do: 'madvise' }],
      [{ do: 'madvise', pages: [1] }],
      [
        { do: 'switch', next: 'kthread' },
        { do: 'switch', next: 'mm' },
      ],
      [
        { do: 'switch', next: 'init_mm' },
        { do: 'switch', next: 'mm' },
      ],
    ),
  );
  const programs: fc.Arbitrary<Program> = fc.record({
    threads: fc.array(
      fc.array(calls, { minLength: 1, maxLength: 3 }).map((program) => ({ program: program.flat() })),
      { minLength: 2, maxLength: 3 },
    ),
    setup: fc.record({
      flush: fc.constantFrom('ipi' as const, 'broadcast' as const),
      tables: fc.constantFrom('kept' as const, 'rcu' as const, 'sync' as const),
      batchSize: fc.constantFrom(1, 8),
    }),
  });
  const build =
    (changes: Partial<TlbShootdownSetup> = {}) =>
    ({ threads, setup }: Program): System =>
      tlbShootdownSystem('threads', { ...shootdownReference, ...setup, pages, threads, ...changes });
  const maxStates = 60_000;

  test('the reference protocol keeps every invariant, whatever they do', () => {
    fc.assert(
      fc.property(programs, (program) => {
        expect(complaints(explore(build()(program), { maxStates }))).toEqual([]);
      }),
      { numRuns: 40 },
    );
  });

  test.each<[string, Partial<TlbShootdownSetup>, string]>([
    ['pages that are freed before the flush (row B1)', { zap: zap.provide({ guards: { flushesBeforeFree: () => false } }) }, 'I3'],
    ['a nested gather that does not flush (row B7)', { zap: zap.provide({ guards: { isNested: () => false } }), asksDontneed: true }, 'DONTNEED'],
    ['tables freed with the pages under a broadcast (row B11)', { tables: 'direct', flush: 'broadcast' }, 'I4'],
  ])('%s would be noticed', (_, changes, property) => someViolate(programs, build(changes), property, maxStates));
});
