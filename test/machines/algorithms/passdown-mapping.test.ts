import { cFunction, passdownMapping } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, returns } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const func = (uses: boolean, own: string[] = []) => actor(cFunction, { input: { name: 'f', uses, own, calls: {} } });
const rig = (add = returns()): Rig =>
  new Rig({
    reads: func(true),
    reads_too: func(true),
    has_file: func(true, ['file->f_mapping']),
    other: func(false),
    add,
    passdown: actor(passdownMapping, { input: { functions: ['reads', 'reads_too', 'has_file', 'other'], addMappingParameter: 'add' } }),
  });
const take = (system: Rig, name: string): Rig => system.take('passdown', { type: 'func', name }).settle('passdown');
const calls = (system: Rig): string[] => system.said('passdown').filter((text) => text.startsWith('add:'));

test.each([[['reads', 'reads_too', 'has_file', 'other']], [['other', 'reads_too', 'has_file', 'reads']]])(
  'the functions are taken in any order (%j); those that read page->mapping and have none get the parameter',
  (order) => {
    const system = rig();
    expect(system.at('passdown')).toBe('for_each_function_in_fs');
    for (const name of order) take(system, name);
    expect(system.at('passdown')).toBe('passed_down');
    expect(calls(system)).toEqual(order.filter((name) => name.startsWith('reads')).map((name) => `add: call {"func":"${name}"}`));
  },
);

test('parameters are asked only of a function whose body contains page->mapping', () => {
  const system = take(take(rig(), 'other'), 'has_file');
  expect(system.said('passdown')).toEqual(['other: body_contains', 'has_file: body_contains', 'has_file: parameters_contain']);
});

test('a function is looked at once', () => {
  const system = take(rig(), 'other');
  expect(system.can('passdown', { type: 'func', name: 'other' } as never)).toBe(false);
  expect(system.can('passdown', { type: 'func', name: 'reads' } as never)).toBe(true);
});

test('it waits until the function and its callers have the parameter', () => {
  const system = take(rig(answers()), 'reads');
  expect([system.at('passdown'), system.can('passdown', 'step')]).toEqual(['add_mapping_parameter', false]);
  expect(system.can('passdown', { type: 'func', name: 'other' } as never)).toBe(false);
});

test('every transition was taken', () => {
  expect(untaken(passdownMapping)).toEqual([]);
});
