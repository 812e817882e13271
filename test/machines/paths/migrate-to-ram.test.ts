import { migrateToRam } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, type Message, probe, returns } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const locked = { type: 'locked' };
const pte = (pte: object): Message => ({ type: 'pte', pte, table: null });
const devpriv = (pfn: number): Message => pte({ kind: 'devpriv', pfn, write: true });

interface Surroundings {
  pte?: Message;
  /** What migrate_vma returns, call by call. */
  results?: object[];
  pfns?: number[];
  machine?: typeof migrateToRam;
}
const rig = ({
  pte = devpriv(7),
  results = [{ pfn: 7, write: true }, { ok: true }, { pfn: null }],
  pfns = [4],
  machine = migrateToRam,
}: Surroundings = {}): Rig => {
  const page = answers({ 'memory.read': [{ type: 'memory.content', value: 'five' }] });
  return new Rig({
    mm: answers({ 'pte.read': [pte] }),
    ptl: answers({ lock: [locked] }),
    lock4: answers({ lock: [locked] }),
    migrate_vma: returns(...results),
    alloc: returns({ pfns }),
    put_device: returns(),
    mutex: answers({ lock: [locked] }),
    gpu: answers({ 'mmu.unmap': [{ type: 'mmu.unmapped' }] }),
    page4: page,
    page7: page,
    page8: page,
    path: actor(machine, {
      input: {
        mm: 'mm',
        ptl: 'ptl',
        folioLocks: { 4: 'lock4' },
        migrateVma: 'migrate_vma',
        allocPages: 'alloc',
        putDevicePage: 'put_device',
        mutex: 'mutex',
        mmu: 'gpu',
      },
    }),
    p: probe(),
  });
};
const idle = { caller: '', vpn: -1, pfn: -1, source: -1, target: -1 };
const call = (system: Rig): string[] => {
  const before = system.said('path').length;
  system.say('p', 'path', { type: 'call', vpn: 9, pfn: 7 });
  system.settle('path');
  expect([system.at('path'), system.context('path')]).toEqual(['idle', expect.objectContaining(idle)]);
  return system.said('path').slice(before);
};
const look = ['ptl: lock', 'mm: pte.read {"vpn":9}'];
const get = ['page7: folio.ref_inc', 'ptl: unlock'];
const setup = 'migrate_vma: call {"phase":"setup","vpn":9,"select":"device_private","faultPage":7}';
const unmap = 'gpu: mmu.unmap {"vpns":[9]}';
const copy = (source: number): string[] => [
  'lock4: lock',
  `page${source}: memory.read {"sample":true,"device":"gpu"}`,
  'page4: memory.write {"value":"five"}',
  'mutex: unlock',
];
const pages = 'migrate_vma: call {"phase":"pages","target":4}';
const finalize = (target: number | null): string => `migrate_vma: call {"phase":"finalize","target":${target}}`;
const end = ['put_device: call {"pfn":7,"pinned":false}', 'p: return {"ok":true}'];

test('a page comes back: the device drops it, an engine copies it, and the reference of the fault is the last', () => {
  const system = rig();
  expect(call(system)).toEqual([...look, ...get, setup, 'alloc: call', 'mutex: lock', unmap, ...copy(7), pages, finalize(4), ...end]);
});

test.each<[string, Message]>([
  ['gone', pte({ kind: 'none' })],
  ['that of another page', devpriv(8)],
  ['a migration entry', pte({ kind: 'migration', pfn: 7, write: true })],
])('an entry that is %s by now: nothing is done, and the access is tried again; twice in a row', (_, pte) => {
  const system = rig({ pte });
  const said = [...look, 'ptl: unlock', 'p: return {"ok":true}'];
  expect(call(system)).toEqual(said);
  expect(call(system)).toEqual(said);
});

test('a page that is in use stays, and the access is tried again', () => {
  expect(call(rig({ results: [{ pfn: null }] }))).toEqual([...look, ...get, setup, ...end]);
});

test('a page that has taken its place meanwhile is the one that is migrated', () => {
  const said = call(rig({ results: [{ pfn: 8, write: true }, { ok: true }, { pfn: null }] }));
  expect(said).toEqual([...look, ...get, setup, 'alloc: call', 'mutex: lock', unmap, ...copy(8), pages, finalize(4), ...end]);
});

test('no memory: it stays', () => {
  expect(call(rig({ pfns: [], results: [{ pfn: 7, write: true }, { pfn: null }] }))).toEqual([...look, ...get, setup, 'alloc: call', finalize(null), ...end]);
});

test('a copy that may not take the place of the page is dropped', () => {
  const said = call(rig({ results: [{ pfn: 7, write: true }, { ok: false }, { pfn: null }] }));
  expect(said.slice(-4)).toEqual([pages, finalize(4), ...end]);
});

test('without a safeguard: the device keeps what it has mapped while the page is copied', () => {
  const machine = migrateToRam.provide({ guards: { invalidatesFirst: () => false } });
  expect(call(rig({ machine }))).toEqual([...look, ...get, setup, 'alloc: call', 'mutex: lock', ...copy(7), pages, finalize(4), ...end]);
});

test('every transition was taken', () => {
  expect(untaken(migrateToRam)).toEqual([]);
});
