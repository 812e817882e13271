import { folio } from '../../../machines/memory/folio.js';
import { pageAllocator } from '../../../machines/memory/page-allocator.js';
import { vmemAltmap } from '../../../machines/memory/vmem-altmap.js';
import { vmemmap } from '../../../machines/memory/vmemmap.js';
import { vmemmapPopulate } from '../../../machines/paths/vmemmap-populate.js';
import { actor } from '../../../src/index.js';
import { answers, probe } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

interface Setup {
  free?: number[];
  /** Frames of the altmap; null: there is none. */
  altmap?: string[] | null;
  translation?: 'init_mm' | 'hash' | 'top-level';
  /** By page of the vmemmap: what is mapped already. */
  mapped?: Record<string, string>;
  machine?: typeof vmemmapPopulate;
}

/** Two struct pages share a frame. */
const cells = (frame: string): Actors => ({ [`${frame}+0`]: answers(), [`${frame}+4`]: answers() });
const frame = (pfn: number): Actors => ({ [`page${pfn}`]: actor(folio, { input: { pfn, refcount: 0, idle: 0, zone: 'normal' } }), ...cells(`page${pfn}`) });
const entries = (mapped: Record<string, string>) => Object.fromEntries(Object.entries(mapped).map(([vpage, to]) => [vpage, { frame: to, write: true }]));

const rig = ({ free = [100, 101], altmap = null, translation = 'init_mm', mapped = {}, machine = vmemmapPopulate }: Setup = {}): Rig =>
  new Rig({
    ...frame(100),
    ...frame(101),
    ...cells('altmap0'),
    ...cells('altmap1'),
    allocator: actor(pageAllocator, { input: { free }, choices: [] }),
    altmap: actor(vmemAltmap, { input: { frames: altmap ?? [] } }),
    vmemmap: actor(vmemmap, {
      input: {
        ...{ structPage: 4, page: 8, translation, slot: 2, threads: { task0: { cpu: 'cpu0', mm: 'mm0' } } },
        [translation === 'hash' ? 'bolted' : 'ptes']: entries(mapped),
      },
      choices: [],
    }),
    populate: actor(machine, {
      input: { vmemmap: 'vmemmap', allocator: 'allocator', altmap: altmap ? 'altmap' : null, hash: translation === 'hash' },
    }),
    p: probe(),
  });
const call = (system: Rig, vpages: number[]): Rig => {
  system.say('p', 'populate', { type: 'call', vpages });
  return system.settle();
};
const populated = (setup: Setup, vpages: number[]): Rig => call(rig(setup), vpages);

const read = (vpage: number) => `vmemmap: vmemmap.read_pte {"vpage":${vpage}}`;
const set = (vpage: number, to: string) => `vmemmap: vmemmap.set_pte {"vpage":${vpage},"frame":"${to}","fresh":true}`;
const bolt = (vpage: number, to: string) => `vmemmap: vmemmap.bolt {"vpage":${vpage},"frame":"${to}","fresh":true}`;
const ofRam = (pfn: number) => ['allocator: alloc_page', `page${pfn}: folio.prep_new`];
const sync = 'vmemmap: vmemmap.sync_pgds';
const done = 'p: return {"ok":true}';
const failed = 'p: return {"ok":false}';

function expectAtRest(system: Rig, ok: boolean): void {
  expect(system.context('populate')).toMatchObject({ caller: '', vpages: [], frame: null });
  expect([system.at('populate'), system.heard('p').at(-1), system.bugs()]).toEqual(['idle', { type: 'return', ok }, []]);
}

describe('vmemmap_populate', () => {
  test('gives each page a frame of its own, with one reference, and syncs the top level', () => {
    const system = populated({}, [4, 5]);
    expect(system.said('populate')).toEqual([read(4), ...ofRam(100), set(4, 'page100'), read(5), ...ofRam(101), set(5, 'page101'), sync, done]);
    expect(system.context('vmemmap').ptes).toEqual(entries({ 4: 'page100', 5: 'page101' }));
    expect([system.context('page100').refcount, system.context('page101').refcount]).toEqual([1, 1]);
    expectAtRest(system, true);
  });

  test('struct pages in a fresh frame hold poison', () => {
    const system = populated({}, [4]);
    expect([system.heard('page100+0'), system.heard('page100+4'), system.heard('page101+0')]).toEqual([
      [{ type: 'page.poison' }],
      [{ type: 'page.poison' }],
      [],
    ]);
  });

  test('takes one access at a time', () => {
    const system = rig();
    system.say('p', 'populate', { type: 'call', vpages: [4] });
    const places = [system.at('populate')];
    while (system.can('populate', 'step')) places.push(system.take('populate', 'step').at('populate'));
    expect(places).toEqual(['vmemmap_pte_populate', 'vmemmap_alloc_block_buf', 'set_pte_at', 'sync_global_pgds', 'idle']);
  });

  test('leaves what is mapped', () => {
    const system = populated({ mapped: { 4: 'page101' }, free: [100] }, [4, 5]);
    expect(system.said('populate')).toEqual([read(4), read(5), ...ofRam(100), set(5, 'page100'), sync, done]);
    expect(system.context('vmemmap').ptes).toEqual(entries({ 4: 'page101', 5: 'page100' }));
    expectAtRest(system, true);
  });

  test('of nothing only syncs', () => {
    expect(populated({}, []).said('populate')).toEqual([sync, done]);
  });

  test('without memory fails; what was mapped by then stays, and nothing is synced', () => {
    const system = populated({ free: [100] }, [4, 5]);
    expect(system.said('populate')).toEqual([read(4), ...ofRam(100), set(4, 'page100'), read(5), 'allocator: alloc_page', failed]);
    expect(system.context('vmemmap').ptes).toEqual(entries({ 4: 'page100' }));
    expectAtRest(system, false);
  });

  test('can be called again: after a failure it goes on where it stopped', () => {
    const system = populated({ free: [100] }, [4, 5]);
    system.say('p', 'allocator', { type: 'free_page', pfn: 101, lufKey: null });
    expect(call(system, [4, 5]).context('vmemmap').ptes).toEqual(entries({ 4: 'page100', 5: 'page101' }));
    expectAtRest(system, true);
  });
});

describe('with an altmap', () => {
  test('frames are of the device, and no page of RAM is asked for', () => {
    const system = populated({ altmap: ['altmap0', 'altmap1'] }, [4, 5]);
    expect(system.said('populate')).toEqual([
      read(4),
      'altmap: altmap.alloc',
      set(4, 'altmap0'),
      read(5),
      'altmap: altmap.alloc',
      set(5, 'altmap1'),
      sync,
      done,
    ]);
    expect([system.context('altmap').allocated, system.heard('allocator')]).toEqual([2, []]);
    expectAtRest(system, true);
  });

  test('that is used up there is no memory, be there RAM or not', () => {
    const system = populated({ altmap: ['altmap0'] }, [4, 5]);
    expect([system.said('populate').slice(-2), system.heard('allocator')]).toEqual([['altmap: altmap.alloc', failed], []]);
    expect(system.context('vmemmap').ptes).toEqual(entries({ 4: 'altmap0' }));
    expectAtRest(system, false);
  });
});

describe('with the hash MMU', () => {
  test('the frame is bolted, init_mm says nothing, and there is no top level to sync', () => {
    const system = populated({ translation: 'hash' }, [4, 5]);
    expect(system.said('populate')).toEqual([read(4), ...ofRam(100), bolt(4, 'page100'), read(5), ...ofRam(101), bolt(5, 'page101'), done]);
    expect([system.context('vmemmap').bolted, system.context('vmemmap').ptes]).toEqual([entries({ 4: 'page100', 5: 'page101' }), {}]);
    expect(system.heard('page100+0')).toEqual([{ type: 'page.poison' }]);
    expectAtRest(system, true);
  });

  test('what is bolted stays', () => {
    expect(populated({ translation: 'hash', mapped: { 4: 'page101' } }, [4]).said('populate')).toEqual([read(4), done]);
  });
});

describe('row E11: a new top-level entry', () => {
  test('gets to every mm', () => {
    expect(populated({ translation: 'top-level' }, [4]).context('vmemmap').slots).toEqual({ init_mm: [2], mm0: [2] });
  });

  test('with the safeguard out stays in init_mm', () => {
    const system = populated({ translation: 'top-level', machine: vmemmapPopulate.provide({ guards: { syncsTopLevel: () => false } }) }, [4]);
    expect(system.said('populate')).toEqual([read(4), ...ofRam(100), set(4, 'page100'), done]);
    expect(system.context('vmemmap').slots).toEqual({ init_mm: [2], mm0: [] });
    expectAtRest(system, true);
  });
});

test('every transition was taken', () => {
  expect(untaken(vmemmapPopulate)).toEqual([]);
});
