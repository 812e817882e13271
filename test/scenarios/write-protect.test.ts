import fc from 'fast-check';
import { type AnyMachineSnapshot, type AnyStateMachine, assign } from 'xstate';
import { asidKey, type Copy, type DeviceCopy, type PresentPte, type Pte, type RecordContents, type RecordSlot, recordAt } from '../../machines/index.js';
import { check, subjectOf } from '../../src/check/check.js';
import { Explorer } from '../../src/explore/explorer.js';
import { type Eventuality, type Exploration, type ExploreOptions, LiveSystem, labelOf, longestResponse, type System } from '../../src/index.js';
import {
  build,
  expectedVerdict,
  type ProtectCall,
  type ProtectCell,
  type ProtectSetup,
  type ProtectThread,
  protection,
  type Scenario,
  scenarios,
  type Variant,
  writeProtectSystem,
} from '../../src/scenarios/index.js';
import type { Choice } from '../../src/system/system.js';

const scenario = scenarios.find(({ id }) => id === 'write-protect') as Scenario;
const variants = scenario.variants as readonly (Variant & { changes: Partial<ProtectSetup> })[];
const variantOf = (id: string) => variants.find((variant) => variant.id === id) as (typeof variants)[number];
/** Up to 1.7 million states each. */
const isLarge = ({ id, row }: Variant): boolean => row === 'W3' || id === 'W0.fork';
const holding = variants.filter((variant) => expectedVerdict(variant) === 'holds' && !isLarge(variant));

type Snapshots = Readonly<Record<string, AnyMachineSnapshot>>;
type Frame = AnyMachineSnapshot['context'];
type Slot = RecordSlot & { pfn: number };

/** What the actors of memory say in one state, side by side. */
interface Memory {
  frames: Frame[];
  /** Those that map a page, over all page tables. */
  ptes: { mm: string; vpn: number; pfn: number; write: boolean; dirty: boolean }[];
  tlbs: { key: string; pfn: number; write: boolean; dirty: boolean }[];
  slots: Slot[];
  records: Record<string, RecordContents>;
  /** What is free, by allocator. */
  lists: Record<string, number[]>;
  copies: DeviceCopy[];
  mapped: { vpn: number; pfn: number; write: boolean }[];
  snapshots: Snapshots;
}

const keysOf = <T>(record: Record<string, T>): [number, T][] => Object.entries(record).map(([key, value]) => [Number(key), value]);
const isMapping = (pte: Pte): pte is Extract<Pte, { kind: 'present' | 'protnone' }> => pte.kind === 'present' || pte.kind === 'protnone';

function memoryIn(snapshots: Snapshots): Memory {
  const all = (is: RegExp): [string, AnyMachineSnapshot['context']][] =>
    Object.entries(snapshots).flatMap(([address, { context }]) => (is.test(address) ? [[address, context]] : []));
  const listed = ({ free, buddy }: Record<string, { pfns: number[] }[]>): number[] => [...(free ?? []), ...(buddy ?? [])].flatMap(({ pfns }) => pfns);
  return {
    frames: all(/^page\d+$/).map(([address, context]) => ({ ...context, free: snapshots[address]?.value === 'free' })),
    ptes: all(/^(p|q|p_node1|child)$/).flatMap(([mm, { ptes }]) =>
      keysOf<Pte>(ptes).flatMap(([vpn, pte]) =>
        isMapping(pte) ? [{ mm, vpn, pfn: pte.pfn, write: (pte as PresentPte).write === true, dirty: pte.dirty }] : [],
      ),
    ),
    tlbs: all(/^cpu\d+$/).flatMap(([, { tlb }]) => Object.entries<Memory['tlbs'][number]>(tlb).map(([key, entry]) => ({ ...entry, key }))),
    slots: all(/^file_|^swap$/).flatMap(([mapping, { folios }]) =>
      keysOf<number | null>(folios).flatMap(([index, pfn]) => (pfn === null ? [] : [{ mapping, index, pfn }])),
    ),
    records: Object.fromEntries(all(/^record\d+$/)),
    lists: Object.fromEntries(all(/^allocator$|^memory_/).map(([address, lists]) => [address, listed(lists)])),
    copies: all(/^copies_/).flatMap(([, { copies }]) => copies),
    mapped: all(/^gpu0$/).flatMap(([, { ptes }]) => keysOf<PresentPte>(ptes).map(([vpn, pte]) => ({ ...pte, vpn }))),
    snapshots,
  };
}

const count = <T>(of: readonly T[], is: (one: T) => boolean): number => of.filter(is).length;
const placesOf = (slots: readonly RecordSlot[]): string =>
  slots
    .map(({ mapping, index }) => `${mapping}/${index}`)
    .sort()
    .join();
const inFiles = ({ slots }: Memory, { pfn }: Frame): Slot[] => slots.filter((slot) => slot.pfn === pfn && slot.mapping.startsWith('file_'));
const mappingsOf = ({ ptes }: Memory, { pfn }: Frame): number => count(ptes, (pte) => pte.pfn === pfn);

/** Whether a copy, or a page that a device stores to, is where the record says. */
const isThere = ({ ptes, mapped }: Memory, { mm, vpn, pfn }: Copy): boolean =>
  mm === 'gpu0' ? mapped.some((pte) => pte.vpn === vpn && pte.pfn === pfn) : ptes.some((pte) => pte.mm === mm && pte.vpn === vpn && pte.pfn === pfn);

/**
 * A page of KSM: each pte is in the record, that of a child by way of its parent's (anon_vma); what is left there of ptes that are gone
 * the next scan finds out. A page of files: the record has all of them, two at least. A page with copies: they are where it says.
 */
function recordsTrue(memory: Memory, frame: Frame): boolean {
  const files = inFiles(memory, frame);
  if (frame.free || frame.protection === null) {
    const { slots, copies } = memory.records[recordAt(frame.pfn)] as RecordContents;
    return slots.length === 0 && copies.length === 0 && (frame.free ? frame.protection?.stable !== false : frame.mapping === (files[0]?.mapping ?? null));
  }
  const { items, slots, copies } = memory.records[frame.protection.record] as RecordContents;
  const isPart = frame.protection.record === recordAt(frame.pfn) || copies.some(({ pfn }) => pfn === frame.pfn);
  if (!frame.protection.stable) return isPart && copies.length > 0 && copies.every((copy) => isThere(memory, copy));
  if (files.length > 0) return files.length > 1 && placesOf(slots) === placesOf(files);
  const listed = ({ mm, vpn }: { mm: string; vpn: number }): boolean => mm === 'child' || items.some((item) => item.mm === mm && item.vpn === vpn);
  return slots.length === 0 && memory.ptes.every((pte) => pte.pfn !== frame.pfn || listed(pte));
}

/** True of each page frame. */
const ofFrames: Record<string, (memory: Memory, frame: Frame) => boolean> = {
  'has a reference for each pte, for each slot of a page cache, and for the driver whose copy it is': (memory, frame) =>
    frame.refcount === mappingsOf(memory, frame) + count(memory.slots, ({ pfn }) => pfn === frame.pfn) + count(memory.copies, ({ copy }) => copy === frame.pfn),
  'is mapped as often as its ptes say': (memory, frame) => frame.mapcount === mappingsOf(memory, frame),
  'is not pinned, not under writeback, and nobody waits for it': (_, { pincount, writeback, waiters }) =>
    pincount === 0 && writeback === null && waiters.length === 0,
  'is free when nobody has a reference, and then its allocator lists it, once': ({ lists }, { free, refcount, pfn, device }) =>
    free === (refcount === 0) &&
    Object.entries(lists).every(
      ([home, list]) => count(list, (listed) => listed === pfn) === Number(free && home === (device ? `memory_${device}` : 'allocator')),
    ),
  'is nowhere writable while it is protected, but for the device that it is protected for': ({ ptes, tlbs, mapped }, { free, protection, pfn }) =>
    free ||
    protection === null ||
    ([...ptes, ...tlbs].every((one) => one.pfn !== pfn || !one.write) && mapped.every((one) => one.pfn !== pfn || !one.write || !protection.stable)),
  'is protected for those whom the record says': recordsTrue,
};

type Lock = { owner?: string | null; writer?: string | null; readers?: string[]; waiters: string[] };
const isFree = ({ owner = null, writer = null, readers = [], waiters }: Lock): boolean =>
  owner === null && writer === null && readers.length === 0 && waiters.length === 0;

/** True of the whole. */
const ofAll: Record<string, (memory: Memory) => boolean> = {
  'no lock is held': ({ snapshots }) =>
    Object.entries(snapshots).every(([address, { context }]) => !/^(folio_lock|mmap_lock_|ptl_|mutex_)/.test(address) || isFree(context)),
  'nobody holds pages': ({ snapshots }) =>
    Object.entries(snapshots).every(([address, { context }]) => !/^direct_io/.test(address) || context.pages.length === 0),
  'nothing is being invalidated, and nobody is subscribed': ({ snapshots }) => {
    const found = snapshots.mmu_notifier_p?.context;
    return !found || (found.active === 0 && !found.odd && [...found.subs, ...found.waiters, ...found.spinning].length === 0);
  },
  'no TLB says more than the page table': ({ tlbs, ptes }) =>
    tlbs.every(({ key, pfn, write, dirty }) =>
      ptes.some((pte) => asidKey(pte.mm, pte.vpn) === key && pte.pfn === pfn && (pte.write || !write) && (pte.dirty || !dirty)),
    ),
  'a device maps its copies, which the records of their pages know, or the page of the process': (memory) =>
    memory.mapped.every(({ vpn, pfn }) => memory.copies.some((one) => one.vpn === vpn && one.copy === pfn) || isThere(memory, { mm: 'p', vpn, pfn })) &&
    memory.copies.every(({ vpn, pfn, copy }) =>
      memory.records[recordAt(pfn)]?.copies.some((known) => known.mm === 'gpu0' && known.vpn === vpn && known.pfn === copy),
    ),
};

/** What has leaked; none: everything is accounted for. */
function leaksIn(snapshots: Snapshots): string[] {
  const memory = memoryIn(snapshots);
  return [
    ...memory.frames.flatMap((frame) => Object.keys(ofFrames).flatMap((rule) => (ofFrames[rule]?.(memory, frame) ? [] : [`page${frame.pfn} not: ${rule}`]))),
    ...Object.keys(ofAll).flatMap((rule) => (ofAll[rule]?.(memory) ? [] : [`not: ${rule}`])),
  ];
}

/** Explores all states, and looks for leaks where nobody but the environment has a choice. `leaks`: each with the first schedule to it. */
function explored(
  system: System,
  options: ExploreOptions = {},
): { exploration: Exploration; violated: string[]; atRest: number; leaks: Record<string, string[]> } {
  const explorer = new Explorer(system, { ...options, stop: () => false });
  while (!explorer.finished) explorer.slice();
  const exploration = explorer.result();
  const { store, tables, deciders } = explorer.searched;
  const localAt = (state: number, actor: number): number => store.packing.read(store.words, state * store.width, actor);
  const leaks: Record<string, string[]> = {};
  let atRest = 0;
  for (let state = 0; exploration.exhausted && state < explorer.states; state++) {
    if (deciders.some(({ actor, menus }) => menus[localAt(state, actor)]?.some((choice) => system.choices[choice]?.fair))) continue;
    atRest++;
    const snapshots = Object.fromEntries(system.actors.map((actor) => [actor.address, tables.local(actor, localAt(state, actor.index)).snapshot]));
    for (const leak of leaksIn(snapshots as Snapshots)) leaks[leak] ??= explorer.scheduleTo(state).map((choice) => labelOf(system.choices[choice] as Choice));
  }
  return { exploration, violated: exploration.properties.flatMap(({ name, violation }) => (violation ? [name] : [])), atRest, leaks };
}

function expectNoLeak(system: System): void {
  const { exploration, violated, atRest, leaks } = explored(system);
  expect([exploration.exhausted, violated, leaks]).toEqual([true, [], {}]);
  expect(atRest).toBeGreaterThan(0);
}

const changed = (changes: Partial<ProtectSetup>): System => writeProtectSystem('changed', { ...protection, ...changes });

describe('when everybody is done, nothing has leaked', () => {
  test.each(holding.map(({ id }) => [id]))('%s', (id) => expectNoLeak(build(scenario, variantOf(id)).system));

  // The large ones without one of their threads.
  test.each([
    ['W3.heeded', 2, 'MADV_FREE'],
    ['W3.6.12', 2, 'MADV_FREE'],
    ['W0.fork', 2, 'the child'],
  ])('%s without thread %i, %s', (id, left) => {
    const { changes } = variantOf(id);
    expectNoLeak(changed({ ...changes, threads: changes.threads?.filter((_, n) => n !== left) ?? [] }));
  });

  /** One of its threads alone. */
  const alone = (id: string, n: number): Partial<ProtectSetup> => ({ ...variantOf(id).changes, threads: variantOf(id).changes.threads?.slice(n, n + 1) ?? [] });
  const without = (action: string) => ({ actions: { [action]: assign({}) } });
  const { changes: copying } = variantOf('W12.notified');
  const { changes: replicating } = variantOf('W16');
  const { putBack } = protection.writeProtect.implementations.actions as Record<string, unknown>;

  test.each<[string, Partial<ProtectSetup>, keyof ProtectSetup, object, string]>([
    ['a reference', alone('W0.merge', 0), 'mergeFilePages', without('putCache'), 'page1 not: has a reference for each'],
    ['a mapping', alone('W0', 0), 'replacePage', without('removeRmap'), 'page0 not: is mapped as often'],
    ['a pin', alone('W0.pin', 1), 'gupFast', without('record'), 'page0 not: is not pinned'],
    ['mmap_lock', alone('W0', 0), 'tryToMerge', without('unlockMm'), 'not: no lock is held'],
    ['a protection', alone('W0.file_write', 0), 'breakFileProtection', without('unprotect'), 'page0 not: is protected for'],
    ['page->mapping', alone('W0.file_write', 0), 'breakFileProtection', without('giveToLast'), 'page0 not: is protected for'],
    ['an owner', alone('W0.merge', 0), 'mergeFilePages', without('addOther'), 'page0 not: is protected for'],
    ['a replica', replicating, 'replicatePage', without('addCopy'), 'page0 not: is protected for'],
    ['a right', copying, 'writeProtect', { actions: { setPte: putBack } }, 'page0 not: is nowhere writable'],
    ['a translation', replicating, 'writeProtect', { guards: { flushesAtProtect: () => false } }, 'not: no TLB says more'],
    ['a copy', copying, 'breakProtection', { guards: { notifies: () => false } }, 'not: a device maps its copies'],
  ])('%s that is left behind is noticed', (_, changes, key, doctored, leak) => {
    const system = changed({ ...changes, [key]: (protection[key] as AnyStateMachine).provide(doctored) });
    expect(Object.keys(explored(system).leaks).join()).toContain(leak);
  });
});

describe('what a program may be', () => {
  const f: ProtectCell = { kind: 'file', pfn: 0, at: { p: [0] } };
  const g: ProtectCell = { kind: 'file', pfn: 1, at: { q: [0] } };
  const thread = (mm: string | null, ...program: ProtectCall[]): ProtectThread => ({ mm, program });
  const write: ProtectCall = { do: 'write', cell: 'f' };
  const sync: ProtectCall = { do: 'fsync', cell: 'f' };

  test('a thread writes to one file', () => {
    expect(() => changed({ cells: { f, g }, threads: [thread('p', write, { do: 'write', cell: 'g' })] })).toThrow(
      'a thread writes to file_f and file_g; give each file a thread of its own',
    );
  });

  test.each<[string, Partial<ProtectSetup>]>([
    ['what is written after an fsync need not be on the disk', { cells: { f }, threads: [thread('p', sync, write)] }],
    ['nor what another writes meanwhile', { cells: { f }, threads: [thread('p', write, sync), thread('p', write, sync)] }],
    ['a file is truncated by who does not map it', { cells: { f, g: { ...g, pfn: 0 } }, stable: [0], threads: [thread('p', { do: 'truncate', cell: 'g' })] }],
    ['no memory for a copy: write(2) gives up', { ...variantOf('W0.file_write').changes, free: 0 }],
    ['no memory for a copy: so does a fault', { ...variantOf('W0.file_store').changes, free: 0 }],
  ])('%s', (_, changes) => expectNoLeak(changed(changes)));
});

describe('in reasonable time', () => {
  /** The most steps of the CPU of a store that faults, and of these a live run of the schedule has as many. */
  function longestOf(system: System, asked: Eventuality): number | null {
    const lane = system.actors.find(({ address }) => address === asked.actors[0])?.lane;
    // Its TLB may fill and evict an entry for ever while it waits: speculation is no step of a fault, and with it there is no most.
    expect(longestResponse(system, asked.name, ({ actor }) => actor.lane === lane)).toMatchObject({ steps: null, limit: null });
    const counts = ({ actor, fair }: Choice): boolean => fair && actor.lane === lane;
    const { steps, schedule, stem, limit } = longestResponse(system, asked.name, counts);
    expect(limit).toBeNull();
    const live = new LiveSystem(system);
    const views = (): object => Object.fromEntries(asked.actors.map((address) => [address, live.snapshot(address)]));
    for (const choice of schedule.slice(0, stem)) live.take(system.choices[choice] as Choice);
    expect(asked.when?.(views())).toBe(true);
    const way = schedule.slice(stem).map((choice) => system.choices[choice] as Choice);
    for (const choice of way) {
      expect(asked.reach(views())).toBe(false);
      live.take(choice);
    }
    expect(asked.reach(views())).toBe(true);
    expect(way.filter(counts)).toHaveLength(steps ?? -1);
    live.stop();
    return steps;
  }

  test.each([
    ['W0', [39]],
    ['W0.shared', [13, 13]],
    ['W0.file_store', [32]],
    ['W12.notified', [43]],
    ['W16', [21]],
    ['W16.threads', [20, 20]],
    ['W0.again', [43]],
  ])('%s: who stores may store after so many steps of his CPU at most: %j', (id, most) => {
    const { system } = build(scenario, variantOf(id));
    expect(system.properties.flatMap((property) => (property.kind === 'eventuality' ? [longestOf(system, property)] : []))).toEqual(most);
  });
});

describe('the order of stores', () => {
  const open = variants.filter((variant) => variant.fixed === undefined && expectedVerdict(variant) !== null && !isLarge(variant));
  const cases = [...open.map(({ id }) => [id, 'tso']), ...open.flatMap((variant) => (holding.includes(variant) ? [[variant.id, 'weak']] : []))];

  test.each(cases as [string, string][])('%s has its verdict under %s, too', async (id, ordering) => {
    const { asExpected, verdict } = await check(subjectOf(build(scenario, variantOf(id), { ordering })));
    expect([asExpected, verdict]).toEqual([true, expectedVerdict(variantOf(id))]);
  });
});

// Seeds are fixed: each time the same programs.
describe('random programs', () => {
  const x: ProtectCell = { kind: 'anonymous', pfn: 0, at: { p: [0] } };
  const f: ProtectCell = { kind: 'file', pfn: 0, at: { p: [0] } };
  const calls = <T>(...of: T[]) => fc.array(fc.constantFrom(...of), { minLength: 1, maxLength: 2 });
  const users = <T>(...of: T[]) => fc.array(fc.record({ second: fc.boolean(), does: calls(...of), syncs: fc.boolean() }), { minLength: 1, maxLength: 2 });

  /** How many of 15 programs were explored to the end; no property is violated in any, and nothing leaks in those. */
  function complete(setups: fc.Arbitrary<Partial<ProtectSetup>>, seed: number): number {
    let ended = 0;
    const judged = fc.property(setups, (setup) => {
      const { exploration, violated, leaks } = explored(changed(setup), { maxStates: 30_000 });
      expect([violated, leaks]).toEqual([[], {}]);
      if (exploration.exhausted) ended++;
    });
    fc.assert(judged, { seed, numRuns: 15 });
    return ended;
  }

  const merged = fc.boolean();
  const privatePages = fc
    .record({
      merged,
      stable: fc.boolean(),
      oneProcess: fc.boolean(),
      scans: fc.boolean(),
      pins: fc.constantFrom(null, 'read' as const, 'write' as const),
      users: users('store' as const, 'load' as const, 'uffd_wp' as const, 'madvise_free' as const, 'unmerge' as const),
      forks: fc.boolean(),
      ordering: fc.constantFrom('sc' as const, 'tso' as const),
    })
    .map((plan): Partial<ProtectSetup> => {
      const [mm, vpn] = plan.oneProcess ? ['p', 1] : ['q', 0];
      const scan = { do: 'ksm_scan' as const, at: { mm: 'p', vpn: 0 }, other: { mm, vpn } };
      const all: ProtectThread[] = [
        ...(plan.scans ? [{ mm: null, program: [scan] }] : []),
        ...(plan.pins ? [{ mm: 'p', program: [], pins: { vpn: 0, access: plan.pins } }] : []),
        ...(plan.forks ? [{ mm: 'p', program: [{ do: 'fork' as const, vpn: 0 }] }] : []),
        ...plan.users.map(({ second, does }) => ({ mm: second ? mm : 'p', program: does.map((what) => ({ do: what, vpn: second ? vpn : 0 })) })),
      ];
      const y = { ...x, pfn: plan.merged ? 0 : 1, at: { [mm]: [vpn] } };
      const stable = plan.merged ? [0] : plan.stable ? [1] : [];
      return { cells: { x, y }, stable, free: 4, ordering: plan.ordering, threads: all.slice(0, 3) };
    });

  const filePages = fc
    .record({
      merged,
      dirty: fc.boolean(),
      users: users('store' as const, 'load' as const, 'write' as const),
      kernel: calls('merge_files' as const, 'writeback' as const, 'truncate' as const, 'kpageflags' as const),
      truncated: fc.constantFrom('f', 'g'),
    })
    .map((plan): Partial<ProtectSetup> => {
      const other = plan.truncated === 'f' ? 'g' : 'f';
      // There is no i_size: who still stores to a file that is truncated, or reads it, would find what is on the disk (I1, I3w).
      const fileOf = (second: boolean) => (plan.kernel.includes('truncate') ? other : second ? 'g' : 'f');
      const userThreads = plan.users.map(({ second, does, syncs }): ProtectThread => {
        const cell = fileOf(second);
        const calls = does.map((what): ProtectCall => (what === 'write' ? { do: what, cell } : { do: what, vpn: 0 }));
        // What is written after an fsync need not be on the disk: it comes last, where nobody else may write.
        const isAlone = plan.users.filter((user) => fileOf(user.second) === cell).length === 1;
        return { mm: cell === 'g' ? 'q' : 'p', program: [...calls, ...(syncs && isAlone ? [{ do: 'fsync' as const, cell }] : [])] };
      });
      const kernelCall = (what: 'merge_files' | 'writeback' | 'truncate' | 'kpageflags'): ProtectCall => {
        if (what === 'merge_files') return { do: what, into: plan.truncated, from: other };
        return what === 'kpageflags' ? { do: what, pfn: 0 } : { do: what, cell: what === 'truncate' ? plan.truncated : other };
      };
      const g = { ...f, pfn: plan.merged ? 0 : 1, at: { q: [0] }, dirty: plan.merged && plan.dirty };
      const threads = [...userThreads, { mm: null, program: plan.kernel.map(kernelCall) }];
      return { cells: { f: { ...f, dirty: plan.dirty }, g }, stable: plan.merged ? [0] : [], free: 4, threads };
    });

  test('over private pages, seed 1128', () => expect(complete(privatePages, 1128)).toBeGreaterThan(7));

  test('over pages of files, seed 1129', () => expect(complete(filePages, 1129)).toBeGreaterThan(7));
});
