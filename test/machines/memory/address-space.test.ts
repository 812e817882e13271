import { addressSpace, type Pte, pageAt, presentPte } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = (ptes: Record<string, Pte> = {}): Rig => new Rig({ mm: actor(addressSpace, { input: { ptes, vmas: [0, 1, 2], cpumask: ['cpu0'] } }), p: probe() });
const none: Pte = { kind: 'none' };
const pte = (value: Pte): object => ({ type: 'pte', pte: value });

test('a page frame is an actor; a pte is writable, clean and ordinary unless it says otherwise', () => {
  expect(pageAt(7)).toBe('page7');
  expect(presentPte(7)).toEqual({ kind: 'present', pfn: 7, write: true, dirty: false, devmap: false, special: false });
  expect(presentPte(7, { devmap: true, write: false })).toMatchObject({ devmap: true, write: false, special: false });
});

test('a pte is read as it is; one never set is none', () => {
  const system = rig({ 0: presentPte(4) });
  expect(system.say('p', 'mm', { type: 'pte.read', vpn: 0 })).toEqual([pte(presentPte(4))]);
  expect(system.say('p', 'mm', { type: 'pte.read', vpn: 1 })).toEqual([pte(none)]);
  expect(system.context('mm').ptes).toEqual({ 0: presentPte(4) });
});

test('a pte is set', () => {
  const system = rig();
  expect(system.say('p', 'mm', { type: 'pte.set', vpn: 1, pte: presentPte(5) })).toEqual([]);
  expect(system.say('p', 'mm', { type: 'pte.read', vpn: 1 })).toEqual([pte(presentPte(5))]);
});

describe('get_and_clear is an exchange', () => {
  test('it returns what it replaced by none', () => {
    const system = rig({ 0: presentPte(4) });
    expect(system.say('p', 'mm', { type: 'pte.get_and_clear', vpn: 0 })).toEqual([pte(presentPte(4))]);
    expect(system.say('p', 'mm', { type: 'pte.get_and_clear', vpn: 0 })).toEqual([pte(none)]);
  });

  test('it sees a D bit that the walker set after the pte was last read', () => {
    const system = rig({ 0: presentPte(4) });
    system.say('p', 'mm', { type: 'pte.read', vpn: 0 });
    system.say('p', 'mm', { type: 'pte.walk', vpn: 0, write: true });
    expect(system.say('p', 'mm', { type: 'pte.get_and_clear', vpn: 0 })).toEqual([pte(presentPte(4, { dirty: true }))]);
  });
});

describe('a hardware walk', () => {
  test('for a load leaves the pte as it is', () => {
    const system = rig({ 0: presentPte(4) });
    expect(system.say('p', 'mm', { type: 'pte.walk', vpn: 0, write: false })).toEqual([pte(presentPte(4))]);
    expect(system.context('mm').ptes[0]).toEqual(presentPte(4));
  });

  test('for a store sets D, and answers with it', () => {
    const system = rig({ 0: presentPte(4) });
    expect(system.say('p', 'mm', { type: 'pte.walk', vpn: 0, write: true })).toEqual([pte(presentPte(4, { dirty: true }))]);
    expect(system.context('mm').ptes[0]).toEqual(presentPte(4, { dirty: true }));
  });

  test.each<[string, Pte]>([
    ['read-only', presentPte(4, { write: false })],
    ['none', none],
    ['a swap entry', { kind: 'swap', slot: 3 }],
    ['a migration entry', { kind: 'migration', pfn: 4, write: true }],
  ])('for a store does not set D in one that is %s', (_, value) => {
    const system = rig({ 0: value });
    expect(system.say('p', 'mm', { type: 'pte.walk', vpn: 0, write: true })).toEqual([pte(value)]);
    expect(system.context('mm').ptes[0]).toEqual(value);
  });
});

test('the upper levels are there', () => {
  expect(rig().say('p', 'mm', { type: 'pmd.read', vpn: 0 })).toEqual([{ type: 'pmd', kind: 'table' }]);
});

test('VMAs are found until they are unlinked', () => {
  const system = rig();
  const find = (vpn: number): unknown => system.say('p', 'mm', { type: 'vma.find', vpn })[0]?.result;
  expect([find(1), find(2), find(3)]).toEqual(['found', 'found', 'none']);
  system.say('p', 'mm', { type: 'vma.unlink', vpns: [0, 1] });
  expect([find(1), find(2)]).toEqual(['none', 'found']);
});

test('tlb_gen is incremented, then read', () => {
  const system = rig();
  expect(system.say('p', 'mm', 'tlb_gen.inc')).toEqual([{ type: 'tlb_gen', gen: 2 }]);
  expect(system.say('p', 'mm', 'tlb_gen.inc')).toEqual([{ type: 'tlb_gen', gen: 3 }]);
});

test('mm_cpumask is a set', () => {
  const system = rig();
  const mask = (): unknown => system.say('p', 'mm', 'cpumask.read');
  for (const cpu of ['cpu2', 'cpu1', 'cpu2']) system.say('p', 'mm', { type: 'cpumask.set', cpu });
  expect(mask()).toEqual([{ type: 'cpumask', cpus: ['cpu0', 'cpu1', 'cpu2'] }]);
  for (const cpu of ['cpu0', 'cpu9']) system.say('p', 'mm', { type: 'cpumask.clear', cpu });
  expect(mask()).toEqual([{ type: 'cpumask', cpus: ['cpu1', 'cpu2'] }]);
});

test('gathers under way are counted', () => {
  const system = rig();
  for (const message of ['gather.begin', 'gather.begin', 'gather.end']) system.say('p', 'mm', message);
  expect(system.say('p', 'mm', 'gather.read')).toEqual([{ type: 'gathers', pending: 1 }]);
  expect(system.context('mm').tlbFlushPending).toBe(1);
  system.say('p', 'mm', 'gather.end');
  expect(system.context('mm').tlbFlushPending).toBe(0);
});

test('G1 and G2: the flag for fork, and its sequence count', () => {
  const system = rig();
  expect(system.context('mm').hasPinned).toBe(false);
  system.say('p', 'mm', 'has_pinned.set');
  expect(system.context('mm').hasPinned).toBe(true);
  expect(system.say('p', 'mm', 'seqcount.read')).toEqual([{ type: 'seqcount', value: 0 }]);
});

test('every transition was taken', () => {
  expect(untaken(addressSpace)).toEqual([]);
});
