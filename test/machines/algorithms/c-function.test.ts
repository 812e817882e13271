import { cFunction } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

type Input = NonNullable<NonNullable<Parameters<typeof actor<typeof cFunction>>[1]>['input']>;
const rig = (input: Partial<Input> = {}): Rig =>
  new Rig({ f: actor(cFunction, { input: { name: 'mpage_readpage', uses: false, own: [], calls: {}, ...input } }), p: probe() });
const twice = ['BUG: a parameter for the mapping is added to a function that has one'];

test.each([
  [true, 'yes'],
  [false, 'no'],
])('its body reads page->mapping (%s): %s, whatever parameters it has', (uses, answer) => {
  const system = rig({ uses });
  expect(system.say('p', 'f', 'body_contains')).toEqual([{ type: answer }]);
  system.say('p', 'f', 'add_parameter');
  expect(system.say('p', 'f', 'body_contains')).toEqual([{ type: answer }]);
});

test('without a mapping it says so, until it gets the parameter', () => {
  const system = rig();
  expect(system.at('f')).toBe('without_mapping');
  expect([...system.say('p', 'f', 'parameters_contain'), ...system.say('p', 'f', 'mappings_in_scope')]).toEqual([{ type: 'no' }, { type: 'no_mapping' }]);
  expect(system.say('p', 'f', 'add_parameter')).toEqual([{ type: 'added', to: 'mpage_readpage' }]);
  expect([system.at('f'), system.bugs()]).toEqual(['mapping_parameter', []]);
  expect([...system.say('p', 'f', 'parameters_contain'), ...system.say('p', 'f', 'mappings_in_scope')]).toEqual([
    { type: 'yes' },
    { type: 'mappings', mappings: ['mapping'] },
  ]);
});

test('with mappings of its own it names them', () => {
  const system = rig({ own: ['src->f_mapping', 'dest->f_mapping'] });
  expect(system.at('f')).toBe('own_mapping');
  expect([...system.say('p', 'f', 'parameters_contain'), ...system.say('p', 'f', 'mappings_in_scope')]).toEqual([
    { type: 'yes' },
    { type: 'mappings', mappings: ['src->f_mapping', 'dest->f_mapping'] },
  ]);
});

test.each([
  ['of its own', ['file->f_mapping'], 1],
  ['that it was given', [], 2],
])('a parameter is not added to a function that has a mapping %s', (_, own, times) => {
  const system = rig({ own });
  for (let time = 0; time < times; time++) system.say('p', 'f', 'add_parameter');
  expect(system.bugs()).toEqual(twice);
});

test('its calls are rewritten each for itself; how often is counted up to more than once', () => {
  const system = rig({ own: ['src->f_mapping', 'dest->f_mapping'], calls: { 'f:1': 'src->f_mapping', 'f:2': 'dest->f_mapping' } });
  const rewrite = (argument: string): unknown => system.say('p', 'f', { type: 'calling_add_parameter', site: 'f:2', argument });
  const second = (): unknown => system.context('f').calls['f:2'];
  expect(second()).toEqual({ page: 'dest->f_mapping', passes: null, rewritten: 0 });
  expect(rewrite('src->f_mapping')).toEqual([{ type: 'passes', argument: 'src->f_mapping' }]);
  expect(second()).toEqual({ page: 'dest->f_mapping', passes: 'src->f_mapping', rewritten: 1 });
  for (let time = 0; time < 2; time++) {
    rewrite('dest->f_mapping');
    expect(second()).toEqual({ page: 'dest->f_mapping', passes: 'dest->f_mapping', rewritten: 2 });
  }
  expect(system.context('f').calls['f:1']).toEqual({ page: 'src->f_mapping', passes: null, rewritten: 0 });
});

test('who understands the code knows which mapping is that of the page', () => {
  const system = rig({ own: ['src->f_mapping', 'dest->f_mapping'], calls: { 'f:1': 'src->f_mapping', 'f:2': 'dest->f_mapping' } });
  expect(system.say('p', 'f', { type: 'which_mapping', site: 'f:2' })).toEqual([{ type: 'mapping', name: 'dest->f_mapping' }]);
  expect(system.say('p', 'f', { type: 'which_mapping', site: 'f:1' })).toEqual([{ type: 'mapping', name: 'src->f_mapping' }]);
});

test('every transition was taken', () => {
  expect(untaken(cFunction)).toEqual([]);
});
