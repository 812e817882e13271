import fc from 'fast-check';
import { type AnyMachineSnapshot, type AnyStateMachine, assign } from 'xstate';
import { addressSpace, folio, gupFast, type Pte, presentPte, putPage } from '../../machines/index.js';
import { structPageAt } from '../../machines/memory/vmemmap.js';
import { unpinUserPageRange } from '../../machines/paths/unpin-user-page-range.js';
import { Explorer } from '../../src/explore/explorer.js';
import { actor, LiveSystem, labelOf, type System } from '../../src/index.js';
import type { Work } from '../../src/scenarios/compound-page-system.js';
import { type CompoundPageSetup, compoundPageSystem, compoundReference } from '../../src/scenarios/index.js';
import type { Choice } from '../../src/system/system.js';
import { answers, probe } from '../machines/probe.js';
import { type Actors, Rig } from '../machines/rig.js';

type Setup = CompoundPageSetup;
type Changes = Partial<Setup>;
type Path = 'gupFast' | 'unpin' | 'truncate' | 'share' | 'publish';
type Snapshots = Readonly<Record<string, AnyMachineSnapshot>>;

const range = (from: number, length: number): number[] => Array.from({ length }, (_, n) => from + n);
const setupOf = (changes: Changes): Setup => ({ ...compoundReference, ...changes });
const systemOf = (changes: Changes): System => compoundPageSystem('changed', setupOf(changes));
const doctored = (path: Path, change: object): Changes => ({ [path]: (compoundReference[path] as AnyStateMachine).provide(change) });
/** A path without one of its safeguards; `takesLeafWhole` is one that is not there. */
const without = (path: Path, guard: string): Changes => doctored(path, { guards: { [guard]: () => guard === 'takesLeafWhole' } });

const leafStart = 512;
const entriesOf = ({ mm }: Snapshots, { subpages }: Setup, pfn: number): Pte | undefined =>
  mm?.context.ptes[Math.floor(pfn / subpages) * leafStart + (pfn % subpages)];

/** By how much page table and struct page of a folio, or of a page that is one, may differ from each other: not at all. */
function leaksOfPage(snapshots: Snapshots, setup: Setup, address: string): string[] {
  const { value, context } = snapshots[address] as AnyMachineSnapshot;
  const { pfn, nr, tail, refcount, pincount, mapcount, idle, zone } = context;
  if (value === 'uninitialised') return [];
  if (tail !== null) return refcount + pincount + mapcount > 0 ? [`${address} is a tail and counts`] : [];
  const byPtes = range(pfn, nr).filter((page) => {
    const pte = entriesOf(snapshots, setup, page);
    return pte?.kind === 'present' && pte.pfn === page && !pte.special;
  }).length;
  const isLeaf = snapshots.mm?.context.huge.includes(Math.floor(pfn / setup.subpages)) && nr > 1;
  const mappings = isLeaf ? Math.min(1, byPtes) : byPtes;
  const held = pfn === 0 && setup.work.includes('share') ? 1 : 0;
  return [
    ...(mapcount === mappings ? [] : [`${address} is mapped ${mappings} times, not ${mapcount}`]),
    ...(refcount === idle + mappings + held ? [] : [`${address} has ${refcount} references, not ${idle + mappings + held}`]),
    ...(pincount === 0 ? [] : [`${address} is pinned`]),
    ...((value === 'free') === (zone === 'normal' && refcount === 0) ? [] : [`${address} is ${value} with ${refcount} references`]),
  ];
}

/** What is left over where nobody does anything any more. */
function leaksIn(snapshots: Snapshots, setup: Setup): string[] {
  const all = Object.entries(snapshots);
  const isFrame = (address: string): boolean => setup.tails !== 'own' && /^page\d+$/.test(address);
  const isHeld = ({ owner = null, writer = null, readers = [], waiters }: AnyMachineSnapshot['context']): boolean =>
    owner !== null || writer !== null || readers.length + waiters.length > 0;
  return [
    ...all.flatMap(([address, { context }]) => (context.refcount === undefined || isFrame(address) ? [] : leaksOfPage(snapshots, setup, address))),
    ...all.flatMap(([address, { context }]) => (/lock$|^ptl$/.test(address) && isHeld(context) ? [`${address} is held`] : [])),
    ...(snapshots.io && snapshots.io.context.pages.length > 0 ? ['pages are held'] : []),
    ...(snapshots.mm?.context.tlbFlushPending > 0 ? ['a gather is under way'] : []),
  ];
}

/**
 * Explores all states. `violated`: with the first schedule of each; `leaks`: what is left over where nobody goes on, likewise; `pinned`:
 * which pages CPU 0 has held, all runs together.
 */
function explored(changes: Changes, maxStates = Number.POSITIVE_INFINITY) {
  const setup = setupOf(changes);
  const system = systemOf(changes);
  const explorer = new Explorer(system, { maxStates, stop: () => false });
  while (!explorer.finished) explorer.slice();
  const { exhausted, properties } = explorer.result();
  const { store, tables, deciders } = explorer.searched;
  const labels = (schedule: readonly number[]): string[] => schedule.map((choice) => labelOf(system.choices[choice] as Choice));
  const localAt = (state: number, index: number): number => store.packing.read(store.words, state * store.width, index);
  const leaks: Record<string, string[]> = {};
  for (let state = 0; exhausted && state < explorer.states; state++) {
    if (deciders.some(({ actor: index, menus }) => menus[localAt(state, index)]?.some((choice) => system.choices[choice]?.fair))) continue;
    const snapshots = Object.fromEntries(system.actors.map((one) => [one.address, tables.local(one, localAt(state, one.index)).snapshot]));
    for (const leak of leaksIn(snapshots as Snapshots, setup)) leaks[leak] ??= labels(explorer.scheduleTo(state));
  }
  const io = system.actors.find(({ address }) => address === 'io');
  const held = io ? range(0, tables.states[io.index]?.length ?? 0).map((id) => tables.local(io, id).snapshot as AnyMachineSnapshot) : [];
  return {
    exhausted,
    leaks,
    violated: Object.fromEntries(properties.flatMap(({ name, violation }) => (violation ? [[name, labels(violation.schedule)]] : []))),
    pinned: [...new Set(held.flatMap(({ value, context }) => (value === 'dma' ? [context.pages.join()] : [])))],
  };
}

const namesOf = (violated: object): string[] => Object.keys(violated).sort();

// Seeds are fixed: each time the same setups.
describe('random setups of the machines as they are hold all properties, and nothing is left over', () => {
  /*
   * Of a device (compound): tails may share frames; it is unmapped and truncated, in this order or one of them. It is mapped (publish)
   * where it is not, before that: after munmap there is no VMA that could fault, after a truncation the file does not have the folio.
   * Struct pages are written (init) only where nobody can have seen them. Migration (share) and split are of anonymous memory.
   */
  const device: Changes = { memory: 'compound' };
  /*
   * Anonymous: it is always mapped at first, or it would be free. A split is of what ptes map; migration is of what a leaf maps, and does
   * nothing elsewhere. Each may come again, and before or after munmap, which takes one page of those that ptes map.
   */
  const anonymous: Changes = { memory: 'anonymous' };
  /*
   * Up to 6.16 a devmap leaf is over base pages, or over the compound of a devdax, and is taken page by page. Compounds that a truncation
   * takes apart have no devmap bit, and of base pages it would look at the first only: it is left out.
   */
  const devmap: Changes = { devmap: true };
  const kinds: [string, Changes[], Work[][], number][] = [
    [
      'a device, mapped',
      [
        { ...device, mapped: 'leaf' },
        { ...device, mapped: 'ptes' },
      ],
      [[], ['munmap'], ['truncate'], ['munmap', 'truncate']],
      30,
    ],
    [
      'a device, not mapped yet',
      [{ ...device, mapped: 'none' }],
      [['publish'], ['publish', 'munmap'], ['publish', 'truncate'], ['publish', 'munmap', 'truncate'], ['truncate']],
      25,
    ],
    [
      'a device, not initialised yet',
      [{ ...device, mapped: 'none', content: 'poison' }],
      [
        ['init', 'publish'],
        ['init', 'publish', 'munmap'],
      ],
      25,
    ],
    [
      'anonymous memory, a leaf',
      [{ ...anonymous, mapped: 'leaf' }],
      [[], ['munmap'], ['share'], ['share', 'munmap'], ['munmap', 'share'], ['share', 'share']],
      40,
    ],
    [
      'anonymous memory, ptes',
      [{ ...anonymous, mapped: 'ptes' }],
      [[], ['munmap'], ['split'], ['share'], ['split', 'munmap'], ['munmap', 'split'], ['split', 'split']],
      30,
    ],
    [
      'devmap',
      (['base', 'compound'] as const).flatMap((memory) => (['leaf', 'ptes'] as const).map((mapped) => ({ ...devmap, memory, mapped }))),
      [[], ['munmap']],
      25,
    ],
  ];

  const setupsOf = (places: Changes[], works: Work[][]): fc.Arbitrary<Changes> =>
    fc
      .record({
        place: fc.constantFrom(...places),
        work: fc.constantFrom(...works),
        subpages: fc.constantFrom(4, 8),
        // By 1/16 of both folios: where the range begins, and its last page.
        ends: fc.tuple(fc.nat(15), fc.nat(15)),
        pin: fc.boolean(),
        flush: fc.constantFrom('ipi' as const, 'broadcast' as const),
        unpin: fc.constantFrom(compoundReference.unpin, null),
        tails: fc.constantFrom('own' as const, 'shared' as const),
        heads: fc.constantFrom('pointer' as const, 'mask' as const),
      })
      .map(({ place, ends, tails, ...rest }) => {
        const [from, to] = ends.map((end) => Math.floor((end * rest.subpages) / 8)).sort((a, b) => a - b) as [number, number];
        return { ...rest, ...place, pins: range(from, to - from + 1), tails: place.memory === 'compound' && !place.devmap ? tails : 'own' };
      });

  test.each(kinds)('%s', (_, places, works, numRuns) => {
    let ended = 0;
    const judged = fc.property(setupsOf(places, works), (changes) => {
      const { exhausted, violated, leaks, pinned } = explored(changes, 20_000);
      expect([violated, leaks]).toEqual([{}, {}]);
      const pins = (changes.pins as number[]).join();
      // What it has is what was asked for, or the beginning of it; all of it in some run, where it is mapped at first.
      expect(pinned.filter((pages) => !`${pins},`.startsWith(`${pages},`))).toEqual([]);
      if (changes.mapped !== 'none' && exhausted) expect(pinned).toContain(pins);
      if (exhausted) ended++;
    });
    fc.assert(judged, { seed: 2026, numRuns });
    expect(ended).toBeGreaterThan(numRuns * 0.7);
  });

  // The head is looked up of a page that was freed since the leaf was read: it is its own by then, and has no reference to add to.
  test('the head of a page may be looked up when its folio has been freed', () => {
    const { violated } = explored({ memory: 'anonymous', pins: [1], work: ['munmap'], flush: 'broadcast' });
    expect(violated).toEqual({});
  });

  const none = (action: string) => ({ actions: { [action]: assign({}) } });
  test.each<[string, Changes, string]>([
    ['references and pins', { pins: range(2, 4), ...without('unpin', 'putsAll') }, 'page0 has 2 references, not 1, page0 is pinned'],
    ['a mapping', { mapped: 'none', work: ['publish'], ...doctored('publish', none('addRmap')) }, 'page0 is mapped 1 times, not 0'],
    ['a mapping that is not there', { memory: 'anonymous', work: ['share'], ...doctored('share', none('removeRmap')) }, 'page0 is mapped 0 times, not 1'],
    ['the page-table lock', { memory: 'anonymous', work: ['share'], ...doctored('share', none('unlockPtl')) }, 'ptl is held'],
    ['the invalidate lock', { pins: [4], work: ['truncate'], ...doctored('truncate', none('unlock')) }, 'invalidate_lock is held'],
  ])('what is left over is noticed: %s', (_, changes, leaks) => {
    expect(Object.keys(explored({ pins: null, ...changes }).leaks).join(', ')).toContain(leaks);
  });
});

/** A system on live XState, whose threads (`io` on CPU 0, `work` on CPU 1) are moved one at a time. */
class Course {
  readonly live: LiveSystem;
  private readonly system: System;
  private moves = 0;

  constructor(changes: Changes) {
    this.system = systemOf(changes);
    this.live = new LiveSystem(this.system);
  }

  /** Moves the thread of this actor, and nobody else but for interrupts, until the actor is there; also if it was before. */
  to(address: string, ...states: string[]): this {
    for (const state of states)
      do this.move(address.split('.')[0] as string, `${address} to '${state}'`);
      while (this.at(address) !== state && this.bugs.length === 0);
    return this;
  }

  /** Moves a thread until it can move no more, or something is wrong. */
  toEnd(thread: string): this {
    while (this.choiceOf(thread) && this.bugs.length === 0) this.move(thread, 'end');
    return this;
  }

  /** Something that no path here does. */
  send(to: string, event: { type: string; [field: string]: unknown }): this {
    const target = this.system.actors.find(({ address }) => address === to);
    if (!target) throw new Error(`no actor '${to}'`);
    this.live.take({ index: -1, actor: target, event: { ...event, from: 'io' } as never, fair: true, delayed: false });
    return this;
  }

  at = (address: string): string => String((this.live.snapshot(address) as AnyMachineSnapshot).value);
  // biome-ignore lint/suspicious/noExplicitAny: of any actor; tests compare it with literals
  context = (address: string): any => this.live.snapshot(address).context;
  /** References and pins: `2/1`. */
  counts = (...pages: (number | string)[]): string =>
    pages
      .map((page) => this.context(typeof page === 'number' ? `page${page}` : page))
      .map(({ refcount, pincount }) => `${refcount}/${pincount}`)
      .join(' ');
  get bugs(): string[] {
    return this.live.bugs().map(({ description }) => description ?? '');
  }
  /** Nobody can go on. */
  get isStuck(): boolean {
    return !this.choiceOf('io') && !this.choiceOf('work');
  }
  /** Invariants that do not hold now. */
  get violated(): string[] {
    return this.system.properties.flatMap((property) => {
      if (property.kind !== 'invariant') return [];
      const snapshots = Object.fromEntries(property.actors.map((address) => [address, this.live.snapshot(address)]));
      return property.when?.(snapshots) === false || property.holds(snapshots) ? [] : [property.name];
    });
  }

  private choiceOf(thread: string): Choice | undefined {
    const enabled = this.live.enabled();
    const own = enabled.find(({ actor: { address } }) => address.split('.')[0] === thread);
    return own ?? enabled.find(({ event }) => event.type === 'deliver' || event.type === 'interrupt');
  }

  private move(thread: string, where: string): void {
    const choice = this.choiceOf(thread);
    if (!choice || this.moves++ > 1000) throw new Error(`it cannot go on: ${where}`);
    this.live.take(choice);
  }
}

const underflow = 'BUG: page reference count goes below zero';
const first = range(0, 4);
const across = range(2, 4);
const migrated: Changes = { memory: 'anonymous', pins: first, work: ['share'] };
/** CPU 1 takes the folio apart and frees its page 1. */
const thp: Changes = { memory: 'anonymous', mapped: 'ptes', pins: [1], work: ['split', 'munmap'], unpin: null };
const pte = ({ context }: Course, vpn: number): Pte => context('mm').ptes[vpn];

describe('the schedules of table 2.D', () => {
  test.each([
    [true, '2/1', '1/1', '0/0'],
    [false, '2/0', '1/0', '0/0'],
  ])('D1: one reference for four pages is gone with the first page that is unpinned (FOLL_PIN: %s)', (pin, pinned, unmapped, unpinned) => {
    const run = new Course({ pins: first, pin, work: ['munmap'], ...without('gupFast', 'countsEveryPage'), ...without('unpin', 'groupsByHead') });
    expect(run.counts(0)).toBe('1/0');
    expect(run.to('io', 'dma').counts(0)).toBe(pinned);
    expect(run.toEnd('work').counts(0)).toBe(unmapped);
    run.to('io.unpin', 'gup_put_folio').to('io.unpin', 'page_folio');
    expect([run.counts(0), run.bugs, run.context('io.unpin').pages]).toEqual([unpinned, [], [1, 2, 3]]);
    expect(run.to('io.unpin', 'idle').bugs).toEqual([underflow]);
  });

  test('D1: of anonymous memory the folio is free while three pages of it are to be unpinned', () => {
    const broken = { ...without('gupFast', 'countsEveryPage'), ...without('unpin', 'groupsByHead') };
    const run = new Course({ memory: 'anonymous', pins: first, work: ['munmap'], ...broken }).to('io', 'dma').toEnd('work');
    run.to('io.unpin', 'gup_put_folio').to('io.unpin', 'page_folio');
    expect([run.at('page0'), run.counts(0), run.context('io.unpin').pages]).toEqual(['free', '0/0', [1, 2, 3]]);
    expect(run.to('io.unpin', 'idle').bugs).toEqual(['BUG: struct page of a free page used as if a reference were held']);
  });

  test('D2: four references, one of which is put: three are left, and truncation waits for ever', () => {
    const run = new Course({ pins: first, work: ['truncate'], ...without('unpin', 'putsAll') });
    expect(run.to('io', 'dma').counts(0)).toBe('5/4');
    expect(run.to('io', 'done').counts(0)).toBe('4/3');
    run.toEnd('work');
    expect([run.at('work.truncate'), run.counts(0), run.isStuck, run.bugs]).toEqual(['sleeping', '3/3', true, []]);
  });

  test('D3: of pages 2 to 5 four references of F0 are put, two too many, and none of F1, which keeps two', () => {
    // The mappings of F0 have four, which the put takes two of.
    const run = new Course({ pins: across, pin: false, mapped: 'ptes', work: ['truncate'], ...without('unpin', 'subtractsIndex') });
    expect(run.counts(0, 4)).toBe('4/0 4/0');
    expect(run.to('io', 'dma').counts(0, 4)).toBe('6/0 6/0');
    expect(run.to('io.unpin', 'gup_put_folio').context('io.unpin')).toMatchObject({ head: 0, group: 4, refs: 4 });
    run.to('io', 'done');
    expect([run.counts(0, 4), run.context('page0').mapcount, run.bugs]).toEqual(['2/0 6/0', 4, []]);
    expect(run.toEnd('work').bugs).toEqual([underflow]);
    expect(new Course({ pins: across, ...without('unpin', 'subtractsIndex') }).toEnd('io').bugs).toEqual([underflow]);
  });

  test('D4: T is page 1, H page 0; the reference goes to the head that was: it is stray, and T is freed and used', () => {
    const run = new Course({ ...thp, flush: 'broadcast', ...without('gupFast', 'looksUpHeadAgain') }).to('io.gup_fast', 'folio_ref_try_add');
    const before = pte(run, 1);
    expect([run.context('io.gup_fast').head, run.counts(0, 1)]).toEqual([0, '4/0 0/0']);
    run.to('work.split', 'folio_ref_freeze');
    expect([pte(run, 1).kind, run.counts(0, 1)]).toEqual(['migration', '1/0 0/0']);
    run.to('work.split', 'remap_walk');
    expect([run.context('page1').tail, run.counts(0, 1)]).toEqual([null, '1/0 1/0']);
    expect(run.to('io.gup_fast', 'ptep_get_lockless_again').counts(0, 1)).toBe('2/1 1/0');
    run.to('work.split', 'folio_unlock');
    expect([pte(run, 1), run.counts(0, 1)]).toEqual([before, '3/1 2/0']);
    run.to('io', 'dma');
    expect([run.context('io').pages, run.violated]).toEqual([[1], ['I5']]);
    run.toEnd('work');
    expect([run.at('page1'), run.counts(0, 1)]).toEqual(['free', '2/1 0/0']);
    expect(run.to('io', 'unpin_user_page').bugs).toEqual(['BUG: a stale translation leads to a page that was freed']);
  });

  test('D4: looked up again, the head is another; what was taken is put, and T is taken', () => {
    const run = new Course({ ...thp, flush: 'broadcast' }).to('io.gup_fast', 'folio_ref_try_add').to('work.split', 'folio_unlock');
    expect(run.counts(0, 1)).toBe('2/0 2/0');
    expect(run.to('io.gup_fast', 'page_folio_again').counts(0, 1)).toBe('3/0 2/0');
    expect(run.to('io.gup_fast', 'put_wrong_head', 'page_folio').counts(0, 1)).toBe('2/0 2/0');
    expect(run.to('io', 'dma').counts(0, 1)).toBe('2/0 3/1');
    run.toEnd('work');
    expect([run.counts(0, 1), run.at('page1'), run.toEnd('io').at('page1'), run.bugs]).toEqual(['1/0 1/1', 'present', 'free', []]);
  });

  test('D4: with IPIs the split waits until T is taken from the folio that it is of, and leaves that as it is', () => {
    const run = new Course({ ...thp, flush: 'ipi', ...without('gupFast', 'looksUpHeadAgain') }).to('io.gup_fast', 'folio_ref_try_add');
    expect(() => run.to('work.split', 'folio_ref_freeze')).toThrow('cannot go on');
    expect([run.at('work.split'), run.at('work.flush'), run.context('cpu0').irqDepth]).toEqual(['ptep_clear_flush', 'csd_lock_wait', 1]);
    run.toEnd('io').toEnd('work');
    expect([run.at('work'), run.bugs, run.violated]).toEqual(['exited', [], []]);
  });

  /** Up to 6.16. */
  const devmapLeaf: Changes = { memory: 'base', devmap: true, pins: first };

  test('D5: the first of the base pages has all references; each is put of its own page, and the others had one', () => {
    const run = new Course({ ...devmapLeaf, pin: false, ...without('gupFast', 'takesLeafWhole') });
    expect(run.counts(...first)).toBe('1/0 1/0 1/0 1/0');
    expect(run.to('io', 'dma').counts(...first)).toBe('5/0 1/0 1/0 1/0');
    expect(run.to('io', 'done').counts(...first)).toBe('4/0 0/0 0/0 0/0');
    expect(run.violated).toEqual(['I6.leak']);
    expect(new Course({ ...devmapLeaf, ...without('gupFast', 'takesLeafWhole') }).toEnd('io').bugs).toEqual([underflow]);
    expect(new Course(devmapLeaf).to('io', 'dma').counts(...first)).toBe('2/1 2/1 2/1 2/1');
  });

  describe('D6: of eight pages 2, 4 and 6 have one struct page, and so one counter', () => {
    const cell = structPageAt('page101', 0);
    const aliased: Changes = { memory: 'base', subpages: 8, mapped: 'ptes', tails: 'shared', unpin: null };

    test('who unpins page 2 twice passes unnoticed, and takes the pin of page 4', () => {
      const unpin = { type: 'call', pfn: 2, pinned: true };
      const run = new Course({ ...aliased, pins: [2, 4] });
      expect(run.counts(cell)).toBe('1/0');
      expect(run.to('io', 'dma').counts(cell)).toBe('3/2');
      expect(run.send('io.put_page', unpin).to('io.put_page', 'idle').counts(cell)).toBe('2/1');
      run.send('io.put_page', unpin).to('io.put_page', 'idle');
      expect([run.counts(cell), run.context('io').pages, run.bugs]).toEqual(['1/0', [2, 4], []]);

      const own = new Course({ ...aliased, tails: 'own', pins: [2, 4] }).to('io', 'dma').send('io.put_page', unpin).to('io.put_page', 'idle');
      expect(own.counts(2, 4)).toBe('1/0 2/1');
      expect(own.send('io.put_page', unpin).to('io.put_page', 'idle').bugs).toEqual([underflow]);
    });

    test('a page is pinned because another is', () => {
      const run = new Course({ ...aliased, pins: [2] }).to('io', 'dma');
      const heard: unknown[] = [];
      run.live.messages.subscribe(({ to, event }) => to === 'io' && heard.push(event));
      run.send('page4', { type: 'page.read' }).send('page3', { type: 'page.read' });
      expect(heard).toMatchObject([
        { type: 'page.counts', refcount: 2, pinned: true },
        { type: 'page.counts', refcount: 1 },
      ]);
      expect([(heard[1] as { pinned?: boolean }).pinned, run.violated]).toEqual([undefined, ['I9']]);
    });
  });

  describe('D7: the tails of F0 in the frame of those of F1', () => {
    const crossed: Changes = { pins: [1], tails: 'crossed', work: ['initF1'], unpin: null };

    test('heads as pointers: who pins a page of F0 refers to F1, and F0 looks idle', () => {
      // Up to 6.16 an idle page counts one, so that the reference can be taken.
      const run = new Course({ ...crossed, devmap: true });
      const [f0, f1] = [structPageAt('page100', 0), structPageAt('page102', 0)];
      expect(run.counts(f0, f1)).toBe('1/0 1/0');
      expect(run.toEnd('work').to('io', 'dma').counts(f0, f1)).toBe('1/0 2/1');
      expect([run.context('io').pages, run.context('io.put_page').pfn]).toEqual([[1], 0]);
    });

    test('since 6.15 F1, which is new, has no reference: nothing is pinned', () => {
      const run = new Course(crossed).toEnd('work').to('io.gup_fast', 'folio_ref_try_add');
      expect([run.context('io.gup_fast').head, run.violated]).toEqual([4, ['I9.head']]);
      expect([run.toEnd('io').at('io'), run.bugs]).toEqual(['done', []]);
    });

    test('heads as masks: F0 is found, and pinned', () => {
      const run = new Course({ ...crossed, heads: 'mask' }).toEnd('work').to('io', 'dma');
      expect([run.counts(structPageAt('page100', 0)), run.violated]).toEqual(['2/1', []]);
    });
  });

  describe('D8: mapped before its struct pages are written', () => {
    const probed = (content: Setup['content']): Changes => ({
      mapped: 'none',
      content,
      pins: [1],
      work: ['publish', 'init'],
      unpin: null,
      ...without('publish', 'refersToFolio'),
    });

    test('poison is taken for a head', () => {
      const run = new Course(probed('poison')).to('work.publish', 'idle').to('io.gup_fast', 'folio_ref_try_add');
      expect(run.bugs).toEqual(['BUG: struct page used that nobody has initialised']);
    });

    test('what boot left is a page for itself, whose pin is lost when it becomes a tail, and is taken back of the head', () => {
      const run = new Course(probed('boot')).to('work.publish', 'idle').to('io', 'dma');
      expect([run.counts(0, 1), run.context('io').pages]).toEqual(['1/0 2/1', [1]]);
      run.toEnd('work');
      expect([run.counts(0, 1), run.context('page1').tail]).toEqual(['0/0 0/0', { head: 0 }]);
      expect(run.toEnd('io').bugs).toEqual([underflow]);
    });
  });

  describe('D9: the pin count after the last look at the leaf', () => {
    const late: Changes = { ...migrated, ...without('gupFast', 'pinsBeforeRecheck') };

    test('broadcast: not pinned yet, so it is shared, and pinned then', () => {
      const run = new Course({ ...late, flush: 'broadcast' });
      expect(run.counts(0)).toBe('2/0');
      expect(run.to('io.gup_fast', 'folio_pin_late').counts(0)).toBe('6/0');
      run.to('work.share', 'clear_anon_exclusive', 'idle');
      expect([run.counts(0), run.context('page0').anonExclusive, pte(run, 0).kind]).toEqual(['5/0', false, 'migration']);
      run.to('io', 'dma');
      expect([run.counts(0), run.context('io').pages, run.violated]).toEqual(['5/4', first, ['I5']]);
    });

    test('IPIs: the flush waits for the pins, which are seen then; the leaf comes back', () => {
      const run = new Course({ ...late, flush: 'ipi' }).to('io.gup_fast', 'folio_pin_late');
      expect(() => run.to('work.share', 'folio_maybe_dma_pinned')).toThrow('cannot go on');
      run.to('io', 'dma').to('work.share', 'folio_maybe_dma_pinned', 'set_pmd_at', 'idle');
      expect([run.counts(0), run.context('page0').anonExclusive, pte(run, 0).kind, run.violated]).toEqual(['6/4', true, 'present', []]);
    });

    test('before the last look, it is seen by who shares, or the pmd that is read again is another', () => {
      const setup: Changes = { ...late, gupFast, flush: 'broadcast' };
      const seen = new Course(setup).to('io.gup_fast', 'pmdp_get_again').to('work.share', 'set_pmd_at', 'idle').to('io', 'dma');
      expect([seen.counts(0), seen.context('page0').anonExclusive]).toEqual(['6/4', true]);
      const undone = new Course(setup).to('io.gup_fast', 'folio_pin').to('work.share', 'clear_anon_exclusive', 'idle').to('io', 'done');
      expect([undone.counts(0), undone.context('page0').anonExclusive, undone.violated]).toEqual(['1/0', false, []]);
    });
  });

  test('D11: the head keeps all but one reference, the others have none', () => {
    const run = new Course({ pins: first, work: ['truncate'], ...without('truncate', 'waitsForIdle') });
    expect(run.to('io', 'dma').counts(0)).toBe('5/4');
    expect(run.to('work.truncate', 'dax_folio_reset_order').counts(...first)).toBe('4/4 0/0 0/0 0/0');
    run.toEnd('work');
    expect([run.counts(...first), run.context('page0').nr, run.context('page1').tail]).toEqual(['4/4 0/0 0/0 0/0', 1, null]);
    run.to('io.unpin', 'gup_put_folio').to('io.unpin', 'page_folio');
    expect([run.counts(...first), run.bugs]).toEqual(['3/3 0/0 0/0 0/0', []]);
    expect(run.to('io.unpin', 'gup_put_folio').to('io.unpin', 'idle').bugs).toEqual([underflow]);
  });
});

describe('each safeguard', () => {
  const firstOf = (subpages: number): number[] => range(0, subpages);
  const acrossOf = (subpages: number): number[] => range(subpages / 2, subpages);
  const one = (): number[] => [1];

  type Row = [Path, string, (subpages: number) => number[], Changes, string[]];
  const rows: Row[] = [
    ['gupFast', 'countsEveryPage', firstOf, {}, ['I11', 'I5', 'I6']],
    ['gupFast', 'countsEveryPage', firstOf, { unpin: null, pin: false }, ['I11', 'I5', 'I6']],
    // What a tail counts is always 0: it would pin nothing. What comes of a count that is not, D6 shows.
    ['gupFast', 'countsOnHead', one, { tails: 'shared' }, ['I9.head']],
    ['gupFast', 'looksUpHeadAgain', one, { ...thp, flush: 'broadcast' }, ['I11', 'I3', 'I5', 'I6', 'UAF']],
    ['gupFast', 'pinsBeforeRecheck', firstOf, { ...migrated, flush: 'broadcast' }, ['I5']],
    ['gupFast', 'rechecksAfterGrab', firstOf, { ...migrated, flush: 'broadcast' }, ['I5']],
    ['gupFast', 'takesLeafWhole', firstOf, { memory: 'base', devmap: true }, ['I11', 'I5', 'I6']],
    ['gupFast', 'takesLeafWhole', firstOf, { memory: 'base', devmap: true, pin: false }, ['I5', 'I6.leak']],
    ['unpin', 'subtractsIndex', acrossOf, {}, ['I11', 'I6']],
    ['unpin', 'subtractsIndex', acrossOf, { pin: false, mapped: 'ptes' }, ['I6.leak']],
    ['unpin', 'putsAll', acrossOf, { work: ['truncate'] }, ['I11']],
    ['unpin', 'putsAll', acrossOf, {}, ['I6.leak']],
    ['truncate', 'waitsForIdle', firstOf, { work: ['truncate'] }, ['I11', 'I12', 'I5', 'I6']],
    // Where pins come late, the flush by IPI is what waits for them.
    ['share', 'flushesBeforeLook', firstOf, { ...migrated, ...without('gupFast', 'pinsBeforeRecheck') }, ['I5']],
    ['share', 'isBusy', firstOf, migrated, ['I5']],
  ];

  const cases = rows.flatMap(([path, guard, pins, setup, names]) =>
    [4, 8].map((subpages) => {
      const does = [setup.pin === false ? 'get_user_pages' : 'pin_user_pages', ...(setup.unpin === null ? ['unpin_user_page'] : []), ...(setup.work ?? [])];
      return [path, guard, subpages, does.join(', '), { ...setup, subpages, pins: pins(subpages) }, names] as const;
    }),
  );
  test.each(cases)('%s.%s, folios of %i pages, %s: without it the setup breaks that holds with it', (path, guard, _, __, setup, names) => {
    const { exhausted, violated, leaks } = explored(setup);
    expect([exhausted, violated, leaks]).toEqual([true, {}, {}]);
    expect(namesOf(explored({ ...setup, ...without(path, guard) }).violated)).toEqual(names);
  });

  const harmless: [string, Changes, Changes][] = [
    // Page by page each head is looked up, and each page was counted.
    ['unpin.groupsByHead', without('unpin', 'groupsByHead'), { work: ['truncate'] }],
    // The pin is there before the last look: whoever clears the leaf sees it, or is seen.
    ['share.flushesBeforeLook', without('share', 'flushesBeforeLook'), migrated],
    // A flush by IPI waits until gup-fast is done with what it has read.
    ['gupFast.looksUpHeadAgain, with IPIs', without('gupFast', 'looksUpHeadAgain'), { ...thp, flush: 'ipi' }],
    ['gupFast.pinsBeforeRecheck, with IPIs', without('gupFast', 'pinsBeforeRecheck'), { ...migrated, flush: 'ipi' }],
    ['gupFast.rechecksAfterGrab, with IPIs', without('gupFast', 'rechecksAfterGrab'), { ...migrated, flush: 'ipi' }],
    // A folio of a device is never split.
    ['gupFast.looksUpHeadAgain, of a device', without('gupFast', 'looksUpHeadAgain'), { work: ['munmap'], flush: 'broadcast' }],
  ];
  test.each(harmless)('%s: nothing breaks where it is the only one that is missing', (_, change, setup) => {
    for (const flush of setup.flush ? [setup.flush] : (['ipi', 'broadcast'] as const)) {
      const pins = setup.mapped === 'ptes' ? [1] : across;
      const { exhausted, violated, leaks, pinned } = explored({ ...setup, ...change, flush, pins });
      expect([exhausted, violated, leaks]).toEqual([true, {}, {}]);
      expect(pinned).toContain(pins.join());
    }
  });
});

describe('two folios of 512 pages, each mapped by a leaf', () => {
  const nr = 512;
  const pfns = range(0, 2 * nr);

  function rig(pin: boolean, gup = gupFast, unpin = unpinUserPageRange): Rig {
    const page = (pfn: number) => actor(folio, { input: { pfn, idle: 0, ...(pfn % nr === 0 ? { refcount: 1, mapcount: 1, nr } : tailOf(pfn)) } });
    const tailOf = (pfn: number) => ({ refcount: 0, tail: { head: pfn - (pfn % nr) } });
    const actors: Actors = {
      ...Object.fromEntries(pfns.map((pfn) => [`page${pfn}`, page(pfn)])),
      mm: actor(addressSpace, { input: { ptes: { 0: presentPte(0), [nr]: presentPte(nr) }, huge: [0, 1], vmas: [], cpumask: [] } }),
      cpu: answers(),
      put_page: actor(putPage, { input: { compounds: true } }),
      gup: actor(gup, { input: { cpu: 'cpu', mm: 'mm', pagemaps: {}, putPage: 'put_page', slow: null, pin } }),
      unpin: actor(unpin, { input: { pin } }),
      p: probe(),
    };
    return new Rig(actors);
  }
  /** References and pins of both. */
  const counts = (system: Rig): number[][] => [0, nr].map((head) => [system.context(`page${head}`).refcount, system.context(`page${head}`).pincount]);
  const pinned = (system: Rig, pages: number[]): unknown => {
    system.say('p', 'gup', { type: 'call', vpns: pages });
    return system.settle('gup').heard('p').at(-1)?.pages;
  };
  const giveBack = (system: Rig, pages: number[]): void => {
    system.say('p', 'unpin', { type: 'call', pages });
    system.settle('unpin');
    expect([system.at('unpin'), system.bugs()]).toEqual(['idle', []]);
  };
  const base = [
    [1, 0],
    [1, 0],
  ];

  test.each([true, false])('law: each has as many references as pages of it are asked for, and none when they are given back (FOLL_PIN: %s)', (pin) => {
    const system = rig(pin);
    const pagesOf = fc.tuple(fc.nat(2 * nr - 1), fc.nat(2 * nr - 1)).map(([a, b]) => range(Math.min(a, b), Math.abs(a - b) + 1));
    const judged = fc.property(pagesOf, (pages) => {
      expect(pinned(system, pages)).toEqual(pages);
      const taken = [pages.filter((page) => page < nr).length, pages.filter((page) => page >= nr).length];
      expect(counts(system)).toEqual(taken.map((refs) => [1 + refs, pin ? refs : 0]));
      giveBack(system, pages);
      expect(counts(system)).toEqual(base);
    });
    fc.assert(judged, { seed: 512, numRuns: 10, examples: [[range(2, 513)], [range(0, 2 * nr)], [[nr - 1, nr]], [[2 * nr - 1]], [range(0, nr)]] });
  });

  test.each<[string, object, number[][]]>([
    [
      'putsAll',
      without('unpin', 'putsAll'),
      [
        [510, 509],
        [3, 2],
      ],
    ],
    // Row D3: of 512 that are left of the range, all are put of F0, which has 510 of them and its mapping; it would be too many.
    [
      'subtractsIndex',
      without('unpin', 'subtractsIndex'),
      [
        [511, 510],
        [4, 3],
      ],
    ],
  ])('pages 2 to 514, given back without %s', (guard, { unpin }: Changes, left) => {
    const system = rig(true, gupFast, unpin as typeof unpinUserPageRange);
    pinned(system, range(2, 513));
    expect(counts(system)).toEqual([
      [511, 510],
      [4, 3],
    ]);
    system.say('p', 'unpin', { type: 'call', pages: range(2, 513) });
    system.stepTo('unpin', 'gup_put_folio').take('unpin', 'step');
    expect(system.bugs()).toEqual(guard === 'subtractsIndex' ? [underflow] : []);
    if (guard === 'putsAll') system.settle('unpin');
    expect(counts(system)).toEqual(left);
  });
});
