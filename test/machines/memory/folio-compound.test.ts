import { folio } from '../../../machines/index.js';
import type { Tail } from '../../../machines/memory/folio.js';
import { actor } from '../../../src/index.js';
import { isOfCompound } from '../compounds.js';
import { type Message, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

interface Page {
  refcount?: number;
  mapcount?: number;
  idle?: number;
  zone?: 'normal' | 'device';
  device?: string;
  nr?: number;
  tail?: Tail;
  uninitialised?: boolean;
}
const rig = (pages: Record<number, Page>): Rig =>
  new Rig({
    ...Object.fromEntries(
      Object.entries(pages).map(([pfn, page]) => [`page${pfn}`, actor(folio, { input: { pfn: Number(pfn), refcount: 0, idle: 0, ...page } })]),
    ),
    p: probe(),
    q: probe(),
  });
/** Pages 4 to 7 are one folio. */
const compound = (head: Page = {}, tail: Tail = { head: 4 }): Rig => {
  const { refcount: _, mapcount: __, ...same } = head;
  return rig({ 4: { ...head, nr: 4 }, 5: { ...same, tail }, 6: { ...same, tail }, 7: { ...same, tail } });
};
const pages = [4, 5, 6, 7];
const heads = (system: Rig): unknown[] => pages.map((pfn) => system.say('p', `page${pfn}`, 'page.head')[0]?.head);
const places = (system: Rig): string[] => pages.map((pfn) => system.at(`page${pfn}`));
const counts = (system: Rig, pfn = 4): number[] => {
  const { refcount, pincount, mapcount } = system.context(`page${pfn}`);
  return [refcount, pincount, mapcount];
};
const say = (system: Rig, pfn: number, message: Message | string): Message[] => system.say('p', `page${pfn}`, message);

describe('a folio of several pages', () => {
  test.each<[string, Tail]>([
    ['names its head', { head: 4 }],
    ['says how many pages there are, which gives the head', { mask: 4 }],
  ])('each tail %s; the head is its own', (_, tail) => {
    const system = compound({ refcount: 1 }, tail);
    expect(heads(system)).toEqual([4, 4, 4, 4]);
    expect([say(system, 4, 'folio.nr_pages'), places(system)]).toEqual([[{ type: 'folio.nr_pages', nr: 4 }], Array(4).fill('present')]);
  });

  test.each<[string, Page, number[]]>([
    ['one that is none is the head of whichever page it is taken for', {}, [5, 9, 12]],
    ['row D7: a tail that names its head names it for every page', { tail: { head: 4 } }, [4, 4, 4]],
    ['one that says how many there are gives each page its own head', { tail: { mask: 4 } }, [4, 8, 12]],
  ])('a struct page that several addresses reach: %s', (_, page, expected) => {
    const system = rig({ 5: page });
    expect([5, 9, 12].map((pfn) => say(system, 5, { type: 'page.head', pfn }))).toEqual(expected.map((head) => [{ type: 'page.head', head }]));
  });

  test.each<Tail>([{ head: 4 }, { mask: 4 }])('is made of pages by writing their struct pages (%j)', (tail) => {
    const system = rig(Object.fromEntries(pages.map((pfn) => [pfn, { refcount: 1 }])));
    expect([heads(system), say(system, 4, 'folio.nr_pages')]).toEqual([pages, [{ type: 'folio.nr_pages', nr: 1 }]]);
    expect(say(system, 4, { type: 'page.prep_head', nr: 4 })).toEqual([]);
    for (const pfn of [5, 6, 7]) expect(say(system, pfn, { type: 'page.prep_tail', ...tail })).toEqual([]);
    expect([heads(system), say(system, 4, 'folio.nr_pages')]).toEqual([[4, 4, 4, 4], [{ type: 'folio.nr_pages', nr: 4 }]]);
    expect(system.context('page5').tail).toEqual(tail);
    expect([counts(system), counts(system, 5), say(system, 5, 'folio.try_get')]).toEqual([[1, 0, 0], [0, 0, 0], [{ type: 'folio.frozen' }]]);
  });

  test('who asks a tail for counts hears those of the head, from the head', () => {
    const system = compound({ refcount: 3 });
    expect(say(system, 6, 'page.read')).toEqual([{ type: 'page.counts', refcount: 3, mapcount: 0, idle: false }]);
    expect(system.said('page6')).toEqual([]);
  });

  test.each<Tail>([{ head: 4 }, { mask: 4 }])('mappings of its tails are counted in the head (%j)', (tail) => {
    const system = compound({ refcount: 1 }, tail);
    for (const pfn of [4, 6, 7]) expect(say(system, pfn, 'folio.add_rmap')).toEqual([]);
    expect([system.said('page6'), counts(system), counts(system, 6)]).toEqual([['page4: folio.add_rmap'], [1, 0, 3], [0, 0, 0]]);
    for (const pfn of [6, 4]) expect(say(system, pfn, 'folio.remove_rmap')).toEqual([]);
    expect([system.said('page6').at(-1), counts(system), counts(system, 6)]).toEqual(['page4: folio.remove_rmap', [1, 0, 1], [0, 0, 0]]);
  });
});

describe('several references at once', () => {
  test('come and go, as many as are said', () => {
    const system = compound({ refcount: 1 });
    expect(say(system, 4, { type: 'folio.try_get', refs: 4 })).toEqual([{ type: 'folio.got', refcount: 5 }]);
    expect(say(system, 4, { type: 'folio.get', refs: 2 })).toEqual([{ type: 'folio.got', refcount: 7 }]);
    expect(say(system, 4, { type: 'folio.put', refs: 3 })).toEqual([{ type: 'folio.put', refcount: 4 }]);
    expect(say(system, 4, { type: 'folio.pin', refs: 4 })).toEqual([]);
    expect(say(system, 4, { type: 'folio.unpin', refs: 3 })).toEqual([]);
    expect([counts(system), system.bugs()]).toEqual([[4, 1, 0], []]);
  });

  test('none is to be had where there is none', () => {
    const system = compound();
    expect([say(system, 4, { type: 'folio.try_get', refs: 4 }), counts(system)]).toEqual([[{ type: 'folio.frozen' }], [0, 0, 0]]);
  });

  test.each([
    ['folio.put', 2, []],
    ['folio.put', 3, ['BUG: page reference count goes below zero']],
    ['folio.unpin', 2, []],
    ['folio.unpin', 3, ['BUG: page reference count goes below zero']],
  ])('I6: %s of %i where two are held', (type, refs, bugs) => {
    const system = compound({ refcount: 2 });
    say(system, 4, { type: 'folio.pin', refs: 2 });
    const answer = type === 'folio.put' && bugs.length === 0 ? [{ type: 'folio.put', refcount: 0 }] : [];
    expect([say(system, 4, { type, refs }), system.bugs()]).toEqual([answer, bugs]);
  });

  test.each(['folio.put', 'folio.unpin'])('row D1: %s page by page of what was taken once', (type) => {
    const system = compound({ refcount: 1 });
    say(system, 4, 'folio.pin');
    say(system, 4, type);
    expect(system.bugs()).toEqual([]);
    say(system, 4, type);
    expect(system.bugs()).toEqual(['BUG: page reference count goes below zero']);
  });

  test.each([
    ['all at once', [3], 0],
    ['in parts', [2, 1], 0],
    ['but for those of the mappings', [2], 1],
  ])('who waits is woken when they have gone %s', (_, puts, mapcount) => {
    const system = compound({ refcount: 3, mapcount });
    expect(system.say('q', 'page4', 'folio.wait_idle')).toEqual([]);
    for (const [index, refs] of puts.entries()) {
      say(system, 4, { type: 'folio.put', refs });
      expect(system.heard('q')).toEqual(index === puts.length - 1 ? [{ type: 'page.idle' }] : []);
    }
    expect(system.context('page4').waiters).toEqual([]);
  });
});

describe('when it is split', () => {
  const parts = (system: Rig): unknown[] => pages.map((pfn) => [system.context(`page${pfn}`).nr, system.context(`page${pfn}`).tail, counts(system, pfn)]);

  test.each<[Tail, number]>([
    [{ head: 4 }, 1],
    [{ mask: 4 }, 0],
  ])('each page is a folio of its own, those of the tails with as many references as said (%j, %i)', (tail, refcount) => {
    const system = compound({ refcount: 3 }, tail);
    expect(say(system, 4, { type: 'folio.split', refcount })).toEqual([]);
    expect(system.said('page4')).toEqual([5, 6, 7].map((pfn) => `page${pfn}: page.clear_head {"refcount":${refcount}}`));
    expect(parts(system)).toEqual([[1, null, [3, 0, 0]], ...Array(3).fill([1, null, [refcount, 0, 0]])]);
    expect([heads(system), places(system)]).toEqual([pages, Array(4).fill('present')]);
  });

  test('a reference that was taken of the head is none of the page: row D4', () => {
    const system = compound({ refcount: 1 });
    say(system, 4, 'folio.try_get');
    say(system, 4, { type: 'folio.split', refcount: 1 });
    expect([counts(system), say(system, 6, { type: 'folio.put' })]).toEqual([[2, 0, 0], [{ type: 'folio.put', refcount: 0 }]]);
  });

  test('row D11: pins of the folio are not those of its pages', () => {
    const system = compound({ refcount: 0 });
    say(system, 4, { type: 'folio.get', refs: 4 });
    say(system, 4, { type: 'folio.split', refcount: 0 });
    say(system, 5, 'folio.put');
    expect([counts(system), system.bugs()]).toEqual([[4, 0, 0], ['BUG: page reference count goes below zero']]);
  });

  test('a mapping of what was a tail is counted there', () => {
    const system = compound({ refcount: 1 });
    say(system, 4, { type: 'folio.split', refcount: 1 });
    say(system, 6, 'folio.add_rmap');
    expect([counts(system), counts(system, 6)]).toEqual([
      [1, 0, 0],
      [1, 0, 1],
    ]);
  });

  test('a folio of one page tells nobody', () => {
    const system = rig({ 4: { refcount: 1 }, 5: { refcount: 1 } });
    expect([say(system, 4, { type: 'folio.split', refcount: 7 }), system.said('page4'), counts(system, 5)]).toEqual([[], [], [1, 0, 0]]);
  });
});

describe('when its last reference goes', () => {
  const order0 = { nr: 1, tail: null };

  test.each<[string, Page]>([
    ['of ZONE_NORMAL', { zone: 'normal' }],
    ['private to a device', { device: 'q' }],
  ])('a folio %s is free with its tails, each as a page of its own', (_, page) => {
    const system = compound({ refcount: 4, ...page });
    expect([say(system, 4, { type: 'folio.put', refs: 3 }), places(system)]).toEqual([[{ type: 'folio.put', refcount: 1 }], Array(4).fill('present')]);
    expect(say(system, 4, 'folio.put')).toEqual([{ type: 'folio.put', refcount: 0 }]);
    expect([places(system), heads(system), system.bugs()]).toEqual([Array(4).fill('free'), pages, []]);
    for (const pfn of pages) expect(system.context(`page${pfn}`)).toMatchObject(order0);
    expect(say(system, 4, 'folio.nr_pages')).toEqual([{ type: 'folio.nr_pages', nr: 1 }]);
  });

  test('all references at once are the last, too', () => {
    const system = compound({ refcount: 4, zone: 'normal' });
    expect([say(system, 4, { type: 'folio.put', refs: 4 }), places(system)]).toEqual([[{ type: 'folio.put', refcount: 0 }], Array(4).fill('free')]);
  });

  test('I3, UAF: its tails are not to be used after that', () => {
    const [accessed, referenced] = [compound({ refcount: 1, zone: 'normal' }), compound({ refcount: 1, zone: 'normal' })];
    for (const system of [accessed, referenced]) say(system, 4, 'folio.put');
    say(accessed, 6, { type: 'memory.access', write: false });
    say(referenced, 6, 'folio.get');
    expect([accessed.bugs(), referenced.bugs()]).toEqual([
      ['BUG: a stale translation leads to a page that was freed'],
      ['BUG: struct page of a free page used as if a reference were held'],
    ]);
  });

  test('each page is handed out by itself', () => {
    const system = compound({ refcount: 1, zone: 'normal' });
    for (const pfn of [4, 6]) say(system, pfn, pfn === 4 ? 'folio.put' : 'folio.prep_new');
    expect([places(system), counts(system, 6), heads(system)]).toEqual([['free', 'free', 'present', 'free'], [1, 0, 0], pages]);
  });

  test('a folio of a device stays one', () => {
    const system = compound({ refcount: 1 });
    say(system, 4, 'folio.put');
    expect(system.said('page4')).toEqual(['p: folio.put {"refcount":0}']);
    expect([places(system), heads(system), system.context('page4').nr]).toEqual([Array(4).fill('present'), [4, 4, 4, 4], 4]);
  });

  test('a page that was frozen and freed is handed out as a folio of one page', () => {
    const system = compound({ refcount: 1, zone: 'normal' });
    for (const message of [{ type: 'folio.freeze', expected: 1 }, { type: 'folio.free' }, { type: 'folio.prep_new' }]) say(system, 4, message);
    expect([system.at('page4'), system.context('page4')]).toEqual(['present', expect.objectContaining({ ...order0, refcount: 1 })]);
  });

  // folio.free leaves nr and the tails as they are: they stay present, and name a head that another may get.
  test('R9: a folio that is frozen and freed goes with its tails, too', () => {
    const system = compound({ refcount: 1, zone: 'normal' });
    for (const message of [{ type: 'folio.freeze', expected: 1 }, { type: 'folio.free' }]) say(system, 4, message);
    expect([places(system), heads(system)]).toEqual([Array(4).fill('free'), pages]);
  });
});

describe('a struct page that nobody has initialised', () => {
  const unused = ['BUG: struct page used that nobody has initialised'];
  const poisoned = (): Rig => {
    const system = rig({ 5: { refcount: 1, mapcount: 1, tail: { head: 4 } } });
    expect([say(system, 5, 'page.poison'), system.at('page5')]).toEqual([[], 'uninitialised']);
    return system;
  };
  const uses: Message[] = [
    { type: 'page.head' },
    { type: 'page.head', pfn: 9 },
    { type: 'page.read' },
    { type: 'page.prep_tail', head: 4 },
    { type: 'page.prep_head', nr: 2 },
    { type: 'page.clear_head', refcount: 1 },
    { type: 'folio.nr_pages' },
    { type: 'folio.split', refcount: 1 },
    { type: 'folio.try_get' },
    { type: 'folio.get' },
    { type: 'folio.put', refs: 2 },
    { type: 'folio.pin' },
    { type: 'folio.unpin' },
    { type: 'folio.ref_inc' },
    { type: 'folio.ref_dec' },
    { type: 'folio.add_rmap' },
    { type: 'folio.remove_rmap' },
    { type: 'folio.wait_idle' },
    { type: 'folio.mark_dirty' },
  ];

  test.each(uses)('I9: must not be used (%j)', (use) => {
    for (const system of [rig({ 5: { uninitialised: true } }), poisoned()]) expect([say(system, 5, use), system.bugs()]).toEqual([[], unused]);
  });

  test('may be of any zone: what is in it does not count', () => {
    expect([rig({ 5: { uninitialised: true, zone: 'normal' } }).at('page5'), rig({ 5: { uninitialised: true, refcount: 1 } }).at('page5')]).toEqual(
      Array(2).fill('uninitialised'),
    );
  });

  test.each([0, 1])('is one of a page of its own, when it is initialised, with as many references as said (%i)', (refcount) => {
    for (const system of [rig({ 5: { uninitialised: true } }), poisoned()]) {
      expect(say(system, 5, { type: 'page.init', refcount })).toEqual([]);
      expect([system.at('page5'), counts(system, 5), system.context('page5')]).toEqual([
        'present',
        [refcount, 0, 0],
        expect.objectContaining({ nr: 1, tail: null }),
      ]);
      expect([say(system, 5, 'page.head'), system.bugs()]).toEqual([[{ type: 'page.head', head: 5 }], []]);
    }
  });

  test('is poisoned as often as one likes', () => {
    const system = poisoned();
    expect([say(system, 5, 'page.poison'), system.at('page5'), system.bugs()]).toEqual([[], 'uninitialised', []]);
  });

  test('its memory is there all the same', () => {
    const system = poisoned();
    say(system, 5, { type: 'memory.access', write: true });
    expect([system.at('page5'), system.bugs()]).toEqual(['uninitialised', []]);
  });

  test('is one again when it is poisoned again', () => {
    const system = poisoned();
    for (const message of [{ type: 'page.init', refcount: 1 }, { type: 'page.poison' }, { type: 'page.read' }]) say(system, 5, message);
    expect(system.bugs()).toEqual(unused);
  });

  test.each<Message>([
    { type: 'folio.freeze', expected: 1 },
    { type: 'folio.unfreeze', refcount: 1 },
    { type: 'folio.set_exclusive', exclusive: true },
    { type: 'folio.clean' },
    { type: 'folio.mapping' },
    { type: 'folio.set_mapping', mapping: 'f' },
    { type: 'folio.protect', record: 'r', stable: true },
    { type: 'folio.unprotect' },
    { type: 'folio.start_writeback' },
    { type: 'folio.end_writeback' },
    { type: 'folio.wait_writeback' },
    { type: 'folio.free' },
    { type: 'page.free_tail' },
  ])('I9: nor this way ($type)', (use) => {
    const system = poisoned();
    say(system, 5, use);
    expect(system.bugs()).toEqual(unused);
  });

  // page.remove is ignored in `uninitialised`; remove_pfn_range_from_zone poisons before arch_remove_memory.
  test('U6: is removed like any other', () => {
    const system = poisoned();
    say(system, 5, 'page.remove');
    expect(system.at('page5')).toBe('removed');
  });
});

describe('a struct page that is initialised again', () => {
  test('row E4: is no tail and no head any more, and not pinned or mapped', () => {
    const system = compound({ refcount: 3, mapcount: 2 });
    say(system, 4, { type: 'folio.pin', refs: 2 });
    for (const pfn of pages) expect(say(system, pfn, { type: 'page.init', refcount: 1 })).toEqual([]);
    for (const pfn of pages) expect([counts(system, pfn), system.context(`page${pfn}`)]).toEqual([[1, 0, 0], expect.objectContaining({ nr: 1, tail: null })]);
    expect(heads(system)).toEqual(pages);
  });

  // page.init leaves dirty, anonExclusive, mapping, protection and writeback: __init_single_page zeroes all of it.
  test('keeps no flag of its former life', () => {
    const system = rig({ 5: { refcount: 1 } });
    for (const message of [{ type: 'folio.mark_dirty' }, { type: 'page.init', refcount: 1 }]) say(system, 5, message);
    expect(say(system, 5, 'page.read')).toEqual([{ type: 'page.counts', refcount: 1, mapcount: 0, idle: false }]);
  });
});

describe('I1: a struct page that was removed', () => {
  const removed = (): Rig => {
    const system = rig({ 5: { refcount: 1 } });
    say(system, 5, 'page.remove');
    return system;
  };
  const absent = ['BUG: struct page accessed after remove_pages'];

  test.each<Message>([
    { type: 'page.init', refcount: 1 },
    { type: 'page.prep_tail', head: 4 },
    { type: 'page.prep_head', nr: 2 },
    { type: 'page.clear_head', refcount: 1 },
    { type: 'folio.nr_pages' },
    { type: 'folio.split', refcount: 1 },
    { type: 'folio.try_get', refs: 2 },
  ])('cannot be written or read ($type)', (message) => {
    const system = removed();
    expect([say(system, 5, message), system.bugs()]).toEqual([[], absent]);
  });

  // Ignored in `removed`: the memset of page_init_poison goes to memory that is not there.
  test.each(['page.poison', 'page.free_tail'])('nor this way (%s)', (message) => {
    const system = removed();
    say(system, 5, message);
    expect(system.bugs()).toEqual(absent);
  });
});

test('every transition that is there for compounds was taken', () => {
  expect(untaken(folio).filter(isOfCompound)).toEqual([]);
});
