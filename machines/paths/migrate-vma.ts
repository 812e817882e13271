import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { type Pte, type PteReply, pageAt, presentPte } from '../memory/address-space.js';
import type { RmapItem } from './try-to-unmap.js';

interface Input {
  mm: Address;
  ptl: Address;
  folioLocks: Record<string, Address>;
  flush: Address;
  /** mmu_notifier_invalidate_range of this task; null: nobody mirrors the address space. */
  notifier: Address | null;
  /** pgmap_owner: what the driver's own callbacks know it by. */
  owner: string;
  /** put_page, of a page of the kernel; and of one of the device, which goes back to its driver. */
  putPage: Address;
  putDevicePage: Address;
  /** Where else the page at a virtual page number may be mapped, after fork; default: nowhere. */
  others?: Record<string, RmapItem[]>;
  /** For these. */
  tryToUnmap?: Address | null;
  archFlush?: Address | null;
}

/** migrate_vma.flags, MIGRATE_VMA_SELECT_*. */
export type MigrateVmaSelect = 'system' | 'device_private';

interface Context extends Required<Input> {
  caller: Address;
  vpn: number;
  select: MigrateVmaSelect;
  /** Of this page the fault of a CPU that is handled holds one more reference (migrate_vma.fault_page); -1: there is no fault. */
  faultPage: number;
  source: number;
  /** What the pte was, or the migration entry that is there now. */
  pte: Pte;
  exclusive: boolean;
  /** Who has locked the target. */
  target: { pfn: number; owner: Address } | null;
  migrated: boolean;
  /** CPUs that may use what others had mapped. */
  cpus: Address[];
  /** Places whose entries are still to be removed. */
  places: RmapItem[];
}

type Event =
  | { type: 'step' }
  | Call<
      | { phase: 'setup'; vpn: number; select: MigrateVmaSelect; faultPage?: number }
      | { phase: 'pages'; target: number }
      | { phase: 'finalize'; target: number | null }
    >
  | Return<{ cpus?: Address[] }>
  | Signed<PteReply>
  | Signed<{ type: 'locked' } | { type: 'trylock.result'; result: 'locked' | 'busy' }>
  | Signed<{ type: 'page.counts'; refcount: number; mapcount: number; dirty?: boolean; exclusive?: boolean }>;

const { tell, inform } = speaker<Context, Event>();
const none: Pte = { kind: 'none' };
const unused = { source: -1, pte: none, exclusive: false };
const idle = {
  caller: '',
  vpn: -1,
  select: 'system' as MigrateVmaSelect,
  faultPage: -1,
  ...unused,
  target: null,
  migrated: false,
  cpus: [] as Address[],
  places: [] as RmapItem[],
};

const setupCall = (event: Event) => received(event, 'call') as Extract<Event, { phase: 'setup' }>;
const targetOf = (event: Event): Context['target'] => {
  const { from, target } = received(event, 'call') as Signed<{ target: number | null }>;
  return target === null ? null : { pfn: target, owner: from };
};
const isPresent = ({ pte }: Context): boolean => pte.kind === 'present';
const isWritable = ({ pte }: Context): boolean => (pte.kind === 'present' || pte.kind === 'devpriv' || pte.kind === 'migration') && pte.write;
const lockOf = (context: Context, pfn: number): Address => context.folioLocks[pfn] as Address;
/** Who refers to the source: this path, and the fault. */
const references = ({ source, faultPage }: Context): number => (source === faultPage ? 2 : 1);
/** Where the page is in the end. */
const home = ({ migrated, source, target }: Context): number => (migrated ? (target?.pfn as number) : source);
const isHomeOfDevice = ({ select, migrated }: Context): boolean => (select === 'system') === migrated;
const putOf = (context: Context, ofDevice: boolean): Address => (ofDevice ? context.putDevicePage : context.putPage);
const othersOf = ({ others, vpn }: Context): RmapItem[] => others[vpn] ?? [];
const place = ({ places }: Context): RmapItem => places[0] as RmapItem;
const range = ({ owner, vpn }: Context): object => ({ event: 'MIGRATE', owner, vpns: [vpn] });

/**
 * What drivers migrate pages to their device and back with: migrate_vma_setup, migrate_vma_pages, migrate_vma_finalize
 * (mm/migrate_device.c, 6.12), for one private page and wherever it is mapped. Called under mmap_lock, thrice. `setup`: the pte becomes a migration entry, the
 * page is locked and nobody else refers to it; returns `{ pfn, write }`, with `pfn` null if there is none, and then it is over.
 * `pages`: may the target, which the caller has locked, take its place? Returns `{ ok }`. `finalize`: the pte leads to the target, or to
 * the source as before; both are unlocked and dropped. What another process has mapped is flushed after its page-table lock is dropped,
 * not before: it is read-only, being shared. Domain table, part 2, 1d (MIGRATE).
 */
export const migrateVma = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    hasNotifier: ({ context }) => context.notifier !== null,
    isSelected: ({ context, event }) => received(event, 'pte').pte.kind === (context.select === 'system' ? 'present' : 'devpriv'),
    gotLock: ({ event }) => received(event, 'trylock.result').result === 'locked',
    isExclusive: ({ event }) => received(event, 'page.counts').exclusive === true,
    /** ptep_clear_flush: of what is exclusive no TLB may be left when that is taken from it. */
    flushesFirst: ({ context, event }) => context.exclusive && received(event, 'pte').pte.kind === 'present',
    flushesAfter: ({ context }) => isPresent(context) && !context.exclusive,
    gotPage: ({ context }) => context.source !== -1,
    isShared: ({ context }) => context.source !== -1 && othersOf(context).length > 0,
    isMapped: ({ event }) => received(event, 'page.counts').mapcount > 0,
    owesFlush: ({ context }) => context.cpus.length > 0,
    noPlaces: ({ context }) => context.places.length === 0,
    /** Safeguard: who else refers to the page may use it after the copy. Of a page of a device one reference more is let pass here. */
    isUnmapped: ({ context, event }) => {
      const { refcount, mapcount } = received(event, 'page.counts');
      return mapcount === 0 && refcount <= references(context) + (context.select === 'device_private' ? 1 : 0);
    },
    isPages: ({ event }) => received(event, 'call').phase === 'pages',
    /** Safeguard: as above, when there is no way back any more. */
    isExpected: ({ context, event }) => received(event, 'page.counts').refcount === references(context),
    hasUnused: ({ context }) => context.target !== null && !context.migrated,
    hasMigrated: ({ context }) => context.migrated,
    isEntry: ({ context, event }) => {
      const { pte } = received(event, 'pte');
      return pte.kind === 'migration' && pte.pfn === context.source;
    },
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpn, select, faultPage } = setupCall(event);
      return { caller: from, vpn, select, faultPage: faultPage ?? -1 };
    }),
    callStart: tell(
      ({ context }) => context.notifier as Address,
      ({ context }) => ({ type: 'call', phase: 'start', ...range(context) }),
    ),
    callEnd: tell(
      ({ context }) => context.notifier as Address,
      ({ context }) => ({ type: 'call', phase: 'end', ...range(context) }),
    ),
    lockPtl: tell(({ context }) => context.ptl, { type: 'lock' }),
    unlockPtl: tell(({ context }) => context.ptl, { type: 'unlock' }),
    readPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.read', vpn: context.vpn }),
    ),
    notePage: assign(({ event }) => {
      const { pte } = received(event, 'pte');
      return { pte, source: (pte as Extract<Pte, { kind: 'present' | 'devpriv' }>).pfn };
    }),
    notePte: assign({ pte: ({ event }) => received(event, 'pte').pte }),
    get: tell(({ context }) => pageAt(context.source), { type: 'folio.ref_inc' }),
    callUnmap: tell(
      ({ context }) => context.tryToUnmap as Address,
      ({ context }) => ({ type: 'call', pfn: context.source, mapping: null, index: context.vpn, leaves: 'migration', items: othersOf(context) }),
    ),
    noteUnmapped: assign({ cpus: ({ event }) => received(event, 'return').cpus ?? [] }),
    callArchFlush: tell(
      ({ context }) => context.archFlush as Address,
      ({ context }) => ({ type: 'call', cpus: context.cpus }),
    ),
    notePlaces: assign({ places: ({ context }) => [{ mm: context.mm, vpn: context.vpn, ptl: context.ptl }, ...othersOf(context)] }),
    lockPlace: tell(({ context }) => place(context).ptl, { type: 'lock' }),
    unlockPlace: tell(({ context }) => place(context).ptl, { type: 'unlock' }),
    readPlace: tell(
      ({ context }) => place(context).mm,
      ({ context }) => ({ type: 'pte.read', vpn: place(context).vpn }),
    ),
    nextPlace: assign({ places: ({ context }) => context.places.slice(1) }),
    drop: tell(({ context }) => pageAt(context.source), { type: 'folio.ref_dec' }),
    trylock: tell(({ context }) => lockOf(context, context.source), { type: 'trylock' }),
    forgetPage: assign(unused),
    readCounts: tell(({ context }) => pageAt(context.source), { type: 'page.read' }),
    noteExclusive: assign({ exclusive: true }),
    exchange: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.get_and_clear', vpn: context.vpn }),
    ),
    callFlush: tell(
      ({ context }) => context.flush,
      ({ context }) => ({ type: 'call', vpns: [context.vpn] }),
    ),
    markDirty: inform(({ context }) => (context.pte.kind === 'present' && context.pte.dirty ? pageAt(context.source) : null), { type: 'folio.mark_dirty' }),
    share: inform(({ context }) => (context.exclusive ? pageAt(context.source) : null), { type: 'folio.set_exclusive', exclusive: false }),
    setEntry: tell(
      ({ context }) => context.mm,
      ({ context }) => ({
        type: 'pte.set',
        vpn: context.vpn,
        pte: { kind: 'migration', pfn: context.source, write: isWritable(context), ...(context.exclusive ? { exclusive: true } : {}) },
      }),
    ),
    removeRmap: tell(({ context }) => pageAt(context.source), { type: 'folio.remove_rmap' }),
    returnFound: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', pfn: context.source, write: isWritable(context) }),
    ),
    noteTarget: assign({ target: ({ event }) => targetOf(event) }),
    noteMigrated: assign({ migrated: true }),
    moveFlags: inform(({ context, event }) => (received(event, 'page.counts').dirty ? pageAt(context.target?.pfn as number) : null), {
      type: 'folio.mark_dirty',
    }),
    returnMigrated: tell(({ context }) => context.caller, { type: 'return', ok: true }),
    returnRefused: tell(({ context }) => context.caller, { type: 'return', ok: false }),
    unlockTarget: tell(
      ({ context }) => lockOf(context, context.target?.pfn as number),
      ({ context }) => ({ type: 'unlock', owner: context.target?.owner }),
    ),
    callPutTarget: tell(
      ({ context }) => putOf(context, context.select === 'system'),
      ({ context }) => ({ type: 'call', pfn: context.target?.pfn, pinned: false }),
    ),
    forgetTarget: assign({ target: null }),
    getHome: tell(({ context }) => pageAt(home(context)), { type: 'folio.ref_inc' }),
    addRmap: tell(({ context }) => pageAt(home(context)), { type: 'folio.add_rmap' }),
    restoreExclusive: inform(({ context }) => (context.pte.kind === 'migration' && context.pte.exclusive ? pageAt(home(context)) : null), {
      type: 'folio.set_exclusive',
      exclusive: true,
    }),
    setPte: tell(
      ({ context }) => place(context).mm,
      ({ context }) => ({
        type: 'pte.set',
        vpn: place(context).vpn,
        pte: isHomeOfDevice(context)
          ? { kind: 'devpriv', pfn: home(context), write: isWritable(context) }
          : presentPte(home(context), { write: isWritable(context) }),
      }),
    ),
    unlock: tell(({ context }) => lockOf(context, context.source), { type: 'unlock' }),
    callPutSource: tell(
      ({ context }) => putOf(context, context.select === 'device_private'),
      ({ context }) => ({ type: 'call', pfn: context.source, pinned: false }),
    ),
    returnNone: tell(({ context }) => context.caller, { type: 'return', pfn: null }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'migrate_vma',
  context: ({ input }) => ({ others: {}, tryToUnmap: null, archFlush: null, ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: {
      tags: ['rest'],
      description: 'Not called',
      on: {
        call: [
          { guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_start', actions: 'remember' },
          { target: 'migrate_vma_collect_pmd', actions: 'remember' },
        ],
      },
    },
    mmu_notifier_invalidate_range_start: {
      description: "Secondary MMUs drop the page; the driver's own callback may know better",
      entry: 'callStart',
      on: { return: { target: 'migrate_vma_collect_pmd' } },
    },
    migrate_vma_collect_pmd: { description: 'Takes the page-table lock', on: { step: { target: 'spin_on_ptl', actions: 'lockPtl' } } },
    spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'ptep_get' } } },
    ptep_get: {
      description: 'Is it a page that may be migrated?',
      entry: 'readPte',
      on: { pte: [{ guard: 'isSelected', target: 'folio_trylock', actions: 'notePage' }, { target: 'pte_unmap_unlock' }] },
    },
    folio_trylock: {
      description: 'With a reference, and locked; if somebody has it, not now',
      on: {
        step: { actions: ['get', 'trylock'] },
        'trylock.result': [
          { guard: 'gotLock', target: 'folio_test_anon_exclusive' },
          { target: 'pte_unmap_unlock', actions: ['drop', 'forgetPage'] },
        ],
      },
    },
    folio_test_anon_exclusive: {
      description: 'Is it exclusive?',
      entry: 'readCounts',
      on: { 'page.counts': [{ guard: 'isExclusive', target: 'ptep_get_and_clear', actions: 'noteExclusive' }, { target: 'ptep_get_and_clear' }] },
    },
    ptep_get_and_clear: {
      description: 'Nobody can walk to it from here',
      on: {
        step: { actions: 'exchange' },
        pte: [
          { guard: 'flushesFirst', target: 'ptep_clear_flush', actions: 'notePte' },
          { target: 'set_pte_at', actions: 'notePte' },
        ],
      },
    },
    ptep_clear_flush: { description: 'IPIs under the page-table lock', entry: 'callFlush', on: { return: { target: 'set_pte_at' } } },
    set_pte_at: {
      description: 'A migration entry: who comes to it waits for the folio lock. The mapping is gone, and its reference',
      on: { step: { target: 'unmapped_pte', actions: ['markDirty', 'share', 'setEntry', 'removeRmap', 'drop'] } },
    },
    unmapped_pte: {
      description: 'Was it flushed yet?',
      always: [{ guard: 'flushesAfter', target: 'flush_tlb_range' }, { target: 'pte_unmap_unlock' }],
    },
    flush_tlb_range: { description: 'IPIs under the page-table lock', entry: 'callFlush', on: { return: { target: 'pte_unmap_unlock' } } },
    pte_unmap_unlock: {
      description: 'Drops the page-table lock',
      on: {
        step: [
          { guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_end', actions: 'unlockPtl' },
          { target: 'migrate_vma_unmap', actions: 'unlockPtl' },
        ],
      },
    },
    mmu_notifier_invalidate_range_end: {
      description: 'Secondary MMUs may look again, and find the entry',
      entry: 'callEnd',
      on: { return: { target: 'migrate_vma_unmap' } },
    },
    migrate_vma_unmap: {
      description: 'Is there a page?',
      always: [
        { guard: 'isShared', target: 'folio_mapped' },
        { guard: 'gotPage', target: 'migrate_vma_check_page' },
        { target: 'idle', actions: ['returnNone', 'forget'] },
      ],
    },
    folio_mapped: {
      description: 'Does somebody else map it?',
      on: {
        step: { actions: 'readCounts' },
        'page.counts': [{ guard: 'isMapped', target: 'try_to_migrate' }, { target: 'migrate_vma_check_page' }],
      },
    },
    try_to_migrate: {
      description: 'Migration entries there too; their secondary MMUs are told',
      entry: 'callUnmap',
      on: { return: { target: 'unmapped_others', actions: 'noteUnmapped' } },
    },
    unmapped_others: {
      description: 'Who may have them cached? Nobody, if the page was in the memory of the device',
      always: [{ guard: 'owesFlush', target: 'try_to_unmap_flush' }, { target: 'migrate_vma_check_page' }],
    },
    try_to_unmap_flush: { description: 'IPIs', entry: 'callArchFlush', on: { return: { target: 'migrate_vma_check_page' } } },
    migrate_vma_check_page: {
      description: 'Nobody else maps it or refers to it? Else it stays',
      on: {
        step: { actions: 'readCounts' },
        'page.counts': [
          { guard: 'isUnmapped', target: 'unmapped', actions: 'returnFound' },
          { target: 'remove_migration_ptes', actions: 'notePlaces' },
        ],
      },
    },
    unmapped: {
      description: 'The caller has the page: it copies it, and says what it is to be replaced by',
      on: {
        call: [
          { guard: 'isPages', target: 'folio_migrate_mapping', actions: 'noteTarget' },
          { target: 'migrate_vma_finalize', actions: 'noteTarget' },
        ],
      },
    },
    folio_migrate_mapping: {
      description: 'Nobody else refers to it still? Then the target is the page from here on',
      on: {
        step: { actions: 'readCounts' },
        'page.counts': [
          { guard: 'isExpected', target: 'unmapped', actions: ['noteMigrated', 'moveFlags', 'returnMigrated'] },
          { target: 'unmapped', actions: 'returnRefused' },
        ],
      },
    },
    migrate_vma_finalize: {
      description: 'A target that was not taken goes first',
      always: [
        { guard: 'hasUnused', target: 'unlock_unused' },
        { target: 'remove_migration_ptes', actions: 'notePlaces' },
      ],
    },
    unlock_unused: { description: 'Unlocks it', on: { step: { target: 'put_unused', actions: 'unlockTarget' } } },
    put_unused: {
      description: 'Drops it',
      entry: 'callPutTarget',
      on: { return: { target: 'remove_migration_ptes', actions: ['forgetTarget', 'notePlaces'] } },
    },
    remove_migration_ptes: { description: 'Place by place', always: [{ guard: 'noPlaces', target: 'folio_unlock' }, { target: 'lock_to_restore' }] },
    lock_to_restore: { description: 'Takes the page-table lock', on: { step: { target: 'spin_to_restore', actions: 'lockPlace' } } },
    spin_to_restore: { description: 'Spins while another has it', on: { locked: { target: 'page_vma_mapped_walk' } } },
    page_vma_mapped_walk: {
      description: 'Is the entry there still? madvise takes mmap_lock for reading too',
      entry: 'readPlace',
      on: {
        pte: [
          { guard: 'isEntry', target: 'remove_migration_pte', actions: 'notePte' },
          { target: 'remove_migration_ptes', actions: ['unlockPlace', 'nextPlace'] },
        ],
      },
    },
    remove_migration_pte: {
      description: 'Maps the target, or the source again; a page of a device is not present',
      on: { step: { target: 'remove_migration_ptes', actions: ['getHome', 'addRmap', 'restoreExclusive', 'setPte', 'unlockPlace', 'nextPlace'] } },
    },
    folio_unlock: {
      description: 'Unlocks the source, and the target; who waits for the migration looks again',
      on: {
        step: [
          { guard: 'hasMigrated', target: 'folio_put', actions: ['unlock', 'unlockTarget'] },
          { target: 'folio_put', actions: 'unlock' },
        ],
      },
    },
    folio_put: {
      description: 'Drops the source',
      entry: 'callPutSource',
      on: {
        return: [
          { guard: 'hasMigrated', target: 'put_target' },
          { target: 'idle', actions: ['returnNone', 'forget'] },
        ],
      },
    },
    put_target: {
      description: 'Drops the target, which has the reference of its mapping now',
      entry: 'callPutTarget',
      on: { return: { target: 'idle', actions: ['returnNone', 'forget'] } },
    },
  },
});
