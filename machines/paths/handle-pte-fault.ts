import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { type Area, type Pte, type PteReply, pageAt, presentPte } from '../memory/address-space.js';

interface Input {
  mm: Address;
  ptl: Address;
  folioLocks: Record<string, Address>;
  allocPages: Address;
  putPage: Address;
  /** do_pte_missing, for anonymous memory that was never touched. */
  anonFault: Address;
  /** flush_tlb_mm_range, for ptep_clear_flush. */
  flush: Address;
  /** luf_flush; null: a kernel without LUF. */
  lufFlush: Address | null;
  debug: Address | null;
  task: Address;
  /** mmu_notifier_invalidate_range of its task; default: nobody mirrors the address space. */
  notifier?: Address | null;
  /** remove_device_exclusive_entry; default: there are no such entries. */
  restoreExclusive?: Address | null;
  /** The driver's migrate_to_ram; default: no page is in the memory of a device. */
  migrateToRam?: Address | null;
  /** break_protection of its task; default: no page is protected by a record, and page->mapping of a page in a cache is its mapping. */
  breakProtection?: Address | null;
}

interface Context extends Required<Input> {
  caller: Address;
  vpn: number;
  write: boolean;
  /** FAULT_FLAG_UNSHARE: a copy that nobody shares, without the right to store. */
  unshare: boolean;
  area: Area | null;
  /** vmf->orig_pte. */
  orig: Pte;
  /** The page to be mapped. */
  pfn: number;
  /** Nobody else may map it. */
  exclusive: boolean;
  ok: boolean;
}

type Event =
  | { type: 'step' }
  | Call<{ vpn: number; write?: boolean; unshare?: boolean }>
  | Return<{ pfns?: number[]; ok?: boolean }>
  | Signed<PteReply>
  | Signed<{ type: 'vma'; result: 'found' | 'none'; area?: Area } | { type: 'locked' } | { type: 'slot'; pfn: number | null }>
  | Signed<{ type: 'slot.added'; result: 'added' | 'exists' } | { type: 'stored'; value: string | null } | { type: 'memory.content'; value: string | null }>
  | Signed<{ type: 'folio.got' } | { type: 'folio.frozen' } | { type: 'page.counts'; exclusive?: boolean; protection?: 'stable' | 'record' }>
  | Signed<{ type: 'folio.mapping'; mapping: Address | null; record: Address | null } | { type: 'record.listed'; listed: boolean }>;

const { tell, inform } = speaker<Context, Event>();
const none: Pte = { kind: 'none' };
const idle = { caller: '', vpn: -1, write: false, unshare: false, area: null, orig: none, pfn: -1, exclusive: false, ok: false };
const same = (a: Pte, b: Pte): boolean => JSON.stringify(a) === JSON.stringify(b);
const area = (context: Context): Area => context.area as Area;
/** Where in the mapping: a swap entry says it itself. */
const slotOf = ({ orig, area }: Context): number => (orig.kind === 'swap' ? orig.slot : (area as Area).index);
const lockOf = (context: Context): Address => context.folioLocks[context.pfn] as Address;
const isPrivate = ({ area }: Context): boolean => area?.anonymous === true || area?.private === true;
/** page->mapping of a page of a file says whose it is; one in the swap cache is found there by its slot. */
const asksPage = (context: Context): boolean => context.breakProtection !== null && !area(context).anonymous;
/** do_numa_page: what can_change_pte_writable would make writable. */
const staysWritable = (context: Context): boolean =>
  area(context).write && (isPrivate(context) ? context.exclusive : context.orig.kind === 'protnone' && context.orig.dirty);
/** A forced access (uprobes) copies, and the pte stays read-only where the VMA is. */
const mayStore = (context: Context): boolean => context.write && (context.exclusive || !isPrivate(context));
const setsWritable = (context: Context): boolean => (context.orig.kind === 'protnone' ? staysWritable(context) : mayStore(context) && area(context).write);

/**
 * handle_pte_fault for pages of files and of swap (mm/memory.c, mm/filemap.c, 6.12), under mmap_lock: do_fault and
 * do_swap_page for a pte that is not present, do_wp_page for a store to one that is read-only, the wait for a migration;
 * a device-exclusive entry is restored, a page in the memory of a device brought back, and a hint of NUMA balancing taken
 * away, without moving the page (do_numa_page).
 * Private memory is copied unless the page is exclusive; shared memory is made writable in place. With LUF, strictly: what
 * is owed is paid under the page-table lock before a writable pte is set. Called with the page and whether it is a store;
 * returns `{ ok }`. Domain table part 2, 1b, 1e; rows L6, L7.
 */
export const handlePteFault = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    isAnonymousNone: ({ context, event }) => received(event, 'pte').pte.kind === 'none' && area(context).anonymous,
    isNone: ({ event }) => received(event, 'pte').pte.kind === 'none',
    isSwap: ({ event }) => received(event, 'pte').pte.kind === 'swap',
    isMigration: ({ event }) => received(event, 'pte').pte.kind === 'migration',
    isDevexcl: ({ context, event }) => context.restoreExclusive !== null && received(event, 'pte').pte.kind === 'devexcl',
    isDevpriv: ({ context, event }) => context.migrateToRam !== null && received(event, 'pte').pte.kind === 'devpriv',
    /** pte_protnone, and vma_is_accessible. */
    isNumaHint: ({ context, event }) => received(event, 'pte').pte.kind === 'protnone' && (area(context).read || area(context).write),
    hasNotifier: ({ context }) => context.notifier !== null,
    isWriteFault: ({ context, event }) => {
      const { pte } = received(event, 'pte');
      return (context.write || context.unshare) && pte.kind === 'present' && !pte.write;
    },
    isInCache: ({ event }) => received(event, 'slot').pfn !== null,
    isStillThere: ({ context, event }) => received(event, 'slot').pfn === context.pfn,
    gotPage: ({ event }) => (received(event, 'return').pfns ?? []).length > 0,
    wasAdded: ({ event }) => received(event, 'slot.added').result === 'added',
    isUnchanged: ({ context, event }) => same(context.orig, received(event, 'pte').pte),
    isPrivate: ({ context }) => isPrivate(context),
    isExclusive: ({ event }) => received(event, 'page.counts').exclusive === true,
    isExclusiveAlready: ({ context, event }) => context.unshare && received(event, 'page.counts').exclusive === true,
    canBeProtected: ({ context }) => context.breakProtection !== null,
    /** Of a page that KSM shares the copy is enough. */
    isReplicated: ({ context, event }) => context.breakProtection !== null && received(event, 'page.counts').protection === 'record',
    /** Safeguard (row W14): a protected page has a record where its mapping was; it has not been truncated for that. */
    knowsRecord: ({ event }) => received(event, 'folio.mapping').record !== null,
    isSameMapping: ({ context, event }) => received(event, 'folio.mapping').mapping === area(context).mapping,
    isListed: ({ event }) => received(event, 'record.listed').listed,
    isListedForStore: ({ context, event }) => received(event, 'record.listed').listed && context.write && !isPrivate(context),
    /** The entry was left by who had it for itself, and no fork came since. */
    isExclusiveEntry: ({ context }) => context.orig.kind === 'swap' && context.orig.exclusive === true,
    /** Safeguard (rows L6, L7): a pte that lets one CPU store while others still read the old page. */
    mustFlushBeforeSet: ({ context }) => context.lufFlush !== null && setsWritable(context),
    /** Row L6: version 12 pays at the end, for every VMA that may be written. */
    mustFlushAtEnd: () => false,
    /** Row L15a: the entry is computed before the lock, and then somebody was faster. */
    computesEntryEarly: () => false,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpn, write, unshare } = received(event, 'call');
      return { caller: from, vpn, write: write ?? false, unshare: unshare ?? false };
    }),
    callAnonymous: tell(
      ({ context }) => context.anonFault,
      ({ context }) => ({ type: 'call', vpn: context.vpn }),
    ),
    noteResult: assign({ ok: ({ event }) => received(event, 'return').ok === true }),
    findVma: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'vma.find', vpn: context.vpn }),
    ),
    noteArea: assign({ area: ({ event }) => received(event, 'vma').area ?? null }),
    readPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.read', vpn: context.vpn }),
    ),
    noteOrig: assign({ orig: ({ event }) => received(event, 'pte').pte }),
    notePresent: assign({
      orig: ({ event }) => received(event, 'pte').pte,
      pfn: ({ event }) => (received(event, 'pte').pte as Extract<Pte, { kind: 'present' | 'protnone' }>).pfn,
    }),
    noteEntryPfn: assign({ pfn: ({ event }) => (received(event, 'pte').pte as Extract<Pte, { kind: 'migration' | 'devexcl' | 'devpriv' }>).pfn }),
    callRestore: tell(
      ({ context }) => context.restoreExclusive as Address,
      ({ context }) => ({ type: 'call', vpn: context.vpn, pfn: context.pfn }),
    ),
    callMigrate: tell(
      ({ context }) => context.migrateToRam as Address,
      ({ context }) => ({ type: 'call', vpn: context.vpn, pfn: context.pfn }),
    ),
    setPresent: tell(
      ({ context }) => context.mm,
      ({ context }) => {
        const { dirty } = context.orig as Extract<Pte, { kind: 'protnone' }>;
        return { type: 'pte.set', vpn: context.vpn, pte: presentPte(context.pfn, { write: staysWritable(context), dirty }) };
      },
    ),
    callStart: tell(
      ({ context }) => context.notifier as Address,
      ({ context }) => ({ type: 'call', phase: 'start', event: 'CLEAR', owner: null, vpns: [context.vpn] }),
    ),
    callEnd: tell(
      ({ context }) => context.notifier as Address,
      ({ context }) => ({ type: 'call', phase: 'end', event: 'CLEAR', owner: null, vpns: [context.vpn] }),
    ),
    readSlot: tell(
      ({ context }) => area(context).mapping,
      ({ context }) => ({ type: 'slot.read', index: slotOf(context) }),
    ),
    recheckMapping: tell(
      ({ context }) => (asksPage(context) ? pageAt(context.pfn) : area(context).mapping),
      ({ context }) => (asksPage(context) ? { type: 'folio.mapping' } : { type: 'slot.read', index: slotOf(context) }),
    ),
    askRecord: tell(
      ({ event }) => received(event, 'folio.mapping').record as Address,
      ({ context }) => ({ type: 'record.lists', mapping: area(context).mapping, index: slotOf(context) }),
    ),
    setMapping: inform(
      ({ context }) => (asksPage(context) ? pageAt(context.pfn) : null),
      ({ context }) => ({ type: 'folio.set_mapping', mapping: area(context).mapping }),
    ),
    callBreak: tell(
      ({ context }) => context.breakProtection as Address,
      ({ context }) => ({ type: 'call', pfn: context.pfn, vpn: context.vpn, mapping: area(context).mapping, index: slotOf(context) }),
    ),
    noteSlot: assign({ pfn: ({ event }) => received(event, 'slot').pfn as number }),
    tryGet: tell(({ context }) => pageAt(context.pfn), { type: 'folio.try_get' }),
    get: tell(({ context }) => pageAt(context.pfn), { type: 'folio.ref_inc' }),
    lockFolio: tell(({ context }) => lockOf(context), { type: 'lock' }),
    unlockFolio: tell(({ context }) => lockOf(context), { type: 'unlock' }),
    callAlloc: tell(({ context }) => context.allocPages, { type: 'call' }),
    notePfn: assign({ pfn: ({ event }) => (received(event, 'return').pfns ?? [])[0] as number }),
    addToCache: tell(
      ({ context }) => area(context).mapping,
      ({ context }) => ({ type: 'slot.add', index: slotOf(context), pfn: context.pfn }),
    ),
    readStored: tell(
      ({ context }) => area(context).mapping,
      ({ context }) => ({ type: 'stored.read', index: slotOf(context) }),
    ),
    fill: tell(
      ({ context }) => pageAt(context.pfn),
      ({ event }) => ({ type: 'memory.write', value: received(event, 'stored').value }),
    ),
    callPut: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.pfn, pinned: false }),
    ),
    lockPtl: tell(({ context }) => context.ptl, { type: 'lock' }),
    unlockPtl: tell(({ context }) => context.ptl, { type: 'unlock' }),
    readCounts: tell(({ context }) => pageAt(context.pfn), { type: 'page.read' }),
    noteExclusive: assign({ exclusive: true }),
    setExclusive: tell(({ context }) => pageAt(context.pfn), { type: 'folio.set_exclusive', exclusive: true }),
    callLufFlush: tell(({ context }) => context.lufFlush as Address, { type: 'call' }),
    observeMkwriteEarly: inform(
      ({ context }) => (context.write ? context.debug : null),
      ({ context }) => ({ type: 'luf.mkwrite', pfn: context.pfn, mapping: area(context).mapping, index: slotOf(context), task: context.task }),
    ),
    observeMkwrite: inform(
      ({ context }) => (setsWritable(context) ? context.debug : null),
      ({ context }) => ({ type: 'luf.mkwrite', pfn: context.pfn, mapping: area(context).mapping, index: slotOf(context), task: context.task }),
    ),
    addRmap: tell(({ context }) => pageAt(context.pfn), { type: 'folio.add_rmap' }),
    setPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({
        type: 'pte.set',
        vpn: context.vpn,
        pte: presentPte(context.pfn, { write: setsWritable(context), dirty: mayStore(context) }),
      }),
    ),
    markDirty: inform(({ context }) => (setsWritable(context) ? pageAt(context.pfn) : null), { type: 'folio.mark_dirty' }),
    sample: tell(({ context }) => pageAt((context.orig as Extract<Pte, { kind: 'present' }>).pfn), { type: 'memory.read', sample: false }),
    copyInto: tell(
      ({ context }) => pageAt(context.pfn),
      ({ event }) => ({ type: 'memory.write', value: received(event, 'memory.content').value }),
    ),
    noteCopy: assign({ exclusive: true }),
    observeCopy: inform(
      ({ context }) => context.debug,
      ({ context }) => ({ type: 'luf.copied', source: (context.orig as Extract<Pte, { kind: 'present' }>).pfn, copy: context.pfn }),
    ),
    clearPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.get_and_clear', vpn: context.vpn }),
    ),
    callFlush: tell(
      ({ context }) => context.flush,
      ({ context }) => ({ type: 'call', vpns: [context.vpn] }),
    ),
    removeOldRmap: tell(({ context }) => pageAt((context.orig as Extract<Pte, { kind: 'present' }>).pfn), { type: 'folio.remove_rmap' }),
    callPutOld: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: (context.orig as Extract<Pte, { kind: 'present' }>).pfn, pinned: false }),
    ),
    succeed: assign({ ok: true }),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', ok: context.ok }),
    ),
    forget: assign(idle),
  },
}).createMachine({
  id: 'handle_pte_fault',
  context: ({ input }) => ({ notifier: null, restoreExclusive: null, migrateToRam: null, breakProtection: null, ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'find_vma', actions: 'remember' } } },
    find_vma: {
      description: 'What is mapped here; mmap_lock keeps it so',
      entry: 'findVma',
      on: { vma: { target: 'vmf_orig_pte', actions: 'noteArea' } },
    },
    vmf_orig_pte: {
      description: 'Looks at the pte without a lock (vmf->orig_pte)',
      on: {
        step: { actions: 'readPte' },
        pte: [
          { guard: 'isAnonymousNone', target: 'do_anonymous_page' },
          { guard: 'isNone', target: 'filemap_get_folio', actions: 'noteOrig' },
          { guard: 'isSwap', target: 'filemap_get_folio', actions: 'noteOrig' },
          { guard: 'isMigration', target: 'migration_entry_wait', actions: 'noteEntryPfn' },
          { guard: 'isDevexcl', target: 'remove_device_exclusive_entry', actions: 'noteEntryPfn' },
          { guard: 'isDevpriv', target: 'migrate_to_ram', actions: 'noteEntryPfn' },
          { guard: 'isNumaHint', target: 'do_numa_page', actions: 'notePresent' },
          { guard: 'isWriteFault', target: 'do_wp_page', actions: 'notePresent' },
          { target: 'luf_flush_at_end', actions: 'succeed' },
        ],
      },
    },
    do_anonymous_page: {
      description: 'Never touched: a fresh page',
      entry: 'callAnonymous',
      on: { return: { target: 'luf_flush_at_end', actions: 'noteResult' } },
    },
    migration_entry_wait: {
      description: 'Sleeps until the migration unlocks the source, then looks again',
      on: { step: { target: 'folio_wait_locked', actions: 'lockFolio' } },
    },
    folio_wait_locked: { description: 'Sleeps', on: { locked: { target: 'luf_flush_at_end', actions: ['unlockFolio', 'succeed'] } } },
    remove_device_exclusive_entry: {
      description: 'A device has the page for itself: the pte is made present again, and the access tried again',
      entry: 'callRestore',
      on: { return: { target: 'luf_flush_at_end', actions: 'succeed' } },
    },
    migrate_to_ram: {
      description: 'The page is in the memory of a device: its driver brings it back, and the access is tried again',
      entry: 'callMigrate',
      on: { return: { target: 'luf_flush_at_end', actions: 'succeed' } },
    },
    do_numa_page: { description: 'A hint: who uses the page? Takes the page-table lock', on: { step: { target: 'numa_spin_on_ptl', actions: 'lockPtl' } } },
    numa_spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'numa_pte_changed' } } },
    numa_pte_changed: {
      description: 'Is the pte as it was?',
      entry: 'readPte',
      on: {
        pte: [
          { guard: 'isUnchanged', target: 'can_change_pte_writable' },
          { target: 'wp_unlock', actions: 'succeed' },
        ],
      },
    },
    can_change_pte_writable: {
      description: 'Without a copy, or a word with the file system? A private page that is exclusive; a shared one that is dirty already',
      entry: 'readCounts',
      on: {
        'page.counts': [
          { guard: 'isReplicated', target: 'numa_flush_before_set' },
          { guard: 'isExclusive', target: 'numa_flush_before_set', actions: 'noteExclusive' },
          { target: 'numa_flush_before_set' },
        ],
      },
    },
    numa_flush_before_set: {
      description: 'LUF: what is owed is paid before a writable pte is set',
      always: [{ guard: 'mustFlushBeforeSet', target: 'numa_luf_flush' }, { target: 'numa_rebuild_single_mapping' }],
    },
    numa_luf_flush: { description: 'IPIs under the page-table lock', entry: 'callLufFlush', on: { return: { target: 'numa_rebuild_single_mapping' } } },
    numa_rebuild_single_mapping: {
      description: 'Gives the access back',
      on: { step: { target: 'wp_unlock', actions: ['observeMkwrite', 'setPresent', 'succeed'] } },
    },
    filemap_get_folio: {
      description: 'Is it in the page cache, or in the swap cache? Looks, and takes a reference',
      on: {
        step: { actions: 'readSlot' },
        slot: [{ guard: 'isInCache', target: 'folio_try_get', actions: 'noteSlot' }, { target: 'alloc_pages' }],
      },
    },
    folio_try_get: {
      description: 'A folio that is being taken away has no reference to add to: looks again',
      entry: 'tryGet',
      on: { 'folio.got': { target: 'lock_folio' }, 'folio.frozen': { target: 'filemap_get_folio' } },
    },
    lock_folio: { description: 'Locks it, to map it', on: { step: { target: 'folio_wait_lock', actions: 'lockFolio' } } },
    folio_wait_lock: { description: 'Sleeps while another has it locked', on: { locked: { target: 'check_mapping' } } },
    check_mapping: {
      description: 'Is it this mapping still?',
      entry: 'recheckMapping',
      on: {
        slot: [{ guard: 'isStillThere', target: 'finish_fault' }, { target: 'folio_unlock_gone' }],
        'folio.mapping': [
          { guard: 'knowsRecord', target: 'record_lists', actions: 'askRecord' },
          { guard: 'isSameMapping', target: 'finish_fault' },
          { target: 'folio_unlock_gone' },
        ],
      },
    },
    record_lists: {
      description: 'A protected page: the record says whose it is; a store has to break the protection first',
      on: {
        'record.listed': [
          { guard: 'isListedForStore', target: 'unlock_protected' },
          { guard: 'isListed', target: 'finish_fault' },
          { target: 'folio_unlock_gone' },
        ],
      },
    },
    unlock_protected: { description: 'The folio lock is for who breaks it', on: { step: { target: 'put_protected', actions: 'unlockFolio' } } },
    put_protected: { description: 'Gives the reference back', entry: 'callPut', on: { return: { target: 'break_protection' } } },
    break_protection: {
      description: 'Whatever depends on the page staying as it is goes, then the access is tried again; without memory for a copy it is not (VM_FAULT_OOM)',
      entry: 'callBreak',
      on: { return: { target: 'luf_flush_at_end', actions: 'noteResult' } },
    },
    folio_unlock_gone: { description: 'It was taken away meanwhile: looks again', on: { step: { target: 'put_gone', actions: 'unlockFolio' } } },
    put_gone: { description: 'Gives the reference back', entry: 'callPut', on: { return: { target: 'vmf_orig_pte' } } },
    alloc_pages: {
      description: 'A page to read it into',
      entry: 'callAlloc',
      on: {
        return: [
          { guard: 'gotPage', target: 'lock_new_folio', actions: 'notePfn' },
          { target: 'idle', actions: ['return', 'forget'] },
        ],
      },
    },
    lock_new_folio: { description: 'Locks it; nobody else knows it', entry: 'lockFolio', on: { locked: { target: 'filemap_add_folio' } } },
    filemap_add_folio: {
      description: 'Into the cache; if somebody was faster, with theirs',
      on: {
        step: { actions: 'addToCache' },
        'slot.added': [
          { guard: 'wasAdded', target: 'read_folio', actions: ['get', 'setMapping'] },
          { target: 'put_unused', actions: 'unlockFolio' },
        ],
      },
    },
    put_unused: { description: 'Gives the page back', entry: 'callPut', on: { return: { target: 'filemap_get_folio' } } },
    read_folio: {
      description: 'Reads it from disk, server or swap',
      on: { step: { actions: 'readStored' }, stored: { target: 'finish_fault', actions: 'fill' } },
    },
    finish_fault: {
      description: 'Takes the page-table lock',
      on: {
        step: [
          { guard: 'computesEntryEarly', target: 'spin_on_ptl', actions: ['observeMkwriteEarly', 'lockPtl'] },
          { target: 'spin_on_ptl', actions: 'lockPtl' },
        ],
      },
    },
    spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'vmf_pte_changed' } } },
    vmf_pte_changed: {
      description: 'Is the pte as it was? Else another thread was faster',
      entry: 'readPte',
      on: {
        pte: [
          { guard: 'isUnchanged', target: 'reuse' },
          { target: 'unlock_and_put', actions: 'succeed' },
        ],
      },
    },
    unlock_and_put: { description: 'Drops the locks', on: { step: { target: 'put_page', actions: ['unlockPtl', 'unlockFolio'] } } },
    reuse: {
      description: 'Private: may it be written without a copy?',
      always: [{ guard: 'isPrivate', target: 'folio_test_anon_exclusive' }, { target: 'flush_before_set' }],
    },
    folio_test_anon_exclusive: {
      description: 'Exclusive still, or the entry says that it was',
      entry: 'readCounts',
      on: {
        'page.counts': [
          { guard: 'isExclusive', target: 'flush_before_set', actions: 'noteExclusive' },
          { guard: 'isExclusiveEntry', target: 'flush_before_set', actions: ['noteExclusive', 'setExclusive'] },
          { target: 'flush_before_set' },
        ],
      },
    },
    flush_before_set: {
      description: 'LUF: what is owed is paid before a writable pte is set',
      always: [{ guard: 'mustFlushBeforeSet', target: 'luf_flush' }, { target: 'set_pte_range' }],
    },
    luf_flush: { description: 'IPIs under the page-table lock', entry: 'callLufFlush', on: { return: { target: 'set_pte_range' } } },
    set_pte_range: {
      description: 'Maps it; from here the hardware can walk to it',
      on: { step: { target: 'pte_unmap_unlock', actions: ['observeMkwrite', 'addRmap', 'setPte', 'markDirty', 'succeed'] } },
    },
    pte_unmap_unlock: {
      description: 'Drops the page-table lock and the folio lock; the reference of the look-up is the mapping now',
      on: { step: { target: 'luf_flush_at_end', actions: ['unlockPtl', 'unlockFolio'] } },
    },
    put_page: { description: 'Gives the reference back', entry: 'callPut', on: { return: { target: 'luf_flush_at_end' } } },
    do_wp_page: { description: 'A store to a read-only pte: takes the page-table lock', on: { step: { target: 'wp_spin_on_ptl', actions: 'lockPtl' } } },
    wp_spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'wp_pte_changed' } } },
    wp_pte_changed: {
      description: 'Is the pte as it was?',
      entry: 'readPte',
      on: {
        pte: [
          { guard: 'isUnchanged', target: 'wp_reuse' },
          { target: 'wp_unlock', actions: 'succeed' },
        ],
      },
    },
    wp_unlock: { description: 'Drops the lock', on: { step: { target: 'luf_flush_at_end', actions: 'unlockPtl' } } },
    wp_reuse: {
      description: 'A page of a file, or an exclusive one, is made writable in place',
      always: [{ guard: 'isPrivate', target: 'wp_test_anon_exclusive' }, { target: 'wp_page_shared' }],
    },
    wp_test_anon_exclusive: {
      description: 'Is it exclusive?',
      entry: 'readCounts',
      on: {
        'page.counts': [
          { guard: 'isReplicated', target: 'wp_unlock_protected' },
          { guard: 'isExclusiveAlready', target: 'wp_unlock', actions: 'succeed' },
          { guard: 'isExclusive', target: 'wp_page_reuse', actions: 'noteExclusive' },
          { target: 'wp_page_copy', actions: ['get', 'unlockPtl'] },
        ],
      },
    },
    wp_unlock_protected: {
      description: 'Who breaks the protection takes the locks itself',
      on: { step: { target: 'break_protection', actions: 'unlockPtl' } },
    },
    wp_page_shared: {
      description: 'page_mkwrite: the file system is told, with the folio locked and the page-table lock dropped',
      on: { step: { target: 'page_mkwrite', actions: ['get', 'unlockPtl', 'lockFolio'] } },
    },
    page_mkwrite: {
      description: 'Sleeps while another has the folio locked',
      on: { locked: [{ guard: 'canBeProtected', target: 'page_mkwrite_mapping' }, { target: 'finish_mkwrite_fault' }] },
    },
    page_mkwrite_mapping: {
      description: 'The file system looks whether the page was truncated meanwhile, and whether it is protected',
      entry: 'recheckMapping',
      on: {
        'folio.mapping': [
          { guard: 'knowsRecord', target: 'unlock_protected' },
          { guard: 'isSameMapping', target: 'finish_mkwrite_fault' },
          { target: 'mkwrite_unlock_gone' },
        ],
      },
    },
    mkwrite_unlock_gone: { description: 'Truncated: the access is tried again', on: { step: { target: 'mkwrite_put_gone', actions: 'unlockFolio' } } },
    mkwrite_put_gone: {
      description: 'Gives the reference back',
      entry: 'callPut',
      on: { return: { target: 'luf_flush_at_end', actions: 'succeed' } },
    },
    finish_mkwrite_fault: { description: 'Takes the page-table lock again', on: { step: { target: 'mkwrite_spin_on_ptl', actions: 'lockPtl' } } },
    mkwrite_spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'mkwrite_pte_changed' } } },
    mkwrite_pte_changed: {
      description: 'Is the pte as it was?',
      entry: 'readPte',
      on: {
        pte: [
          { guard: 'isUnchanged', target: 'wp_flush_before_set' },
          { target: 'unlock_and_put', actions: 'succeed' },
        ],
      },
    },
    wp_flush_before_set: {
      description: 'LUF: what is owed is paid before a writable pte is set',
      always: [{ guard: 'mustFlushBeforeSet', target: 'mkwrite_luf_flush' }, { target: 'wp_page_reuse_shared' }],
    },
    mkwrite_luf_flush: { description: 'IPIs under the page-table lock', entry: 'callLufFlush', on: { return: { target: 'wp_page_reuse_shared' } } },
    wp_page_reuse_shared: {
      description: 'Makes the pte writable',
      on: { step: { target: 'unlock_and_put', actions: ['observeMkwrite', 'setPte', 'markDirty', 'succeed'] } },
    },
    wp_page_reuse: {
      description: 'LUF: what is owed is paid before a writable pte is set',
      always: [{ guard: 'mustFlushBeforeSet', target: 'reuse_luf_flush' }, { target: 'ptep_set_access_flags' }],
    },
    reuse_luf_flush: { description: 'IPIs under the page-table lock', entry: 'callLufFlush', on: { return: { target: 'ptep_set_access_flags' } } },
    ptep_set_access_flags: {
      description: 'Makes the pte writable',
      on: { step: { target: 'wp_unlock', actions: ['observeMkwrite', 'setPte', 'succeed'] } },
    },
    wp_page_copy: {
      description: 'A copy of its own',
      entry: 'callAlloc',
      on: { return: [{ guard: 'gotPage', target: 'copy_user_folio', actions: 'notePfn' }, { target: 'wp_put_old' }] },
    },
    copy_user_folio: {
      description: 'Copies the bytes; the old page is read-only here, and stays so',
      on: { step: { actions: 'sample' }, 'memory.content': { target: 'copy_is_ready', actions: ['copyInto', 'noteCopy', 'setExclusive', 'observeCopy'] } },
    },
    copy_is_ready: {
      description: 'Secondary MMUs first',
      always: [{ guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_start' }, { target: 'copy_ptl' }],
    },
    mmu_notifier_invalidate_range_start: { description: 'They drop the old page', entry: 'callStart', on: { return: { target: 'copy_ptl' } } },
    copy_ptl: { description: 'Takes the page-table lock again', on: { step: { target: 'copy_spin_on_ptl', actions: 'lockPtl' } } },
    copy_spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'copy_pte_changed' } } },
    copy_pte_changed: {
      description: 'Is the pte as it was?',
      entry: 'readPte',
      on: {
        pte: [
          { guard: 'isUnchanged', target: 'ptep_clear_flush' },
          { target: 'copy_unlock', actions: 'succeed' },
        ],
      },
    },
    copy_unlock: {
      description: 'Somebody was faster: drops the lock',
      on: {
        step: [
          { guard: 'hasNotifier', target: 'invalidate_end_unused', actions: 'unlockPtl' },
          { target: 'put_copy', actions: 'unlockPtl' },
        ],
      },
    },
    invalidate_end_unused: { description: 'The notification was for nothing', entry: 'callEnd', on: { return: { target: 'put_copy' } } },
    put_copy: { description: 'The copy is free again', entry: 'callPut', on: { return: { target: 'wp_put_old' } } },
    ptep_clear_flush: { description: 'Clears the pte', on: { step: { actions: 'clearPte' }, pte: { target: 'flush_tlb_page' } } },
    flush_tlb_page: {
      description: 'IPIs under the page-table lock: nobody may read the old page through this pte',
      entry: 'callFlush',
      on: { return: { target: 'copy_flush_before_set' } },
    },
    copy_flush_before_set: {
      description: 'LUF: what is owed is paid before a writable pte is set',
      always: [{ guard: 'mustFlushBeforeSet', target: 'copy_luf_flush' }, { target: 'set_pte_copy' }],
    },
    copy_luf_flush: { description: 'IPIs under the page-table lock', entry: 'callLufFlush', on: { return: { target: 'set_pte_copy' } } },
    set_pte_copy: { description: 'Maps the copy', on: { step: { target: 'copy_done', actions: ['observeMkwrite', 'addRmap', 'setPte', 'succeed'] } } },
    copy_done: {
      description: 'Drops the mapping of the old page, and the lock',
      on: {
        step: [
          { guard: 'hasNotifier', target: 'mmu_notifier_invalidate_range_end', actions: ['removeOldRmap', 'unlockPtl'] },
          { target: 'put_unmapped', actions: ['removeOldRmap', 'unlockPtl'] },
        ],
      },
    },
    mmu_notifier_invalidate_range_end: { description: 'They may fault in the copy', entry: 'callEnd', on: { return: { target: 'put_unmapped' } } },
    put_unmapped: { description: "The mapping's reference of the old page", entry: 'callPutOld', on: { return: { target: 'wp_put_old' } } },
    wp_put_old: { description: 'The reference of the copier', entry: 'callPutOld', on: { return: { target: 'luf_flush_at_end' } } },
    luf_flush_at_end: {
      description: 'Row L6: version 12 pays here, when the pte is visible',
      always: [
        { guard: 'mustFlushAtEnd', target: 'fault_luf_flush' },
        { target: 'idle', actions: ['return', 'forget'] },
      ],
    },
    fault_luf_flush: { description: 'Pays what is owed', entry: 'callLufFlush', on: { return: { target: 'idle', actions: ['return', 'forget'] } } },
  },
});
