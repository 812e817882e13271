import { type AnyStateMachine, assign, setup } from 'xstate';
import { type ActorSpec, actor, defineSystem, leadsTo, type Signed, type System, speaker } from '../../src/index.js';
import { machine } from './small.js';

/** A count of references, which tells who waits for it when it is zero. */
type RefsEvent = Signed<{ type: 'get' | 'put' | 'wait' | 'read' }>;
type RefsContext = { count: number; waited: boolean };
const refsTalk = speaker<RefsContext, RefsEvent>();
const refs = setup({
  types: { events: {} as RefsEvent, context: {} as RefsContext },
  guards: { last: ({ context }) => context.waited && context.count === 1, none: ({ context }) => context.count === 0 },
  actions: {
    more: assign({ count: ({ context }) => context.count + 1 }),
    less: assign({ count: ({ context }) => context.count - 1 }),
    waited: assign({ waited: true }),
    zero: refsTalk.tell('unbind', { type: 'zero' }),
    held: refsTalk.reply({ type: 'held' }),
  },
}).createMachine({
  id: 'refs',
  context: { count: 0, waited: false },
  on: {
    get: { actions: 'more' },
    put: [{ guard: 'last', actions: ['less', 'zero'] }, { actions: 'less' }],
    wait: [{ guard: 'none', actions: ['waited', 'zero'] }, { actions: 'waited' }],
    read: { actions: 'held' },
  },
});

type TalkEvent = { type: 'step' } | { type: 'again' } | Signed<{ type: 'zero' }>;
const { tell } = speaker<Record<string, never>, TalkEvent>();
const tells = (type: string): ReturnType<typeof tell> => tell('refs', { type });

/** Takes a reference again and again, as the environment wants, and always gives it back. */
const user = setup({
  types: { events: {} as TalkEvent, context: {} as Record<string, never> },
  actions: { get: tells('get'), put: tells('put') },
}).createMachine({
  id: 'user',
  context: {},
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], on: { again: { target: 'put_page', actions: 'get' } } },
    put_page: { on: { step: { target: 'idle', actions: 'put' } } },
  },
});

const unbind = setup({
  types: { events: {} as TalkEvent, context: {} as Record<string, never> },
  actions: { wait: tells('wait') },
}).createMachine({
  id: 'unbind',
  context: {},
  initial: 'kill',
  states: {
    kill: { on: { step: { target: 'wait_for_zero', actions: 'wait' } } },
    wait_for_zero: { on: { zero: 'unbound' } },
    unbound: { tags: ['rest'] },
  },
});

type Views = { unbind: { value: unknown } };
export const unbinds = leadsTo<Views>('unbinds', 'an unbind that waits goes on', {
  actors: ['unbind'],
  when: ({ unbind: { value } }) => value === 'wait_for_zero',
  reach: ({ unbind: { value } }) => value === 'unbound',
});

/** Actors that have nothing to do with the wait: one that polls in vain, a CPU that turns interrupts off and on, some that are at their end. */
export const bystanders: Readonly<Record<string, ActorSpec<AnyStateMachine>>> = {
  poller: actor(machine({ id: 'poller', initial: 'poll', states: { poll: { on: { step: { actions: tells('read') } } } } })),
  cpu0: actor(
    machine({
      id: 'cpu',
      initial: 'irqs_on',
      states: { irqs_on: { on: { step: 'irqs_off', interrupt: 'handler' } }, irqs_off: { on: { step: 'irqs_on' } }, handler: { on: { step: 'irqs_on' } } },
    }),
    { choices: ['step', 'interrupt'] },
  ),
  ...Object.fromEntries(
    [0, 1, 2, 3, 4].map((n) => [`done${n}`, actor(machine({ id: 'done', initial: 'end', states: { end: { tags: ['rest'] } } }), { choices: ['step'] })]),
  ),
};

/** An unbind that waits until no reference is out. With two users it may wait for ever, since they can take turns; one gives back what it takes. */
export const waiting = (users: number, others: Readonly<Record<string, ActorSpec<AnyStateMachine>>> = {}, id = `waiting(${users})`): System =>
  defineSystem({
    id,
    actors: {
      refs: actor(refs),
      unbind: actor(unbind, { lane: 'CPU 0 (unbind)' }),
      ...Object.fromEntries(
        [...Array(users).keys()].map((n) => [`gup${n}`, actor(user, { environment: ['again'], choices: ['step'], lane: `CPU ${n + 1} (gup)` })]),
      ),
      ...others,
    },
    properties: [unbinds],
  });

/** The numbers of choices named by actor and event type: `unbind`, `gup0 again`. */
export const scheduleOf = ({ choices }: System, ...names: string[]): number[] =>
  names.map((name) => {
    const [address, type = 'step'] = name.split(' ');
    const found = choices.find(({ actor: { address: at }, event }) => at === address && event.type === type);
    if (!found) throw new Error(`no choice '${name}'`);
    return found.index;
  });

/** Both users take turns; the loop begins after two steps. */
export const turns = ['gup0 again', 'unbind', 'gup1 again', 'gup0', 'gup0 again', 'gup1'] as const;
