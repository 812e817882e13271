import type { InputFrom } from 'xstate';
import { folio } from '../../../machines/index.js';
import { structPage } from '../../../machines/memory/struct-page.js';
import { structPageAt, type VmemmapConfig, vmemmap, vmemmapCanOptimize, vmemmapPagesOf } from '../../../machines/memory/vmemmap.js';
import { actor } from '../../../src/index.js';
import { answers, type Message, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

type Input = InputFrom<typeof vmemmap>;

const page = 8;
const frames = ['page100', 'page101', 'altmap0'];
const cells = frames.flatMap((frame) => Array.from({ length: page }, (_, offset) => structPageAt(frame, offset)));
const standIns = Object.fromEntries([...frames, ...cells].map((address) => [address, answers({ 'page.head': [{ type: 'page.head', head: 0 }] })]));
const pages = Object.fromEntries(Array.from({ length: 12 }, (_, pfn) => [`page${pfn}`, actor(structPage, { input: { pfn }, choices: [] })]));

/** Four struct pages of two units in a page of the vmemmap, unless it is told otherwise. */
const rig = (input: Partial<Input> = {}, others: object = {}): Rig =>
  new Rig({
    ...standIns,
    ...pages,
    vmemmap: actor(vmemmap, { input: { structPage: 2, page, translation: 'init_mm', ...input }, choices: [] }),
    p: probe(),
    'q.walk': probe(),
    ...others,
  });

const to = (frame: string, write = true): { frame: string; write: boolean } => ({ frame, write });
const tell = (system: Rig, message: Message | string, by = 'p'): Rig => {
  expect(system.say(by, 'vmemmap', message)).toEqual([]);
  return system;
};
const setPte = (vpage: number, frame: string, more: object = {}): Message => ({ type: 'vmemmap.set_pte', vpage, frame, ...more });
const bolt = (vpage: number, frame: string, more: object = {}): Message => ({ type: 'vmemmap.bolt', vpage, frame, ...more });
const read = (system: Rig, vpage: number): unknown => system.say('p', 'vmemmap', { type: 'vmemmap.read_pte', vpage })[0]?.frame;
/** As generic code reads it, which makes the tables on the way there. */
const readMaking = (system: Rig, vpage: number): unknown => system.say('p', 'vmemmap', { type: 'vmemmap.read_pte', vpage, makesTables: true })[0]?.frame;
const init = { type: 'page.init', refcount: 1 };
/** Whether a thread finds a struct page. */
const reaches = (system: Rig, pfn: number, by = 'p'): boolean => system.say(by, `page${pfn}`, 'page.head').length === 1;
const fill = (cpu: string, vpage: number): Message => ({ type: 'fill', cpu, vpage });
const evict = (cpu: string, vpage: number): Message => ({ type: 'evict', cpu, vpage });
const poisoned = (system: Rig): string[] => cells.filter((cell) => system.heard(cell).some(({ type }) => type === 'page.poison'));
const unmappedBug = 'BUG: a struct page is touched where nothing is mapped';
const readOnlyBug = 'BUG: a struct page is written through a read-only mapping';
const foreignBug = 'BUG: a struct page is touched where an entry of zeros leads: to memory of somebody else';
const mixedBug = 'BUG: a struct page lies across fields of others, in a frame that was laid out for another place';

describe('vmemmap_can_optimize', () => {
  const good: VmemmapConfig = { wanted: true, override: true, hugetlb: false, structPage: 2, page, nr: 12, altmap: false, pgmap: true };

  test('yes, where a compound has more than two pages of the vmemmap', () => {
    expect([8, 11, 12, 16].map((nr) => vmemmapCanOptimize({ ...good, nr }))).toEqual([false, false, true, true]);
  });

  test.each([{ wanted: false }, { override: false }, { structPage: 3 }, { altmap: true }, { pgmap: false }])('not with %j', (change) => {
    expect(vmemmapCanOptimize({ ...good, ...change })).toBe(false);
  });

  test.each([
    [1, 24],
    [4, 6],
  ])('struct pages of %i units are powers of two', (size, nr) => {
    expect(vmemmapCanOptimize({ ...good, structPage: size, nr })).toBe(true);
  });
});

test.each([
  [2, 0, 4, [0]],
  [2, 4, 8, [1, 2]],
  [2, 3, 2, [0, 1]],
  [3, 2, 1, [0, 1]],
  [3, 0, 8, [0, 1, 2]],
  [4, 5, 0, []],
])('struct pages of %i units: those of pfn %i and on, %i of them, touch pages %j', (structPage, first, nr, expected) => {
  expect(vmemmapPagesOf({ structPage, page }, first, nr)).toEqual(expected);
});

describe('an access', () => {
  test('touches the frame, and goes to the struct page that lies there, signed as it was', () => {
    const system = rig({ ptes: { 0: to('page100'), 1: to('page101') } });
    system.say('p', 'page5', init);
    expect(system.said('vmemmap')).toEqual(['page101: memory.access {"write":true}']);
    expect(system.said('p').at(-1)).toBe('page101+2: page.init {"refcount":1}');
  });

  test('to look up a head says which pfn it is about; what lies there answers', () => {
    const system = rig({ ptes: { 0: to('page100') } });
    expect(system.say('p', 'page3', 'page.head')).toEqual([{ type: 'page.head', head: 0 }]);
    expect(system.heard('page100+6')).toEqual([{ type: 'page.head', pfn: 3 }]);
  });

  test.each(['page.head', 'page.read', 'folio.nr_pages'])('%s is a load', (type) => {
    const system = rig({ ptes: { 0: to('page100', false) } });
    system.say('p', 'page0', type);
    expect([system.said('vmemmap'), system.bugs()]).toEqual([['page100: memory.access {"write":false}'], []]);
  });

  test.each([init, { type: 'page.prep_tail', head: 0 }, { type: 'folio.try_get' }, { type: 'page.poison' }])(
    '%j is a store: a fault, if read-only',
    (store) => {
      const system = rig({ ptes: { 0: to('page100', false) } });
      system.say('p', 'page1', store);
      expect(system.bugs()).toEqual([readOnlyBug]);
      expect(system.context('vmemmap').fault).toEqual({ pfn: 1, vpage: 0, by: 'p', event: store.type, offset: 0 });
      expect(system.heard('page100+2')).toEqual([]);
    },
  );

  test('E1: where nothing is mapped is a fault, which says who touched what', () => {
    const system = rig({ ptes: { 0: to('page100') } });
    system.say('q.walk', 'page6', { ...init, offset: 1 });
    expect([system.at('vmemmap'), system.bugs()]).toEqual(['page_fault', [unmappedBug]]);
    expect(system.context('vmemmap').fault).toEqual({ pfn: 6, vpage: 1, by: 'q.walk', event: 'page.init', offset: 1 });
    expect(system.said('vmemmap')).toEqual([]);
  });

  test('through a pte whose frame was freed is a bug', () => {
    const system = rig(
      { ptes: { 0: to('page102') } },
      { page102: actor(folio, { input: { pfn: 102, refcount: 0, idle: 0, zone: 'normal' } }), 'page102+0': answers() },
    );
    system.say('p', 'page0', 'page.head');
    expect(system.bugs()).toEqual(['BUG: a stale translation leads to a page that was freed']);
  });

  test('is none while the frame is in use', () => {
    const system = rig(
      { ptes: { 0: to('page102') } },
      { page102: actor(folio, { input: { pfn: 102, refcount: 1, idle: 0, zone: 'normal' } }), 'page102+0': answers() },
    );
    system.say('p', 'page0', init);
    expect([system.bugs(), system.heard('page102+0')]).toEqual([[], [init]]);
  });
});

describe('a struct page that straddles two pages', () => {
  const straddling = (ptes: Input['ptes']): Rig => rig({ structPage: 3, ...(ptes ? { ptes } : {}) });

  test('touches the frames of both, and is at the end of the first', () => {
    const system = straddling({ 0: to('page100'), 1: to('page101') });
    system.say('p', 'page2', init);
    expect(system.said('vmemmap')).toEqual(['page100: memory.access {"write":true}', 'page101: memory.access {"write":true}']);
    expect([system.heard('page100+6').at(-1), system.bugs()]).toEqual([init, []]);
  });

  test.each([
    [0, { 1: to('page101') }],
    [1, { 0: to('page100') }],
  ])('faults where page %i is missing', (vpage, ptes) => {
    const system = straddling(ptes);
    system.say('p', 'page2', 'page.head');
    expect(system.context('vmemmap').fault).toEqual({ pfn: 2, vpage, by: 'p', event: 'page.head', offset: 0 });
  });

  test('faults where its second page is read-only', () => {
    const system = straddling({ 0: to('page100'), 1: to('page101', false) });
    system.say('p', 'page2', init);
    expect([system.bugs(), system.context('vmemmap').fault.vpage]).toEqual([[readOnlyBug], 1]);
  });
});

describe('a frame that is mapped for several pages', () => {
  test('serves struct pages of each, where their size divides that of a page', () => {
    const system = rig({ ptes: { 1: to('page101'), 2: to('page101') } });
    system.say('p', 'page5', init);
    system.say('p', 'page9', init);
    expect(system.heard('page101+2')).toEqual([init, init]);
    expect([system.heard('page101').length, system.bugs()]).toEqual([2, []]);
  });

  test('E7: mixes up their fields, where it does not', () => {
    const system = rig({ structPage: 3, ptes: { 1: to('page101'), 2: to('page101') } });
    system.say('p', 'page3', init);
    expect([system.heard('page101+1'), system.bugs()]).toEqual([[init], []]);
    system.say('p', 'page6', 'page.head');
    expect([system.at('vmemmap'), system.bugs()]).toEqual(['fields_mixed', [mixedBug]]);
    expect(system.context('vmemmap').fault).toEqual({ pfn: 6, vpage: 2, by: 'p', event: 'page.head', offset: 0 });
  });

  test('E7: for a struct page it is enough that its second page is laid out otherwise', () => {
    const system = rig({ structPage: 3, ptes: { 0: to('page100'), 1: to('page100') } });
    system.say('p', 'page2', init);
    expect([system.bugs(), system.context('vmemmap').fault.vpage]).toEqual([[mixedBug], 1]);
  });

  test('does not, where the pages are alike by chance', () => {
    const system = rig({ structPage: 3, ptes: { 0: to('page100'), 3: to('page100') } });
    system.say('p', 'page8', init);
    system.say('p', 'page9', init);
    expect([system.heard('page100+0').at(-1), system.bugs()]).toEqual([init, []]);
  });

  test('is laid out for the page for which it was first mapped', () => {
    const system = tell(tell(rig({ structPage: 3 }), setPte(2, 'page101', { fresh: true })), setPte(1, 'page101'));
    expect(system.context('vmemmap').origins).toEqual({ page101: 2 });
    system.say('p', 'page6', init);
    expect(system.bugs()).toEqual([]);
    system.say('p', 'page3', init);
    expect(system.bugs()).toEqual([mixedBug]);
  });

  test('without the mark `fresh` too', () => {
    const system = tell(tell(rig({ structPage: 3 }), setPte(2, 'page101')), setPte(1, 'page101'));
    expect(system.context('vmemmap').origins).toEqual({ page101: 2 });
  });

  test('keeps that as long as a pte leads to it', () => {
    const system = tell(rig({ ptes: { 1: to('page101'), 2: to('page101') } }), { type: 'vmemmap.clear_pte', vpage: 1 });
    expect(system.context('vmemmap').origins).toEqual({ page101: 1 });
    expect(tell(system, { type: 'vmemmap.clear_pte', vpage: 2 }).context('vmemmap').origins).toEqual({});
    expect(tell(system, setPte(2, 'page101')).context('vmemmap').origins).toEqual({ page101: 2 });
  });

  test('forgets it when another frame takes the place of the last pte, and notes it anew when it is fresh', () => {
    const system = tell(rig({ ptes: { 1: to('page101'), 2: to('page100') } }), setPte(1, 'page100'));
    expect(system.context('vmemmap').origins).toEqual({ page100: 2 });
    expect(tell(system, setPte(0, 'page100', { fresh: true })).context('vmemmap').origins).toEqual({ page100: 0 });
  });
});

describe('the tables of init_mm', () => {
  test('are read by software, written and cleared', () => {
    const system = rig({ ptes: { 0: to('page100') } });
    expect([read(system, 0), read(system, 1)]).toEqual(['page100', null]);
    tell(system, setPte(1, 'altmap0'));
    expect([read(system, 1), reaches(system, 4)]).toEqual(['altmap0', true]);
    tell(system, { type: 'vmemmap.clear_pte', vpage: 1 });
    expect([read(system, 0), read(system, 1), reaches(system, 0), reaches(system, 4)]).toEqual(['page100', null, true, false]);
  });

  test('map read-only on demand', () => {
    const system = tell(rig(), setPte(0, 'page100', { write: false }));
    expect(reaches(system, 0)).toBe(true);
    system.say('p', 'page0', init);
    expect(system.bugs()).toEqual([readOnlyBug]);
  });

  test('a fresh frame holds poison where struct pages begin, another what it held', () => {
    expect(poisoned(tell(rig(), setPte(1, 'page101')))).toEqual([]);
    expect(poisoned(tell(rig(), setPte(1, 'page101', { fresh: true })))).toEqual(['page101+0', 'page101+2', 'page101+4', 'page101+6']);
    const system = tell(tell(rig({ structPage: 3 }), setPte(1, 'page101', { fresh: true })), setPte(2, 'altmap0', { fresh: true }));
    expect(poisoned(system)).toEqual(['page101+1', 'page101+4', 'page101+7', 'altmap0+2', 'altmap0+5']);
  });

  test('a bolted entry is not looked at', () => {
    const system = tell(rig(), bolt(0, 'page100'));
    expect([read(system, 0), reaches(system, 0)]).toEqual([null, false]);
    expect(system.bugs()).toEqual([unmappedBug]);
  });
});

describe('where an entry of zeros is valid', () => {
  const zero = { firstFrame: 'page101', zeroIsValid: true };
  /** Page 1 of the vmemmap has such an entry. */
  const zeroed = (input: Partial<Input> = {}): Rig => {
    const system = rig({ ...zero, ...input });
    expect(readMaking(system, 1)).toBe('page101');
    return system;
  };

  test('who makes tables finds every page mapped, and leaves the entry there', () => {
    const system = zeroed({ ptes: { 0: to('page100') } });
    expect(system.context('vmemmap').ptes).toEqual({ 0: to('page100'), 1: to('page101') });
    expect([read(system, 1), read(system, 2)]).toEqual(['page101', null]);
  });

  test('who makes none finds nothing, and leaves nothing', () => {
    const system = rig(zero);
    expect([read(system, 1), system.context('vmemmap').ptes, reaches(system, 4)]).toEqual([null, {}, false]);
    expect(system.bugs()).toEqual([unmappedBug]);
  });

  test('an entry that was there stays', () => {
    const system = rig({ ...zero, ptes: { 1: to('page100', false) } });
    expect([readMaking(system, 1), system.context('vmemmap').ptes]).toEqual(['page100', { 1: to('page100', false) }]);
  });

  test('elsewhere new tables are empty', () => {
    const system = rig({ firstFrame: 'page101' });
    expect([readMaking(system, 1), system.context('vmemmap').ptes]).toEqual([null, {}]);
  });

  test('E15: elsewhere too, whoever maps what such an entry names leads others there', () => {
    const system = tell(rig({ firstFrame: 'page101', ptes: { 0: to('page100') } }), setPte(1, 'page101'));
    expect([reaches(system, 3), system.bugs()]).toEqual([true, []]);
    expect([reaches(system, 4), system.bugs()]).toEqual([false, [foreignBug]]);
  });

  test.each<Message>([{ type: 'page.head' }, init, { type: 'page.poison' }])('%j is an access to memory of others, and goes nowhere', (touch) => {
    const system = zeroed();
    const before = system.said('vmemmap');
    system.say('q.walk', 'page5', touch);
    expect([system.at('vmemmap'), system.bugs()]).toEqual(['foreign_memory', [foreignBug]]);
    expect(system.context('vmemmap').fault).toEqual({ pfn: 5, vpage: 1, by: 'q.walk', event: touch.type, offset: 0 });
    expect([system.said('vmemmap'), system.heard('page101'), system.heard('page101+2')]).toEqual([before, [], []]);
  });

  test('so is a memset', () => {
    const system = zeroed({ ptes: { 0: to('page100') } });
    system.say('p', 'vmemmap', { type: 'vmemmap.poison', vpages: [0, 1] });
    expect([system.bugs(), poisoned(system)]).toEqual([[foreignBug], []]);
    expect(system.context('vmemmap').fault).toEqual({ pfn: 4, vpage: 1, by: 'p', event: 'page.poison', offset: 0 });
  });

  test('of a struct page that straddles, one page suffices, before it matters that the other is read-only', () => {
    const system = zeroed({ structPage: 3, ptes: { 0: to('page100', false) } });
    system.say('p', 'page2', init);
    expect([system.bugs(), system.context('vmemmap').fault.vpage]).toEqual([[foreignBug], 1]);
  });

  test('nothing at all is worse: that is a fault', () => {
    const system = zeroed({ structPage: 3 });
    system.say('p', 'page2', init);
    expect([system.bugs(), system.context('vmemmap').fault.vpage]).toEqual([[unmappedBug], 0]);
  });

  test('what is mapped otherwise is touched as ever', () => {
    const system = zeroed({ ptes: { 0: to('page100') } });
    system.say('p', 'page1', init);
    expect([system.heard('page100+2'), system.bugs()]).toEqual([[init], []]);
  });

  test('a frame in its place makes it right, but for a TLB that has it', () => {
    const system = zeroed({ threads: { p: { cpu: 'cpu1', mm: 'init_mm' } } }).take('vmemmap', fill('cpu1', 1));
    tell(system, setPte(1, 'altmap0'));
    expect([reaches(system, 4, 'q.walk'), system.bugs()]).toEqual([true, []]);
    expect([reaches(system, 4), system.bugs()]).toEqual([false, [foreignBug]]);
  });
});

describe('with a hash table', () => {
  test('bolted entries translate, for loads and stores', () => {
    const system = tell(rig({ translation: 'hash' }), bolt(1, 'page101', { fresh: true }));
    expect(poisoned(system)).toEqual(['page101+0', 'page101+2', 'page101+4', 'page101+6']);
    expect([read(system, 1), reaches(system, 4)]).toEqual(['page101', true]);
    system.say('p', 'page4', init);
    expect(system.bugs()).toEqual([]);
  });

  test('E1: ptes of init_mm are found by software, and never by the MMU', () => {
    const system = tell(rig({ translation: 'hash' }), setPte(1, 'page101', { fresh: true }));
    expect(read(system, 1)).toBe('page101');
    system.say('p', 'page4', { ...init, offset: 1 });
    expect(system.bugs()).toEqual([unmappedBug]);
    expect(system.context('vmemmap').fault).toEqual({ pfn: 4, vpage: 1, by: 'p', event: 'page.init', offset: 1 });
  });

  test('an entry may be bolted from the start, and clearing takes it away', () => {
    const system = rig({ translation: 'hash', bolted: { 0: to('page100'), 1: to('page101') } });
    expect([reaches(system, 0), reaches(system, 4)]).toEqual([true, true]);
    tell(system, { type: 'vmemmap.clear_pte', vpage: 1 });
    expect([read(system, 1), reaches(system, 0), reaches(system, 4)]).toEqual([null, true, false]);
  });
});

describe('with top-level entries of each mm', () => {
  const threads = { p: { cpu: 'cpu1', mm: 'mm0' } };
  const setup = { translation: 'top-level', slot: 2, threads } as const;
  const two = { ptes: { 1: to('page100'), 2: to('page101') }, slots: { init_mm: [0, 1], mm0: [0] } };

  test('a thread reaches what its mm has the entry for; others run in init_mm', () => {
    const system = rig({ ...setup, ...two });
    expect([reaches(system, 4), reaches(system, 8, 'q.walk'), reaches(system, 8)]).toEqual([true, true, false]);
    expect(system.context('vmemmap').fault).toEqual({ pfn: 8, vpage: 2, by: 'p', event: 'page.head', offset: 0 });
  });

  test('which thread it is, the first part of its address says', () => {
    const system = rig({ ...setup, ...two, threads: { q: { cpu: 'cpu1', mm: 'mm0' } } });
    expect([reaches(system, 4, 'q.walk'), reaches(system, 8), reaches(system, 8, 'q.walk')]).toEqual([true, true, false]);
  });

  test('an mm that nobody has told about has none', () => {
    expect(rig(setup).context('vmemmap').slots).toEqual({ init_mm: [], mm0: [] });
    expect(reaches(rig({ ...setup, ptes: { 0: to('page100') } }), 0)).toBe(false);
  });

  test('E11: a new entry is made in init_mm only, until it is copied to every mm', () => {
    const system = tell(rig({ ...setup, slots: { init_mm: [0], mm0: [0], mm1: [] } }), setPte(2, 'page101', { fresh: true }));
    expect(system.context('vmemmap').slots).toEqual({ init_mm: [0, 1], mm0: [0], mm1: [] });
    expect(reaches(system, 8, 'q.walk')).toBe(true);
    tell(system, 'vmemmap.sync_pgds');
    expect(system.context('vmemmap').slots).toEqual({ init_mm: [0, 1], mm0: [0, 1], mm1: [0, 1] });
    expect([reaches(system, 8), system.bugs()]).toEqual([true, []]);
  });

  test('E11: before that, the first touch in another mm is a fault', () => {
    const system = tell(rig({ ...setup, slots: { init_mm: [0], mm0: [0] } }), setPte(2, 'page101', { fresh: true }));
    system.say('p', 'page8', init);
    expect(system.bugs()).toEqual([unmappedBug]);
  });

  test('a CPU caches what an mm that runs there reaches', () => {
    const system = rig({ ...setup, ...two });
    expect([fill('cpu1', 1), fill('cpu1', 2), fill('cpu0', 2)].map((choice) => system.can('vmemmap', choice))).toEqual([true, false, true]);
    const shared = rig({ ...setup, ...two, threads: { ...threads, q: { cpu: 'cpu1', mm: 'init_mm' } } });
    expect(shared.can('vmemmap', fill('cpu1', 2))).toBe(true);
  });
});

describe('a TLB', () => {
  const threads = { p: { cpu: 'cpu1', mm: 'init_mm' } };
  const filled = (): Rig => rig({ threads, ptes: { 0: to('page100'), 1: to('page101') } }).take('vmemmap', fill('cpu1', 0));

  test('is filled with what is mapped, once', () => {
    const system = filled();
    expect(system.context('vmemmap').tlb).toEqual({ 'cpu1/0': to('page100') });
    expect([fill('cpu1', 0), fill('cpu0', 0), fill('cpu1', 1), fill('cpu1', 2)].map((choice) => system.can('vmemmap', choice))).toEqual([
      false,
      true,
      true,
      false,
    ]);
  });

  test('E10: keeps what it has when the pte is cleared, for its own CPU', () => {
    const system = tell(filled(), { type: 'vmemmap.clear_pte', vpage: 0 });
    expect([read(system, 0), reaches(system, 0)]).toEqual([null, true]);
    expect([reaches(system, 0, 'q.walk'), system.bugs()]).toEqual([false, [unmappedBug]]);
  });

  test('keeps what it has when the pte changes', () => {
    const system = tell(filled(), setPte(0, 'page101', { write: false }));
    system.say('p', 'page0', init);
    expect([system.heard('page100+0').at(-1), system.bugs()]).toEqual([init, []]);
  });

  test('a flush reaches all CPUs, and the pages that it names only', () => {
    const system = filled().take('vmemmap', fill('cpu0', 0)).take('vmemmap', fill('cpu0', 1));
    tell(system, { type: 'vmemmap.flush', vpages: [0, 2] });
    expect(system.context('vmemmap').tlb).toEqual({ 'cpu0/1': to('page101') });
  });

  test('after clearing and flush nothing is reached', () => {
    const system = tell(tell(filled(), { type: 'vmemmap.clear_pte', vpage: 0 }), { type: 'vmemmap.flush', vpages: [0] });
    expect([reaches(system, 0), system.bugs()]).toEqual([false, [unmappedBug]]);
  });

  test('makes room', () => {
    const system = filled().take('vmemmap', fill('cpu0', 0));
    expect(system.can('vmemmap', evict('cpu1', 1))).toBe(false);
    expect(system.take('vmemmap', evict('cpu1', 0)).context('vmemmap').tlb).toEqual({ 'cpu0/0': to('page100') });
    expect(system.can('vmemmap', evict('cpu1', 0))).toBe(false);
  });

  test('caches bolted entries too', () => {
    const system = rig({ threads, translation: 'hash', ptes: { 1: to('page101') }, bolted: { 0: to('page100') } });
    expect([system.can('vmemmap', fill('cpu1', 0)), system.can('vmemmap', fill('cpu1', 1))]).toEqual([true, false]);
  });
});

describe('page_init_poison', () => {
  const poison = (...vpages: number[]): Message => ({ type: 'vmemmap.poison', vpages });

  test('stores to each page, and poisons all struct pages that begin there', () => {
    const system = tell(rig({ ptes: { 0: to('page100'), 1: to('page101'), 2: to('altmap0') } }), poison(0, 1));
    expect(system.said('vmemmap').filter((line) => line.includes('memory.access'))).toEqual([
      'page100: memory.access {"write":true}',
      'page101: memory.access {"write":true}',
    ]);
    expect(poisoned(system)).toEqual(cells.filter((cell) => /page10[01]\+[0246]$/.test(cell)));
  });

  test('a frame that pages share, once, by its own layout; a memset mixes no fields', () => {
    const system = tell(rig({ structPage: 3, ptes: { 1: to('page101'), 2: to('page101') } }), poison(1, 2));
    expect(system.said('vmemmap')).toEqual([
      'page101: memory.access {"write":true}',
      'page101+1: page.poison',
      'page101+4: page.poison',
      'page101+7: page.poison',
    ]);
    expect(system.bugs()).toEqual([]);
  });

  test.each([
    [2, 1, 4],
    [3, 1, 3],
    [3, 2, 6],
  ])('faults where a page is missing (struct pages of %i units, page %i): at pfn %i', (structPage, vpage, pfn) => {
    const system = rig({ structPage, ptes: { 0: to('page100') } });
    system.say('p', 'vmemmap', poison(0, vpage));
    expect([system.bugs(), system.context('vmemmap').fault]).toEqual([[unmappedBug], { pfn, vpage, by: 'p', event: 'page.poison', offset: 0 }]);
    expect(poisoned(system)).toEqual([]);
  });

  test('faults where a page is read-only', () => {
    const system = rig({ ptes: { 0: to('page100'), 1: to('page101', false) } });
    system.say('p', 'vmemmap', poison(0, 1));
    expect([system.bugs(), system.context('vmemmap').fault.vpage]).toEqual([[readOnlyBug], 1]);
  });
});

test('every transition was taken', () => {
  expect(untaken(vmemmap)).toEqual([]);
});
