import { nouveauDmemMigrateVma } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe, returns } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const locked = { type: 'locked' };
const found = { pfn: 3, write: true };
/** What migrate_vma returns, call by call, and the page that the device has. */
const rig = (results: object[], page: number | null = 7, machine = nouveauDmemMigrateVma): Rig =>
  new Rig({
    mmap_lock: answers({ down_read: [locked] }),
    migrate_vma: returns(...results),
    dmem: answers({ alloc_page: [{ type: 'page', pfn: page }] }),
    lock7: answers({ lock: [locked] }),
    mutex: answers({ lock: [locked] }),
    gpu: answers({ 'mmu.unmap': [{ type: 'mmu.unmapped' }] }),
    page3: answers({ 'memory.read': [{ type: 'memory.content', value: 'five' }] }),
    page7: answers(),
    path: actor(machine, {
      input: { mmapLock: 'mmap_lock', folioLocks: { 7: 'lock7' }, migrateVma: 'migrate_vma', deviceMemory: 'dmem', mutex: 'mutex', mmu: 'gpu' },
    }),
    p: probe(),
  });
const idle = { caller: '', vpn: -1, source: -1, write: false, target: -1, migrated: false };
const call = (system: Rig): string[] => {
  const before = system.said('path').length;
  system.say('p', 'path', { type: 'call', vpn: 9 });
  system.settle('path');
  expect([system.at('path'), system.context('path')]).toEqual(['idle', expect.objectContaining(idle)]);
  return system.said('path').slice(before);
};
const [lockMm, unlockMm, lockMutex, unlockMutex] = ['mmap_lock: down_read', 'mmap_lock: up_read', 'mutex: lock', 'mutex: unlock'] as const;
const setup = 'migrate_vma: call {"phase":"setup","vpn":9,"select":"system"}';
const pages = 'migrate_vma: call {"phase":"pages","target":7}';
const finalize = (target: number | null): string => `migrate_vma: call {"phase":"finalize","target":${target}}`;
const alloc = ['dmem: alloc_page', 'page7: folio.prep_new', 'lock7: lock'];
const unmap = [lockMutex, 'gpu: mmu.unmap {"vpns":[9]}', unlockMutex];
const copy = ['page3: memory.read {"sample":true}', 'page7: memory.write {"value":"five","device":"gpu"}'];
const map = (write: boolean): string[] => [lockMutex, `gpu: mmu.map {"vpn":9,"pfn":7,"write":${write},"atomic":false}`, unlockMutex];
const returned = (ok: boolean): string => `p: return {"ok":${ok}}`;

test('a page goes to the device, which drops the old one before the copy, and maps the new one when it wants it', () => {
  const system = rig([found, { ok: true }, { pfn: null }]);
  expect(call(system)).toEqual([lockMm, setup, ...alloc, ...unmap, ...copy, pages, finalize(7), unlockMm, returned(true)]);
});

test('twice in a row: the second time there is nothing to migrate', () => {
  const system = rig([found, { ok: true }, { pfn: null }, { pfn: null }]);
  call(system);
  expect(call(system)).toEqual([lockMm, setup, unlockMm, returned(false)]);
});

test('no memory of the device: the page stays', () => {
  expect(call(rig([found, { pfn: null }], null))).toEqual([lockMm, setup, 'dmem: alloc_page', finalize(null), unlockMm, returned(false)]);
});

test('a copy that may not take the place of the page is dropped', () => {
  const said = call(rig([found, { ok: false }, { pfn: null }]));
  expect(said).toEqual([lockMm, setup, ...alloc, ...unmap, ...copy, pages, finalize(7), unlockMm, returned(false)]);
});

describe('without a safeguard', () => {
  test('the device keeps what it has mapped while the page is copied', () => {
    const machine = nouveauDmemMigrateVma.provide({ guards: { invalidatesFirst: () => false } });
    const said = call(rig([found, { ok: true }, { pfn: null }], 7, machine));
    expect(said).toEqual([lockMm, setup, ...alloc, ...copy, pages, finalize(7), unlockMm, returned(true)]);
  });

  const machine = nouveauDmemMigrateVma.provide({ guards: { maps: () => true } });

  test.each([true, false])('the copy is mapped at once, as the CPU had it (write: %s), with no look at the sequence', (write) => {
    const said = call(rig([{ pfn: 3, write }, { ok: true }, { pfn: null }], 7, machine));
    expect(said.slice(-6)).toEqual([...map(write), finalize(7), unlockMm, returned(true)]);
  });

  test('so is a copy that is dropped', () => {
    const said = call(rig([found, { ok: false }, { pfn: null }], 7, machine));
    expect(said.slice(-6)).toEqual([...map(true), finalize(7), unlockMm, returned(false)]);
  });
});

test('every transition was taken', () => {
  expect(untaken(nouveauDmemMigrateVma)).toEqual([]);
});
