import { type Area, addressSpace, coherence, mmap, rwsem } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const area: Area = { mapping: 'file_g', index: 0, anonymous: false, read: true, write: true };

const rig = (judge: string | null = 'coherence'): Rig =>
  new Rig({
    mm: actor(addressSpace, { input: { ptes: {}, vmas: [2], cpumask: [] } }),
    mmap_lock: actor(rwsem),
    coherence: actor(coherence, { input: { cells: { f: 'f.v0', g: 'g.v0' }, places: { 'mm/0': { cell: 'f', read: false, write: false } } } }),
    mmap: actor(mmap, { input: { mm: 'mm', mmapLock: 'mmap_lock', coherence: judge } }),
    p: probe(),
  });
const call = (system: Rig, vpn = 0, of = area): Rig => {
  system.say('p', 'mmap', { type: 'call', vpn, area: of, cell: 'g' });
  return system;
};
function expectAtRest(system: Rig): void {
  expect([system.at('mmap'), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', { type: 'return' }, []]);
  expect(system.context('mmap')).toMatchObject({ caller: '', vpn: -1, area: null, cell: '' });
  expect(system.context('mmap_lock')).toEqual({ writer: null, readers: [], waiters: [] });
}

test('with mmap_lock held for writing the VMA is linked; the page stands for the new file when mmap returns', () => {
  const system = call(rig()).settle();
  expect(system.said('mmap')).toEqual([
    'mmap_lock: down_write',
    'mm: vma.link {"vpns":[0],"areas":{"0":{"mapping":"file_g","index":0,"anonymous":false,"read":true,"write":true}}}',
    'mmap_lock: up_write',
    'coherence: place.map {"mm":"mm","vpn":0,"cell":"g","write":true}',
    'p: return',
  ]);
  expect([system.context('mm').vmas, system.context('mm').areas]).toEqual([[0, 2], { 0: area }]);
  expect(system.context('coherence').places['mm/0']).toEqual({ cell: 'g', read: true, write: true, formerly: ['f'] });
  expectAtRest(system);
});

test('the VMA is in the tree before mmap returns, and mmap_lock is held until then', () => {
  const system = call(rig()).stepTo('mmap', 'mmap_write_unlock');
  expect([system.context('mm').vmas, system.context('mmap_lock').writer, system.heard('p'), system.heard('coherence')]).toEqual([[0, 2], 'mmap', [], []]);
});

test('a VMA that may not be written is mapped so', () => {
  const system = call(rig(), 0, { ...area, write: false }).settle();
  expect([system.context('mm').areas[0].write, system.context('coherence').places['mm/0'].write]).toEqual([false, false]);
});

test('nobody is told where nobody judges', () => {
  const system = call(rig(null)).settle();
  expect([system.heard('coherence'), system.context('mm').vmas]).toEqual([[], [0, 2]]);
  expectAtRest(system);
});

test('where a VMA was unlinked, the rmap finds the new one from here, not the old one', () => {
  const system = call(rig(), 0, { ...area, mapping: 'file_f', index: 1 }).settle();
  system.say('p', 'mm', { type: 'vma.unlink', vpns: [0] });
  expect([system.context('mm').vmas, system.context('mm').areas[0].mapping]).toEqual([[2], 'file_f']);
  expect([call(system).settle().context('mm').vmas, system.context('mm').areas]).toEqual([[0, 2], { 0: area }]);
  expectAtRest(system);
});

test('it sleeps while others hold mmap_lock', () => {
  const system = rig();
  system.say('p', 'mmap_lock', 'down_read');
  call(system).settle();
  expect([system.at('mmap'), system.can('mmap', 'step'), system.context('mm').vmas]).toEqual(['wait_for_mmap_lock', false, [2]]);
  system.say('p', 'mmap_lock', 'up_read');
  expect(system.settle().context('mm').vmas).toEqual([0, 2]);
  expectAtRest(system);
});

test('it can be called again', () => {
  const system = call(call(rig()).settle(), 5).settle();
  expect([system.context('mm').vmas, system.heard('p')]).toEqual([
    [0, 2, 5],
    [{ type: 'return' }, { type: 'return' }],
  ]);
  expectAtRest(system);
});

test('every transition was taken', () => {
  expect(untaken(mmap)).toEqual([]);
});
