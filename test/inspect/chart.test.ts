import { and, assign, createMachine, fromPromise, not, raise, setup } from 'xstate';
import * as library from '../../machines/index.js';
import { cpu, folio } from '../../machines/index.js';
import { activeIds, type ChartNode, chartOf, chartOfDefinition, eventName } from '../../src/inspect/chart.js';
import { isMachine, stateNodes } from '../../src/system/logic.js';

const json = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
const all = (node: ChartNode): ChartNode[] => [node, ...node.children.flatMap(all)];
const at = (root: ChartNode | null, id: string): ChartNode => {
  const found = root && all(root).find((node) => node.id === id);
  if (!found) throw new Error(`no state '${id}'`);
  return found;
};
const lines = (node: ChartNode): string[] =>
  node.transitions.map(
    ({ event, guard, actions, targets, index }) => `${event} ${index}${guard === null ? '' : ` [${guard}]`} / ${actions.join()} -> ${targets.join()}`,
  );
const machines = Object.values(library).filter((value) => typeof value === 'object' && isMachine(value as never)) as (typeof cpu)[];

const order = setup({
  types: { context: {} as { left: number } },
  actors: { pay: fromPromise(async () => 0) },
  guards: { rich: () => true, calm: () => true },
  actions: { note: () => {} },
  delays: { slow: 10 },
}).createMachine({
  id: 'order',
  context: { left: 0 },
  initial: 'open',
  on: { reset: '.open', 'log.*': { actions: ['note', assign({ left: 0 })] } },
  states: {
    open: {
      description: 'Not paid',
      tags: ['waiting'],
      initial: 'cart',
      entry: ['note', raise({ type: 'reset' })],
      exit: () => {},
      after: { 100: { target: 'gone', actions: 'note' }, slow: [{ guard: 'rich', target: '#kept' }, { target: 'gone' }] },
      invoke: { src: 'pay', id: 'payment', onDone: 'done', onError: { target: 'gone' } },
      onDone: 'done',
      states: {
        cart: { on: { next: { target: 'paid', guard: and(['rich', not('calm')]) }, back: '#order.gone', ignored: undefined } },
        paid: { type: 'final' },
        memory: { type: 'history', target: 'cart' },
      },
    },
    kept: { id: 'kept', always: [{ guard: 'calm', target: 'gone' }, 'done'] },
    gone: {},
    done: { type: 'final' },
  },
});

describe('chartOf', () => {
  test.each(machines.map((machine) => [machine.id, machine] as const))('%s: states, order and targets are XState’s', (_, machine) => {
    const nodes = stateNodes(machine);
    const chart = all(chartOf(machine));
    expect(chart.map(({ id }) => id)).toEqual(nodes.map(({ id }) => id));
    expect(chart.map(({ type, initial }) => [type, initial])).toEqual(
      nodes.map((node) => [node.type, node.type === 'compound' ? (node.initial.target[0]?.id ?? null) : null]),
    );
    expect(chart.flatMap(({ transitions }) => transitions).map(({ source, event, targets }) => ({ source, event, targets }))).toEqual(
      nodes.flatMap((node) =>
        [...(node.always ?? []), ...[...node.transitions.values()].flat()].map(({ eventType, target }) => ({
          source: node.id,
          event: eventName(eventType, node.id),
          targets: (target ?? []).map(({ id }: { id: string }) => id),
        })),
      ),
    );
  });

  test('names what a state does', () => {
    const chart = chartOf(cpu);
    expect(chart).toMatchObject({ id: 'cpu', key: 'cpu', type: 'parallel', initial: null });
    expect(chart.children.map(({ id }) => id)).toEqual(['cpu.interrupts', 'cpu.tlbstate', 'cpu.mmu']);
    expect(lines(at(chart, 'cpu.interrupts.disabled'))).toEqual([
      'irq.save 0 / deeper -> ',
      'irq.restore 0 [nested] / shallower -> ',
      'irq.restore 1 [tracksRcu] / shallower,rcuLeave -> cpu.interrupts.enabled',
      'irq.restore 2 / shallower -> cpu.interrupts.enabled',
    ]);
    expect(at(chart, 'cpu.tlbstate.read_mm_tlb_gen')).toMatchObject({
      entry: ['readMmGen'],
      exit: [],
      description: expect.stringContaining('How much is owed'),
    });
    expect(at(chartOf(folio), 'page.memory_accessed').tags).toContain('BUG');
  });

  test('names timers, actors, composed guards and inline code', () => {
    const chart = chartOf(order);
    expect(lines(chart)).toEqual(['reset 0 /  -> order.open', 'log.* 0 / note,assign -> ']);
    expect(lines(at(chart, 'order.open'))).toEqual([
      'onDone 0 /  -> order.done',
      'onDone(payment) 0 /  -> order.done',
      'onError(payment) 0 /  -> order.gone',
      'after 100 ms 0 / note -> order.gone',
      'after slow 0 [rich] /  -> kept',
      'after slow 1 /  -> order.gone',
    ]);
    expect(lines(at(chart, 'order.open.cart'))).toEqual(['next 0 [(rich and not calm)] /  -> order.open.paid', 'back 0 /  -> order.gone', 'ignored 0 /  -> ']);
    expect(lines(at(chart, 'kept'))).toEqual(['always 0 [calm] /  -> order.gone', 'always 1 /  -> order.done']);
    expect(lines(at(chart, 'order.open.memory'))).toEqual(['default 0 /  -> order.open.cart']);
    expect(at(chart, 'order.open')).toMatchObject({
      tags: ['waiting'],
      entry: ['note', 'raise', 'invoke payment'],
      exit: ['(inline)'],
      initial: 'order.open.cart',
    });
  });
});

describe('eventName', () => {
  test.each([
    ['', 'always'],
    ['xstate.after.100.order.open', 'after 100 ms'],
    ['xstate.after.slow.order.open', 'after slow'],
    ['xstate.after(100)#order.open', 'after 100 ms'],
    ['xstate.done.state.order.open', 'onDone'],
    ['done.state.order.open', 'onDone'],
    ['xstate.done.actor.payment', 'onDone(payment)'],
    ['xstate.error.actor.payment', 'onError(payment)'],
    ['xstate.snapshot.payment', 'onSnapshot(payment)'],
    ['done.invoke.payment', 'onDone(payment)'],
    ['error.platform.payment', 'onError(payment)'],
    ['irq.save', 'irq.save'],
    ['onDone', 'onDone'],
    ['after 100 ms', 'after 100 ms'],
  ])('%j is shown as %j', (type, name) => expect(eventName(type, 'order.open')).toBe(name));
});

describe('chartOfDefinition', () => {
  test.each(machines.map((machine) => [machine.id, machine] as const))('%s: its config is enough for the same chart', (_, machine) => {
    expect(chartOfDefinition(json(machine.config))).toEqual(chartOf(machine));
  });

  test('a definition has all but `always`', () => {
    const withoutAlways = (node: ChartNode): ChartNode => ({
      ...node,
      transitions: node.transitions.filter(({ event }) => event !== 'always'),
      children: node.children.map(withoutAlways),
    });
    for (const machine of machines) expect(chartOfDefinition(json(machine.definition))).toEqual(withoutAlways(chartOf(machine)));
  });

  test('timers of a definition are transitions, not actions', () => {
    const chart = chartOfDefinition(json(order.definition));
    expect(at(chart, 'order.open')).toMatchObject({ entry: ['note', 'raise', 'invoke payment'], exit: ['(inline)'] });
    expect(lines(at(chart, 'order.open'))).toEqual(lines(at(chartOf(order), 'order.open')));
  });

  test('reads an XState 4 machine', () => {
    const chart = chartOfDefinition({
      id: 'light',
      key: 'light',
      type: 'compound',
      initial: 'green',
      states: {
        green: {
          id: 'light.green',
          key: 'green',
          type: 'atomic',
          entry: [{ type: 'ring' }, { type: 'xstate.send', event: { type: 'xstate.after(1000)#light.green' }, delay: 1000 }],
          on: {
            'xstate.after(1000)#light.green': [{ target: ['#light.red'], actions: [{ type: 'xstate.assign' }], cond: { type: 'xstate.guard', name: 'dark' } }],
            '': [{ target: ['#light.red'], cond: { type: 'late' }, actions: [] }],
            'done.invoke.fetch': [{ target: ['#light.red'], actions: [] }],
          },
          invoke: [{ type: 'xstate.invoke', id: 'fetch', src: { type: 'fetcher' } }],
        },
        red: { id: 'light.red', key: 'red', type: 'atomic', on: {} },
      },
    });
    expect(at(chart, 'light')).toMatchObject({ initial: 'light.green' });
    expect(at(chart, 'light.green').entry).toEqual(['ring', 'invoke fetch']);
    expect(lines(at(chart, 'light.green'))).toEqual([
      'after 1000 ms 0 [dark] / assign -> light.red',
      'always 0 [late] /  -> light.red',
      'onDone(fetch) 0 /  -> light.red',
    ]);
  });

  test.each([[null], [undefined], [1], ['text'], [[]], [{}], [{ id: 'promise' }], [{ states: 'no' }]])('%j is no machine', (value) =>
    expect(chartOfDefinition(value)).toBeNull(),
  );

  test('leaves out what is cut off, missing or of a wrong type', () => {
    const chart = chartOfDefinition({
      id: 7,
      key: 'odd',
      initial: { target: 3 },
      tags: ['ok', 4, null],
      description: { a: 1 },
      entry: [null, { type: 5 }, 'go'],
      on: { a: '[Object]', b: ['[...]', null, 4, { target: 'nowhere', actions: '[Array]' }], c: null, d: { target: ['.x', {}, '.y'] } },
      invoke: ['[Object]', 3],
      after: 'never',
      states: { x: '[Object]', y: { states: 4, type: 'strange', id: 'x2' }, z: { id: 'x2' }, __proto__: null, constructor: { on: [] } },
    });
    expect(chart).toMatchObject({ id: 'odd', description: '', tags: ['ok'], initial: null, entry: ['(inline)', '(inline)', 'go', 'invoke [Object]'] });
    expect(chart?.children.map(({ id, type }) => `${id} ${type}`)).toEqual(['odd.x atomic', 'x2 atomic', 'odd.z atomic', 'odd.constructor atomic']);
    expect(at(chart, 'odd.x').description).toMatch(/cut off/);
    expect(chart && lines(chart)).toEqual(['b 0 / [Array] -> ', 'd 0 /  -> odd.x,x2']);
  });

  test('cuts what is too deep, too many and too long', () => {
    let deep: object = {};
    for (let level = 0; level < 5000; level++) deep = { states: { a: deep } };
    const chain = chartOfDefinition(deep);
    expect(chain && all(chain)).toHaveLength(21);
    const wide = chartOfDefinition({ states: Object.fromEntries(Array.from({ length: 10_000 }, (_, number) => [`s${number}`, {}])) });
    expect(wide && all(wide)).toHaveLength(2000);
    const long = chartOfDefinition({ on: { ['e'.repeat(9999)]: { actions: 'a'.repeat(9999) } } });
    expect(long?.transitions).toEqual([expect.objectContaining({ event: `${'e'.repeat(199)}…`, actions: [`${'a'.repeat(199)}…`] })]);
  });
});

describe('activeIds', () => {
  const chart = chartOf(cpu);

  test('has the states of each region and those around them', () => {
    expect([...activeIds({ interrupts: 'enabled', tlbstate: 'ready', mmu: 'walking' }, chart)]).toEqual([
      'cpu',
      'cpu.interrupts',
      'cpu.interrupts.enabled',
      'cpu.tlbstate',
      'cpu.tlbstate.ready',
      'cpu.mmu',
      'cpu.mmu.walking',
    ]);
  });

  test('leaves out what the chart does not know', () => {
    expect([...activeIds({ interrupts: { enabled: { deeper: 'x' } }, other: 'ready', __proto__: 'mmu' }, chart)]).toEqual([
      'cpu',
      'cpu.interrupts',
      'cpu.interrupts.enabled',
    ]);
    for (const value of [null, undefined, 3, [], 'nowhere', {}]) expect([...activeIds(value, chart)]).toEqual(['cpu']);
  });

  test('goes by keys, not by ids', () => {
    const machine = createMachine({ id: 'm', initial: 'a', states: { a: { id: 'other', initial: 'b', states: { b: {} } } } });
    expect([...activeIds({ a: 'b' }, chartOf(machine))]).toEqual(['m', 'other', 'm.a.b']);
  });
});
