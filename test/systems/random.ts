import fc from 'fast-check';
import { type AnyActorLogic, assign, createMachine, enqueueActions, fromTransition, raise, sendTo } from 'xstate';
import { actor, actorAt, bug, defineSystem, invariant, type Property, post, type System, speaker } from '../../src/index.js';
import { canonical } from '../../src/system/canonical.js';

/**
 * Small random systems. What fast-check generates and shrinks is a plan in plain data; `build` makes machines of it.
 * Numbers that name an actor or a target count modulo those that there are, so that any number fits.
 */
export type Guard = { when: 'n' | 'k'; is: number } | { when: 'b' } | { when: 'from'; actor: number };

export type Action =
  | { do: 'add'; field: 'n' | 'k' }
  | { do: 'flip' | 'remember' }
  | { do: 'tell' | 'plain'; to: number; type: string }
  | { do: 'reply' | 'raise'; type: string }
  | { do: 'maybe'; guard: Guard; actions: Action[] };

export interface Transition {
  event: string;
  guard: Guard | null;
  /** Null: none, the machine stays where it is. */
  target: number | null;
  reenter: boolean;
  actions: Action[];
}

export interface State {
  tags: string[];
  entry: Action[];
  exit: Action[];
  on: Transition[];
  after: Omit<Transition, 'event'> | null;
  always: Transition | null;
  /** No regions: an atomic state. One: a compound state. Two: a parallel one. */
  regions: State[][];
  history: 'shallow' | 'deep' | null;
  /** The last state of a region is final. */
  final: boolean;
}

export interface MachinePlan {
  kind: 'machine';
  states: State[];
  on: Transition[];
  /** Sent on starting, to an actor that started before. */
  hello: string | null;
  /** Ends in a top-level final state with an output. */
  ends: boolean;
  choices: string[];
  environment: string[];
}

export interface ReducerPlan {
  kind: 'reducer';
  rules: { event: string; is: number | null; add: number; posts: { to: number | null; type: string }[] }[];
  choices: string[];
}

export interface SystemPlan {
  actors: (MachinePlan | ReducerPlan)[];
  invariants: { left: number; right: number; n: number; m: number; premise: boolean }[];
}

const events = ['step', 'tick', 'env', 'm0', 'm1', 'm2', 'r0'];
const messages = ['m0', 'm1', 'm2'];

const guard: fc.Arbitrary<Guard> = fc.oneof(
  fc.record({ when: fc.constantFrom('n' as const, 'k' as const), is: fc.nat(2) }),
  fc.record({ when: fc.constant('b' as const) }),
  fc.record({ when: fc.constant('from' as const), actor: fc.nat(3) }),
);

const simple: fc.Arbitrary<Action> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('add' as const), field: fc.constantFrom('n' as const, 'k' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('flip' as const, 'remember' as const) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('tell' as const), to: fc.nat(3), type: fc.constantFrom(...messages) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('plain' as const), to: fc.nat(3), type: fc.constantFrom('tick', 'step', 'm1') }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('reply' as const), type: fc.constantFrom(...messages) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('raise' as const), type: fc.constantFrom('r0', 'm2') }) },
);
const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 6, arbitrary: simple },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('maybe' as const), guard, actions: fc.array(simple, { minLength: 1, maxLength: 2 }) }) },
);
const actions = fc.array(action, { maxLength: 2 });
const few = fc.oneof({ weight: 4, arbitrary: fc.constant([] as Action[]) }, { weight: 1, arbitrary: actions });

const transition: fc.Arbitrary<Transition> = fc.record({
  event: fc.oneof({ weight: 14, arbitrary: fc.constantFrom(...events) }, { weight: 1, arbitrary: fc.constant('*') }),
  guard: fc.option(guard, { freq: 2 }),
  target: fc.option(fc.nat(9), { freq: 4 }),
  reenter: fc.nat(5).map((n) => n === 0),
  actions,
});

const shared = {
  tags: fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom<string[]>([], ['rest']) },
    { weight: 1, arbitrary: fc.constantFrom<string[]>(['BUG'], ['BUG', 'P1']) },
  ),
  entry: few,
  exit: few,
  on: fc.array(transition, { minLength: 1, maxLength: 3 }),
  after: fc.option(fc.record({ guard: fc.option(guard, { freq: 2 }), target: fc.option(fc.nat(9), { freq: 5 }), reenter: fc.constant(false), actions }), {
    freq: 2,
  }),
  always: fc.oneof(
    { weight: 4, arbitrary: fc.constant(null) },
    { weight: 1, arbitrary: fc.record({ event: fc.constant(''), guard, target: fc.option(fc.nat(9), { freq: 9 }), reenter: fc.constant(false), actions }) },
  ),
};
const leaf: fc.Arbitrary<State> = fc.record({ ...shared, regions: fc.constant([]), history: fc.constant(null), final: fc.constant(false) });
const region = fc.array(leaf, { minLength: 1, maxLength: 2 });
const nested: fc.Arbitrary<State> = fc.record({
  ...shared,
  regions: fc.array(region, { minLength: 1, maxLength: 2 }),
  history: fc.constantFrom(null, 'shallow' as const, 'deep' as const),
  final: fc.nat(4).map((n) => n === 0),
});

const machinePlan: fc.Arbitrary<MachinePlan> = fc.record({
  kind: fc.constant('machine' as const),
  states: fc.array(fc.oneof({ weight: 3, arbitrary: leaf }, { weight: 1, arbitrary: nested }), { minLength: 1, maxLength: 3 }),
  on: fc.array(transition, { maxLength: 1 }),
  hello: fc.option(fc.constantFrom(...messages), { freq: 1 }),
  ends: fc.nat(9).map((n) => n === 0),
  choices: fc.subarray(['step', 'tick'], { minLength: 1 }),
  environment: fc.subarray(['env']),
});

const reducerPlan: fc.Arbitrary<ReducerPlan> = fc.record({
  kind: fc.constant('reducer' as const),
  rules: fc.array(
    fc.record({
      event: fc.constantFrom('tick', ...messages),
      is: fc.option(fc.nat(2)),
      add: fc.nat(2),
      posts: fc.array(fc.record({ to: fc.option(fc.nat(3), { freq: 2 }), type: fc.constantFrom(...messages) }), { maxLength: 2 }),
    }),
    { minLength: 1, maxLength: 3 },
  ),
  choices: fc.subarray(['tick']),
});

/** Plans of systems with 2 to `actors` actors. */
export const systemPlans = (most = 4): fc.Arbitrary<SystemPlan> =>
  fc.record({
    actors: fc.array(fc.oneof({ weight: 4, arbitrary: machinePlan }, { weight: 1, arbitrary: reducerPlan }), { minLength: 2, maxLength: most }),
    invariants: fc.array(fc.record({ left: fc.nat(3), right: fc.nat(3), n: fc.nat(2), m: fc.nat(2), premise: fc.boolean() }), { maxLength: 2 }),
  });

type Context = { n: number; k: number; b: boolean; who: string | null };
type Message = { type: string; from: string };
const { tell } = speaker<Context, Message>();

/** Makes XState's configuration of a plan, for one actor of `addresses`. */
class MachineBuilder {
  private readonly ids: string[] = [];

  constructor(
    private readonly plan: MachinePlan,
    private readonly self: number,
    private readonly addresses: readonly string[],
  ) {
    for (const [index, state] of plan.states.entries()) this.number(state, `a${self}s${index}`);
    if (plan.ends) this.ids.push('end');
  }

  build(): AnyActorLogic {
    const { plan, self } = this;
    const states = Object.fromEntries(plan.states.map((state, index) => [`s${index}`, this.state(state, `a${self}s${index}`)]));
    return createMachine({
      id: `machine${self}`,
      context: { n: 0, k: 0, b: false, who: null },
      initial: 's0',
      entry: plan.hello === null || self === 0 ? [] : [tell(this.addresses[self - 1] as string, { type: plan.hello })],
      on: this.transitions(plan.on),
      output: ({ context }: { context: Context }) => ({ n: context.n }),
      states: plan.ends ? { ...states, end: { id: 'end', type: 'final' } } : states,
    } as never);
  }

  /** Notes what transitions may target: every state, and every history. */
  private number(state: State, id: string): void {
    this.ids.push(id);
    for (const [r, region] of state.regions.entries()) {
      if (state.regions.length > 1) this.ids.push(`${id}r${r}`);
      for (const [index, inner] of region.entries()) this.number(inner, `${id}r${r}s${index}`);
    }
    if (state.history && state.regions.length > 0) this.ids.push(`${id}h`);
  }

  private state(plan: State, id: string): Record<string, unknown> {
    const bugged = plan.tags.includes('BUG');
    const common = {
      id,
      tags: plan.tags,
      entry: plan.entry.map((action) => this.action(action)),
      exit: plan.exit.map((action) => this.action(action)),
      on: this.transitions(plan.on),
      ...(plan.after ? { after: { 10: this.transition(plan.after) } } : {}),
      ...(plan.always && !bugged ? { always: this.transition(plan.always) } : {}),
    };
    if (plan.regions.length === 0) return common;
    const history = plan.history ? { h: { id: `${id}h`, type: 'history', history: plan.history } } : {};
    const [only] = plan.regions;
    if (plan.regions.length === 1 && only)
      return { ...common, ...this.region(only, `${id}r0`, plan.final, history), onDone: { actions: this.action({ do: 'add', field: 'k' }) } };
    return {
      ...common,
      type: 'parallel',
      states: {
        ...Object.fromEntries(
          plan.regions.map((region, r) => [`r${r}`, { id: `${id}r${r}`, ...this.region(region, `${id}r${r}`, plan.final && r === 0, {}) }]),
        ),
        ...history,
      },
    };
  }

  private region(states: readonly State[], id: string, final: boolean, history: object): Record<string, unknown> {
    const inner = states.map((state, index) => [
      `s${index}`,
      final && index > 0 ? { id: `${id}s${index}`, type: 'final' } : this.state(state, `${id}s${index}`),
    ]);
    return { initial: 's0', states: { ...Object.fromEntries(inner), ...history } };
  }

  private transitions(plans: readonly Transition[]): Record<string, unknown[]> {
    const on: Record<string, unknown[]> = {};
    for (const plan of plans) on[plan.event] = [...(on[plan.event] ?? []), this.transition(plan)];
    return on;
  }

  private transition(plan: Omit<Transition, 'event'>): Record<string, unknown> {
    return {
      ...(plan.guard ? { guard: this.guard(plan.guard) } : {}),
      ...(plan.target === null ? {} : { target: `#${this.ids[plan.target % this.ids.length]}`, reenter: plan.reenter }),
      actions: plan.actions.map((action) => this.action(action)),
    };
  }

  private guard(plan: Guard): (args: { context: Context; event: Message }) => boolean {
    if (plan.when === 'b') return ({ context }) => context.b;
    if (plan.when === 'from') return ({ event }) => event.from === this.address(plan.actor);
    return ({ context }) => context[plan.when] === plan.is;
  }

  private action(plan: Action): unknown {
    switch (plan.do) {
      case 'add':
        return assign<Context, Message, undefined, Message, never>(({ context }) => ({
          [plan.field]: (context[plan.field] + 1) % (plan.field === 'n' ? 3 : 2),
        }));
      case 'flip':
        return assign<Context, Message, undefined, Message, never>({ b: ({ context }) => !context.b });
      case 'remember':
        return assign<Context, Message, undefined, Message, never>({ who: ({ event }) => event.from ?? null });
      case 'tell':
        return tell(this.address(plan.to), ({ context }) => ({ type: plan.type, n: context.n }));
      case 'plain':
        // Not signed: the same message as the choice of that type.
        return sendTo(({ system, self }) => actorAt(system, this.address(plan.to), self), { type: plan.type });
      case 'reply':
        return tell(({ event }) => event.from ?? this.addresses[this.self] ?? '', { type: plan.type });
      case 'raise':
        return raise({ type: plan.type });
      case 'maybe':
        return enqueueActions(({ enqueue, check }) => {
          if (check(this.guard(plan.guard) as never)) for (const inner of plan.actions) enqueue(this.action(inner) as never);
        });
    }
  }

  private address(number: number): string {
    return this.addresses[number % this.addresses.length] as string;
  }
}

function reducer(plan: ReducerPlan, addresses: readonly string[]): AnyActorLogic {
  return fromTransition(
    (context: { n: number }, event: { type: string; from?: string }, scope) => {
      const rule = plan.rules.find((candidate) => candidate.event === event.type && (candidate.is === null || candidate.is === context.n));
      for (const { to, type } of rule?.posts ?? [])
        post(scope, to === null ? (event.from ?? scope.self.id) : (addresses[to % addresses.length] as string), { type });
      return rule ? { n: (context.n + rule.add) % 3 } : context;
    },
    { n: 0 },
  );
}

type Counted = Record<string, { context: { n: number } }>;
const n = (snapshots: Counted, address: string): number => snapshots[address]?.context.n ?? 0;

/** The system that a plan stands for. A step of more than 60 messages, and an event of more than 60 microsteps, does not end. */
export function build(plan: SystemPlan): System {
  const addresses = plan.actors.map((_, index) => `a${index}`);
  const at = (index: number): string => addresses[index % addresses.length] as string;
  const properties: Property[] = plan.invariants.map((spec, index) => {
    const [left, right] = [at(spec.left), at(spec.right)];
    const when = (snapshots: Counted): boolean => n(snapshots, left) > 0;
    return invariant<Counted>(`I${index}`, `not ${left} at ${spec.n} while ${right} is at ${spec.m}`, {
      actors: [left, right],
      ...(spec.premise ? { when } : {}),
      holds: (snapshots) => !(n(snapshots, left) === spec.n && n(snapshots, right) === spec.m),
    });
  });
  return defineSystem({
    id: 'random',
    actors: Object.fromEntries(
      plan.actors.map((spec, index) =>
        spec.kind === 'machine'
          ? [
              addresses[index],
              actor(new MachineBuilder(spec, index, addresses).build(), { choices: spec.choices as never, environment: spec.environment as never }),
            ]
          : [addresses[index], actor(reducer(spec, addresses), { choices: spec.choices as never })],
      ),
    ),
    properties: [...properties, bug('P1', 'no state tagged P1 is entered')],
    limits: { cascade: 60 },
  });
}

export type Snapshots = Record<string, { status: string; value?: unknown; context: unknown }>;

/** A number that looks random, from what the actors are in. */
export const mixed = (snapshots: Snapshots): number =>
  [...canonical(Object.entries(snapshots).map(([address, { status, value = null, context }]) => [address, status, value, context]))].reduce(
    (mix, letter) => (mix * 31 + letter.charCodeAt(0)) % 9973,
    7,
  );
