import { stableTree } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { type Message, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = (pfns?: number[]): Rig => new Rig({ tree: actor(stableTree, { input: pfns ? { pfns } : {} }), p: probe() });
const read = (system: Rig): Message[] => system.say('p', 'tree', 'tree.read');
const listed = (...pfns: number[]): Message[] => [{ type: 'tree.nodes', pfns }];

test('it is empty at first, or lists what is stable already', () => {
  expect([read(rig()), read(rig([4, 2]))]).toEqual([listed(), listed(4, 2)]);
});

test('pages are listed in the order of insertion, each once', () => {
  const system = rig([4]);
  for (const pfn of [7, 2, 4, 7]) expect(system.say('p', 'tree', { type: 'tree.insert', pfn })).toEqual([]);
  expect(read(system)).toEqual(listed(4, 7, 2));
});

test('a page is removed, the others stay; one that is not listed is no matter', () => {
  const system = rig([4, 7, 2]);
  for (const pfn of [7, 9]) expect(system.say('p', 'tree', { type: 'tree.remove', pfn })).toEqual([]);
  expect(read(system)).toEqual(listed(4, 2));
});

test('every transition was taken', () => {
  expect(untaken(stableTree)).toEqual([]);
});
