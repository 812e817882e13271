import { addMappingParameter, cFunction, slot } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { passdownLacks } from '../../../src/scenarios/index.js';
import { probe } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

interface Func {
  own?: string[];
  /** Per call site who is called, and which mapping is the page's. */
  calls?: Record<string, { to: string; page?: string }>;
}

/** A tree of functions, and of slots with the functions in them. */
function rig(funcs: Record<string, Func>, slots: Record<string, string[]> = {}, logic = addMappingParameter): Rig {
  const sites = Object.entries(funcs).flatMap(([caller, { calls = {} }]) => Object.entries(calls).map(([site, { to }]) => ({ site, caller, to })));
  const to = (target: string): string[] => sites.flatMap((call) => (call.to === target ? [call.site] : []));
  const tree: Actors = {};
  for (const [name, { own = [], calls = {} }] of Object.entries(funcs)) {
    const pages = Object.fromEntries(Object.entries(calls).map(([site, { page = own[0] ?? 'mapping' }]) => [site, page]));
    tree[name] = actor(cFunction, { input: { name, uses: false, own, calls: pages } });
  }
  for (const name of Object.keys(slots)) tree[name] = actor(slot, { input: { name } });
  const holding = (name: string): string[] => Object.keys(slots).filter((id) => slots[id]?.includes(name));
  const around = Object.fromEntries([
    ...Object.keys(funcs).map((name) => [name, { sites: to(name), slots: holding(name), functions: [] }]),
    ...Object.entries(slots).map(([name, functions]) => [name, { sites: to(name), slots: [], functions }]),
  ]);
  const callers = Object.fromEntries(sites.map(({ site, caller }) => [site, caller]));
  const it = actor(logic, { input: { around, callers }, choices: ['step'] });
  return new Rig({ ...tree, add: it, p: probe() });
}

const call = (system: Rig, func: string): Rig => {
  system.say('p', 'add', { type: 'call', func });
  return system.settle();
};
const next = (system: Rig, type: 'caller' | 'slot' | 'func', name: string): Rig => system.take('add', { type, name }).settle();
const stack = (system: Rig): string[] => system.context('add').stack.map(({ func }: { func: string }) => func);
const done = (system: Rig): unknown[] => [
  system.at('add'),
  system.heard('p'),
  system.context('add').stack,
  system.context('add').func,
  system.context('add').caller,
];
const atEnd = ['idle', [{ type: 'return' }], [], '', ''];

const chain = { f: {}, g: { calls: { 'g:1': { to: 'f' } } }, h: { own: ['file->f_mapping'], calls: { 'h:1': { to: 'g' } } } };

test('the function gets the parameter, its caller passes it and gets it in turn, up to who has a mapping', () => {
  const system = call(rig(chain), 'f');
  expect([system.at('add'), system.at('f'), stack(system)]).toEqual(['for_each_function_calling', 'mapping_parameter', ['f']]);
  next(system, 'caller', 'g:1');
  expect([system.at('add'), system.at('g'), stack(system)]).toEqual(['for_each_function_calling', 'mapping_parameter', ['f', 'g']]);
  expect(system.context('g').calls['g:1']).toMatchObject({ passes: 'mapping', rewritten: 1 });
  next(system, 'caller', 'h:1');
  expect([system.at('h'), system.context('h').calls['h:1']]).toEqual(['own_mapping', { page: 'file->f_mapping', passes: 'file->f_mapping', rewritten: 1 }]);
  expect(done(system)).toEqual(atEnd);
  expect(system.context('add').reported).toEqual([]);
});

test('a function is marked, then its callers are looked at, and rewritten before it is asked whether they need the parameter', () => {
  const system = next(call(rig(chain), 'f'), 'caller', 'g:1');
  expect(system.said('add')).toEqual([
    'f: add_parameter',
    'g: mappings_in_scope',
    'g: calling_add_parameter {"site":"g:1","argument":"mapping"}',
    'g: parameters_contain',
    'g: add_parameter',
  ]);
});

test('callers are taken in any order, each call once', () => {
  const two = { f: {}, g: { own: ['mapping'], calls: { 'g:1': { to: 'f' }, 'g:2': { to: 'f' } } } };
  for (const order of [
    ['g:1', 'g:2'],
    ['g:2', 'g:1'],
  ]) {
    const system = call(rig(two), 'f');
    for (const site of order) {
      next(system, 'caller', site);
      if (system.at('add') !== 'idle') expect(system.can('add', { type: 'caller', name: site } as never)).toBe(false);
    }
    expect(done(system)).toEqual(atEnd);
    expect(system.said('add').filter((text) => text.includes('calling'))).toEqual(
      order.map((site) => `g: calling_add_parameter {"site":"${site}","argument":"mapping"}`),
    );
  }
});

test('a function that calls itself is rewritten and not begun again', () => {
  const system = next(call(rig({ f: { calls: { 'f:1': { to: 'f' } } } }), 'f'), 'caller', 'f:1');
  expect(done(system)).toEqual(atEnd);
  expect(system.context('f').calls['f:1'].rewritten).toBe(1);
});

describe('PB: marked after its callers', () => {
  const circle = { f: { calls: { 'f:1': { to: 'g' } } }, g: { calls: { 'g:1': { to: 'f' } } } };

  test('without a circle it makes no difference but for the order', () => {
    const system = call(rig(chain, {}, passdownLacks.PB), 'f');
    for (const site of ['g:1', 'h:1']) next(system, 'caller', site);
    expect(done(system)).toEqual(atEnd);
    expect(system.said('add').filter((text) => text.endsWith(': add_parameter'))).toEqual(['g: add_parameter', 'f: add_parameter']);
  });

  test('in a circle it comes back to itself; the stack is cut back, and what is left begins anew', () => {
    const system = call(rig(circle, {}, passdownLacks.PB), 'f');
    const begun = system.context('add').stack;
    expect(begun).toEqual([{ func: 'f', left: ['g:1'] }]);
    for (let round = 0; round < 3; round++) {
      next(system, 'caller', 'g:1');
      expect(stack(system)).toEqual(['f', 'g']);
      next(system, 'caller', 'f:1');
      expect([system.context('add').stack, system.at('f'), system.at('g')]).toEqual([begun, 'without_mapping', 'without_mapping']);
    }
    expect(system.context('g').calls['g:1'].rewritten).toBe(2);
  });
});

describe('a slot', () => {
  const tree = { f: {}, g: {}, h: { own: ['mapping'], calls: { 'h:1': { to: 'ops.f' } } } };
  const slots = { 'ops.f': ['f', 'g'] };

  test('is a node: its type, who else stands in it, and who calls through it', () => {
    const system = next(call(rig(tree, slots), 'f'), 'slot', 'ops.f');
    expect([system.at('ops.f'), stack(system)]).toEqual(['mapping_parameter', ['f', 'ops.f']]);
    next(system, 'func', 'f');
    expect(system.at('add')).toBe('for_each_function_calling');
    next(system, 'func', 'g');
    expect([system.at('g'), stack(system)]).toEqual(['mapping_parameter', ['f', 'ops.f', 'g']]);
    next(system, 'slot', 'ops.f');
    expect(stack(system)).toEqual(['f', 'ops.f']);
    next(system, 'caller', 'h:1');
    expect(system.context('h').calls['h:1']).toMatchObject({ passes: 'mapping', rewritten: 1 });
    expect([done(system), system.context('add').reported]).toEqual([atEnd, []]);
  });

  test('PC: passed over', () => {
    const system = next(call(rig(tree, slots, passdownLacks.PC), 'f'), 'slot', 'ops.f');
    expect([system.at('f'), system.at('ops.f'), system.at('g')]).toEqual(['mapping_parameter', 'without_mapping', 'without_mapping']);
    expect([done(system), system.context('h').calls['h:1'].rewritten]).toEqual([atEnd, 0]);
  });
});

describe('a function that nobody calls', () => {
  const tree = { f: {}, g: { calls: { 'g:1': { to: 'f' } } } };
  const reported = (logic = addMappingParameter): string[] => next(call(rig(tree, {}, logic), 'f'), 'caller', 'g:1').context('add').reported;

  test('is reported', () => {
    expect(reported()).toEqual(['g']);
  });

  test('PD: is passed over', () => {
    expect(reported(passdownLacks.PD)).toEqual([]);
  });

  test('is reported too if it stands in a slot through which nobody calls', () => {
    const system = call(rig({ f: {}, g: {} }, { 'ops.f': ['g', 'f'] }), 'f');
    next(system, 'slot', 'ops.f');
    next(system, 'func', 'f');
    next(system, 'func', 'g');
    next(system, 'slot', 'ops.f');
    expect([done(system), system.context('add').reported]).toEqual([atEnd, ['f', 'g']]);
  });
});

describe('a caller that has two mappings', () => {
  const tree = { f: {}, g: { own: ['src->f_mapping', 'dest->f_mapping'], calls: { 'g:1': { to: 'f', page: 'dest->f_mapping' } } } };
  const passed = (logic = addMappingParameter): unknown[] => {
    const system = next(call(rig(tree, {}, logic), 'f'), 'caller', 'g:1');
    return [system.context('g').calls['g:1'].passes, system.said('add').some((text) => text.startsWith('g: which_mapping')), ...done(system)];
  };

  test('passes that of the page', () => {
    expect(passed()).toEqual(['dest->f_mapping', true, ...atEnd]);
  });

  test('PE: passes the first', () => {
    expect(passed(passdownLacks.PE)).toEqual(['src->f_mapping', false, ...atEnd]);
  });
});

test('it can be called again, and remembers what it reported', () => {
  const system = rig({ f: {}, a: {} });
  for (const func of ['f', 'a']) call(system, func);
  expect(system.heard('p')).toEqual([{ type: 'return' }, { type: 'return' }]);
  expect(system.context('add').reported).toEqual(['a', 'f']);
});

test('every transition was taken', () => {
  expect(untaken(addMappingParameter)).toEqual([]);
});
