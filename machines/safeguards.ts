// Written by scripts/safeguards.mjs from the doc comments of the machines.
// biome-ignore-all format: a safeguard a line

/** By machine and the name of a guard or an action: what this safeguard sees to. */
export const safeguards: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  add_mapping_parameter: {
    marksFirst: 'a function has the parameter before its callers are looked at; one that calls itself is not begun again (PB)',
    slotIsNode: 'a slot is treated as a function is: all in it get the parameter, and so does who calls through it (PC)',
    reportsRoots: 'a function that nobody calls has nobody to get a mapping from, and is not passed over in silence (PD)',
    asksWhichMapping: 'having a mapping is not having that of the page (PE)',
  },
  add_memory_resource: {
    initialisesBeforeOnline: 'whoever sees that a section is online may read its struct pages (row E12)',
  },
  alloc_pages: {
    mustFlush: 'nobody gets a frame that a TLB still leads to (row L3)',
  },
  break_file_protection: {
    waitsForWriteback: "the old page's writes end before the copy can be written to the same place, and before the owner's fsync looks at the copy alone",
    unmapsFirst: 'once the copy is in the slot somebody can store to it, and who reads through a stale translation would not see it (I3w)',
  },
  break_protection: {
    notifies: 'a device reads its copy, and asks nobody (row W12)',
    notifiesBeforeLock: 'a driver may need the folio lock to let go of its copy (row W13)',
    revokesBeforeWritable: 'who has seen the new bytes must not find the old ones in a copy (row W10)',
  },
  clear_refs_write: {
    holdsMmapLockForWriting: 'up to 5.10 others who only read may find ptes that are not flushed yet (row W3)',
  },
  context_switch: {
    comparesGen: 'flushes that left a lazy CPU out are made up for when it stops being lazy',
    setsMaskFirst: 'first in the mask, so that IPIs arrive, and only then the generation that they would bring',
  },
  copy_page_range: {
    mustCopy: 'a page that is pinned must stay the one that the address maps, for who stores through it (I8)',
  },
  cpu: {
    mayFlushRange: 'the range alone is flushed only if nothing else is owed; else the next request would be taken for done',
    drainsOnInterrupt: 'x86 empties the store buffer before the handler of an interrupt runs, so that no store through what an IPI flushes comes after its acknowledgement',
  },
  disk: {
    reportsByBuffer: 'page->mapping may have become a record since the write was submitted (row W8)',
  },
  flush_tlb_batched_pending: {
    isPending: 'ptes that are gone already may be cached still (rows L10, L11)',
  },
  flush_tlb_mm_range: {
    reachesEveryCpu: 'freed page tables must leave the paging-structure cache of lazy CPUs too',
    isSwitching: 'while it switches, a CPU may be on its way to this address space',
    sendsWithIrqsOn: 'who waits for others must answer to them meanwhile (smp_call_function_many_cond asserts it)',
  },
  generic_perform_write: {
    knowsRecord: 'a protected page has a record where its mapping was (row W14)',
    breaksProtection: 'a page whose bytes others share is copied first (row W9)',
    mustFlushBeforeCopy: 'a stale translation still shows what the file held before (rows L8, L8a, L8b)',
  },
  gup_fast: {
    countsEveryPage: 'as many references as pages, since each page may be given back by itself (row D1)',
    countsOnHead: "counters of a tail are its head's (row D6)",
    looksUpHeadAgain: 'the page may belong to another folio than it did when its head was looked up (G8c, row D4)',
    pinsBeforeRecheck: 'who clears the pte and then looks for pins sees this one (G8d, row D9)',
    needsPagemap: 'a devmap pte needs a live reference of the pagemap before its struct page is touched (G7)',
    holdsPagemapUntilGrab: 'the pagemap is held until the page itself is (G12)',
    undoPutsPages: 'pages gathered under a dying pagemap are put, not only forgotten (G7d)',
    rechecksAfterGrab: 'the pte is read again after the reference was taken (G9)',
    mustUnshare: 'a pin on a page that others share is no pin on what the address maps next (part 2, row W6r)',
  },
  gup_slow: {
    needsPagemap: 'as in gup-fast, a devmap pte needs the pagemap before the struct page is touched (up to 6.16)',
    mustUnshare: 'as in gup-fast (part 2, row W6r)',
  },
  handle_mm_fault: {
    daxAlive: 'a device on its way out hands out no page',
  },
  handle_pte_fault: {
    knowsRecord: 'a protected page has a record where its mapping was; it has not been truncated for that (row W14)',
    mustFlushBeforeSet: 'a pte that lets one CPU store while others still read the old page (rows L6, L7)',
  },
  luf_batch: {
    paysUpToStart: 'what was recorded while the flush was on its way is not paid by it (row L13)',
  },
  make_device_exclusive: {
    splitsOnlyHuge: 'what is not huge is not split, and nobody is told so (row D4)',
    notifiesExclusive: 'the mappings of other secondary MMUs go, whoever they belong to (row D17)',
    flushes: 'no TLB leads to the page any more when the device gets it (row D20)',
  },
  memunmap_pages: {
    waitsBeforeRemove: 'memory goes only after the last reference is gone',
  },
  memunmap_pages_5_10: {
    waitsBeforeRemove: 'memory goes only after the last reference is gone',
  },
  merge_file_pages: {
    isUnreferenced: 'nobody but its ptes, the page cache and this path refers to it. Of ptes that are read-only and clean already write_protect_page does not ask, and a pin may outlive all ptes (U5)',
    isKpageUnreferenced: 'the same, of the page that stays (U5)',
    comparesAgain: 'what was compared before could change (row W4)',
  },
  migrate_pages: {
    takesKey: 'an earlier pass, or another path, may have unmapped it without a flush, and this one found no pte',
  },
  migrate_to_ram: {
    invalidatesFirst: 'the device may store to what it has mapped, and its callback has let its own MIGRATE pass',
  },
  migrate_vma: {
    isUnmapped: 'who else refers to the page may use it after the copy. Of a page of a device one reference more is let pass here',
    isExpected: 'as above, when there is no way back any more',
  },
  mmu_notifier: {
    mayBeAffected: 'a range that nobody monitors may be the very one that is monitored now (row N3)',
  },
  mmu_notifier_invalidate_range: {
    intervalsFirst: 'a driver may count on it that its sequence number has changed when its list notifier drops mappings (row D9)',
    endsListeners: 'listeners whose start has succeeded expect their end (row N5)',
    endsIntervals: 'the tree has counted this invalidation. Where a listener refuses, 6.12 does not give it its end (scenario N5.tree)',
  },
  mremap: {
    flushesUnderPtl: 'whoever frees the page through its new address flushes that address only (eb66ae030829)',
  },
  mwriteprotect_range: {
    holdsMmapLockForWriting: 'up to 5.10 others who only read may find ptes that are not flushed yet (row W3)',
  },
  nfs_revalidate_mapping: {
    mustFlush: 'a page that is not in the cache may be in a TLB (row L9)',
  },
  nouveau_atomic_range_fault: {
    usesNotifier: 'an interval notifier, read before and checked after (row D1)',
    keepsFolioLocked: 'the folio stays locked until the device has mapped it (row D2)',
    checksUnderMutex: 'the check is made under the mutex that callbacks take (row D7)',
    unlocksOnRetry: 'whoever tries again lets go of the page first (row D19; since b3fefbb30a16)',
  },
  nouveau_dmem_migrate_vma: {
    invalidatesFirst: 'the device may store to what it has mapped, and its callback has let its own MIGRATE pass. 6.12 leaves it mapped',
    maps: 'what is mapped here is mapped with no look at the sequence, and who has invalidated the page meanwhile (madvise takes mmap_lock for reading too) frees it. 6.12 maps the copy, and one that was not taken all the same',
  },
  nouveau_range_fault: {
    subscribes: 'without a subscription nobody tells that what was looked up is gone (row D1)',
    mustWait: 'while an invalidation is under way the pte is as it was, and soon will not be (row N1)',
    waitsUnderLock: 'who takes the lock of the subscriptions to end an invalidation still uses the subscription (row N4)',
    checksUnderMutex: 'what was looked up may be gone (rows D1, D7)',
  },
  nouveau_svm_range_invalidate: {
    isOwn: 'that the driver itself makes a page exclusive is no reason to read again. Its own MIGRATE is one: what was read before may name the page that has gone (row D3)',
    takesMutex: 'who holds the mutex and has found nothing changed is done before the sequence number is (row D8)',
    admitsFailure: 'who has not set the sequence number says so (row D10)',
    storesSeq: 'row N2',
  },
  nouveau_svmm_invalidate_range_start: {
    takesMutex: 'who holds the mutex has found nothing changed, and has not mapped yet (row D8)',
    admitsFailure: 'who has not dropped the mappings says so (row D10)',
  },
  page_allocator: {
    canDrainMerging: 'a merged block owes what its parts owe (row L4)',
  },
  percpu_ref_is_zero: {
    takesSwitchLock: 'pointer and count are read under the lock under which percpu_ref_exit takes the block away',
  },
  percpu_ref_owner: {
    unhashesFirst: 'nobody can find the object any more before its counters go',
    killsAgain: 'kill is called once',
    waitsForRelease: 'the counters are freed only after release',
    isInsideRcu: 'whoever waits for a grace period is in no read section',
  },
  percpu_ref_tryget: {
    isDying: 'of tryget_live: a dead reference is not taken. A plain tryget does not look',
    resultFits: 'the result of the atomic increment reaches the caller unharmed (it was once squeezed into an int)',
  },
  percpu_ref_user: {
    putsReference: 'the reference is put on every way out, errors too',
  },
  remove_device_exclusive_entry: {
    takesReference: 'the entry may go meanwhile, and its page with it (row D18; since 7c7b962938dd)',
  },
  replace_page: {
    testsUnchanged: 'a fault may have put a copy in the place of the page, which was stored to since (row W5)',
  },
  replicate_page: {
    copiesAfterProtect: 'before it, a store may still come that the copy has not (row W11)',
  },
  secondary_mmu: {
    isInFlight: 'a pte that is gone says nothing of an atomic that has looked at it before',
  },
  section_deactivate: {
    keepsBootMemmap: 'the struct pages of an early section are never removed in part (row E13, ef69bc9f689d)',
    flushesBeforeFree: 'where ptes are cleared first: no frame is freed while a TLB may lead to it (row E10)',
  },
  set_pmd_migration_entry: {
    flushesBeforeLook: 'who pins without locks, interrupts off, and has seen the leaf is done with it when the flush by IPI returns (row D9)',
    isBusy: "a page that is pinned stays exclusive, or its owner's next store would go to a copy (I5)",
  },
  shrink_folio_list: {
    mustFlushDirty: 'a store through a stale entry would miss what is written out (R5)',
    takesKey: 'an earlier pass, or another path, may have unmapped it without a flush, and this one found no pte',
  },
  stable_page_flags: {
    knowsRecord: 'what page->mapping leads to need not be a mapping (U4)',
  },
  truncate: {
    scansUnmapped: 'busy pages are looked for even if no VMA maps the file; a pin outlives its mapping',
    waitsForIdle: 'who has pinned the folio gives it back as one (row D11)',
  },
  truncate_inode_pages: {
    knowsRecord: 'a protected page has a record where its mapping was; it has not been truncated for that (row W14)',
  },
  try_to_merge_one_page: {
    comparesAgain: 'the bytes were compared when anybody could still change them (row W4)',
  },
  try_to_unmap: {
    knowsRecord: 'page->mapping of a protected page says nothing of its mappings; the record does (part 2, 1f, U2)',
    takesGen: 'who keeps the address space under another PCID compares generations when it comes back (row L17)',
    marksPending: 'munmap and mprotect must know that a flush is still to come (rows L10, L11)',
    isWritable: 'through a writable entry a CPU can still store (row L2)',
    recordsUnderPtl: 'a debt that is recorded after the lock is dropped is not seen by who takes it next (row L12)',
  },
  unbind: {
    waitsForSrcu: 'faults that passed the check of DAXDEV_ALIVE are over before anything is unmapped',
    unmapsMappings: "user mappings are removed (devdax: unmap_mapping_range; a filesystem's holder: MF_MEM_PRE_REMOVE)",
    waitsForIdle: 'every page is idle before it goes: pins are waited for',
  },
  unmap_page_range: {
    clearsBeforeFlush: 'a flush that comes before the clear can be undone by a walk (Z3, Z12)',
    exchangesPte: 'the walker may set D between a load and a store (Z3)',
    flushesPfnmap: 'once the VMA is unlinked its driver cannot find it to flush, and frees the pages (Z9)',
    invalidatesTable: 'hardware walkers do not answer IPIs; what they have cached must be invalidated first (Z13)',
    flushesBeforeFree: 'nothing is freed that a TLB still translates to (Z12 before Z14)',
    isNested: 'ptes that another gather has cleared look like none to this one, and may be cached still (Z11)',
    widen: 'what is not in the range is not flushed (Z4)',
  },
  unpin_user_page_range_dirty_lock: {
    groupsByHead: 'what was taken per folio goes back per folio. Taken out: page by page, one reference each, as up to 5.12',
    subtractsIndex: 'the range may begin within a folio (row D3)',
    putsAll: 'as many references as pages, not one for the folio (row D2)',
  },
  uprobe_write_opcode: {
    demandsPresent: 'only what is present can be cleared and flushed (row L18)',
  },
  vmemmap_populate: {
    syncsTopLevel: "every mm gets the top-level entries of init_mm. Hash entries are no mm's (row E11)",
  },
  vmemmap_populate_compound_pages: {
    takesReference: 'each pte holds a reference of its frame, for each will be put (row E8)',
    syncsTopLevel: 'since 6659d0279980 (2025) the generic code sees to the other mms too (row E11)',
  },
  write_protect_page: {
    notifies: 'where somebody mirrors the address space: a device may be able to store, too (row W15)',
    heedsPendingFlushes: 'a pte that looks protected may have become so without a flush yet (row W3)',
    countsAfterClear: 'from the clear and the flush on gup-fast finds no pte that it could take the page by (row W1)',
    flushesAtProtect: 'from here on no TLB lets a CPU store (row W2)',
    hasBarriers: 'gup-fast, which reads the pte and then the flag, must not see them change the other way round (row W7)',
  },
  writeback: {
    knowsRecord: 'a protected page has a record where its mapping was; it has not been truncated for that (row W14)',
    looksAgain: "a page that is not this file's any more may have been copied when its protection was broken, and the dirty bytes are in the copy then. 6.12 knows truncation only, and skips it",
  },
};
