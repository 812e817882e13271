import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { type Area, type PteReply, pageAt, presentPte } from '../memory/address-space.js';
import { type Copy, type RecordContents, recordAt } from '../memory/protection-record.js';
import type { NodeTable } from './replicate-page.js';

interface Input {
  /** The page table that the fault is in, and its lock. */
  mm: Address;
  ptl: Address;
  /** All page tables of the process. */
  tables: NodeTable[];
  /** flush_tlb_mm_range of its task, by page table. */
  flush: Record<Address, Address>;
  /** mmu_notifier_invalidate_range of its task, by page table; default: nobody mirrors any. */
  notifiers?: Record<Address, Address>;
  /** Of every page that can be protected: a record is one of theirs. */
  folioLocks: Record<string, Address>;
  putPage: Address;
}

interface Context extends Required<Input> {
  caller: Address;
  vpn: number;
  /** The page that the fault has found: the one that is protected, or a copy of it. */
  found: number;
  /** The page that is protected. */
  pfn: number;
  /** What the VMA says; a fault for a pin does not ask. */
  mayWrite: boolean;
  exclusive: boolean;
  /** Notifiers still to be called. */
  toTell: Address[];
  /** Copies of other nodes that are still mapped. */
  replicas: Copy[];
}

type Event =
  | { type: 'step' }
  | Call<{ pfn: number; vpn: number; mapping: Address | null; index: number }>
  | Return
  | Signed<PteReply>
  | Signed<{ type: 'vma'; result: 'found' | 'none'; area?: Area } | { type: 'locked' } | RecordContents>
  | Signed<{ type: 'folio.mapping'; mapping: Address | null; record: Address | null }>
  | Signed<{ type: 'folio.got' } | { type: 'folio.frozen' } | { type: 'page.counts'; exclusive?: boolean; protection?: 'stable' | 'record' }>;

const { tell } = speaker<Context, Event>();
const idle = {
  caller: '',
  vpn: -1,
  found: -1,
  pfn: -1,
  mayWrite: true,
  exclusive: false,
  toTell: [] as Address[],
  replicas: [] as Copy[],
};
const replica = ({ replicas }: Context): Copy => replicas[0] as Copy;
const tableOf = (context: Context): NodeTable => context.tables.find(({ mm }) => mm === replica(context).mm) as NodeTable;
const notifiersOf = ({ tables, notifiers }: Context): Address[] => tables.flatMap(({ mm }) => notifiers[mm] ?? []);
/** Whose record this is: a record says so itself (ksm_stable_node.kpfn); null: nobody's of these. */
const ownerOf = ({ folioLocks }: Context, record: Address | null): number | null => {
  const pfn = Object.keys(folioLocks).find((key) => recordAt(Number(key)) === record);
  return pfn === undefined ? null : Number(pfn);
};

/**
 * A store to a private page that is write-protected for copies of it, on other NUMA nodes or in the memory of devices (a proposal: Glisse,
 * 2018 and 2020; no kernel has it): devices drop theirs, each copy of another node gives way to the page itself, read-only, and when no
 * TLB leads to a copy any more the pte of the fault becomes writable. Called by the fault handler, under mmap_lock, with the page that it
 * has found; returns `{ ok }`, after which the access is tried again. Domain table, part 2, 1f, Uses; rows W10, W12, W13, W16.
 */
export const breakProtection = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    isItself: ({ context, event }) => ownerOf(context, received(event, 'folio.mapping').record) === context.found,
    isCopy: ({ context, event }) => ownerOf(context, received(event, 'folio.mapping').record) !== null,
    /** Safeguard (row W12): a device reads its copy, and asks nobody. */
    notifies: () => true,
    /** Safeguard (row W13): a driver may need the folio lock to let go of its copy. */
    notifiesBeforeLock: () => true,
    allTold: ({ context }) => context.toTell.length === 0,
    /** With a record; a page of KSM gets a copy, and stays as it is. */
    isProtected: ({ event }) => received(event, 'page.counts').protection === 'record',
    isProtectedExclusive: ({ event }) => {
      const { protection, exclusive } = received(event, 'page.counts');
      return protection === 'record' && exclusive === true;
    },
    /** Safeguard (row W10): who has seen the new bytes must not find the old ones in a copy. */
    revokesBeforeWritable: () => true,
    hasReplica: ({ context }) => context.replicas.length > 0,
    mapsReplica: ({ context, event }) => {
      const { pte } = received(event, 'pte');
      return pte.kind === 'present' && pte.pfn === replica(context).pfn;
    },
    /** It is this page still, and may be stored to without a copy. */
    mayBecomeWritable: ({ context, event }) => {
      const { pte } = received(event, 'pte');
      return context.mayWrite && context.exclusive && pte.kind === 'present' && pte.pfn === context.pfn;
    },
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, pfn, vpn } = received(event, 'call');
      return { caller: from, found: pfn, vpn };
    }),
    findVma: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'vma.find', vpn: context.vpn }),
    ),
    noteRight: assign({ mayWrite: ({ event }) => received(event, 'vma').area?.write !== false }),
    tryGet: tell(({ context }) => pageAt(context.found), { type: 'folio.try_get' }),
    readMapping: tell(({ context }) => pageAt(context.found), { type: 'folio.mapping' }),
    notePage: assign({ pfn: ({ context, event }) => ownerOf(context, received(event, 'folio.mapping').record) as number }),
    tryGetPage: tell(({ context }) => pageAt(context.pfn), { type: 'folio.try_get' }),
    callPutFound: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.found, pinned: false }),
    ),
    callPut: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.pfn, pinned: false }),
    ),
    listNotifiers: assign({ toTell: ({ context }) => notifiersOf(context) }),
    callStart: tell(
      ({ context }) => context.toTell[0] as Address,
      ({ context }) => ({ type: 'call', phase: 'start', event: 'CLEAR', owner: null, vpns: [context.vpn] }),
    ),
    callEnd: tell(
      ({ context }) => context.toTell[0] as Address,
      ({ context }) => ({ type: 'call', phase: 'end', event: 'CLEAR', owner: null, vpns: [context.vpn] }),
    ),
    nextNotifier: assign({ toTell: ({ context }) => context.toTell.slice(1) }),
    lockFolio: tell(({ context }) => context.folioLocks[context.pfn] as Address, { type: 'lock' }),
    unlockFolio: tell(({ context }) => context.folioLocks[context.pfn] as Address, { type: 'unlock' }),
    readCounts: tell(({ context }) => pageAt(context.pfn), { type: 'page.read' }),
    noteExclusive: assign({ exclusive: true }),
    readRecord: tell(({ context }) => recordAt(context.pfn), { type: 'record.read' }),
    noteReplicas: assign({
      replicas: ({ context, event }) => received(event, 'record.contents').copies.filter((copy) => context.tables.some(({ mm }) => mm === copy.mm)),
    }),
    lockReplicaPtl: tell(({ context }) => tableOf(context).ptl, { type: 'lock' }),
    unlockReplicaPtl: tell(({ context }) => tableOf(context).ptl, { type: 'unlock' }),
    readReplicaPte: tell(
      ({ context }) => replica(context).mm,
      ({ context }) => ({ type: 'pte.read', vpn: replica(context).vpn }),
    ),
    clearPte: tell(
      ({ context }) => replica(context).mm,
      ({ context }) => ({ type: 'pte.get_and_clear', vpn: replica(context).vpn }),
    ),
    callFlush: tell(
      ({ context }) => context.flush[replica(context).mm] as Address,
      ({ context }) => ({ type: 'call', vpns: [replica(context).vpn] }),
    ),
    get: tell(({ context }) => pageAt(context.pfn), { type: 'folio.ref_inc' }),
    addRmap: tell(({ context }) => pageAt(context.pfn), { type: 'folio.add_rmap' }),
    setReadOnly: tell(
      ({ context }) => replica(context).mm,
      ({ context }) => ({ type: 'pte.set', vpn: replica(context).vpn, pte: presentPte(context.pfn, { write: false }) }),
    ),
    removeRmap: tell(({ context }) => pageAt(replica(context).pfn), { type: 'folio.remove_rmap' }),
    unprotectReplica: tell(({ context }) => pageAt(replica(context).pfn), { type: 'folio.unprotect' }),
    removeCopy: tell(
      ({ context }) => recordAt(context.pfn),
      ({ context }) => ({ type: 'record.remove_copy', copy: replica(context) }),
    ),
    callPutReplica: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: replica(context).pfn, pinned: false }),
    ),
    nextReplica: assign({ replicas: ({ context }) => context.replicas.slice(1) }),
    lockPtl: tell(({ context }) => context.ptl, { type: 'lock' }),
    unlockPtl: tell(({ context }) => context.ptl, { type: 'unlock' }),
    readPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.read', vpn: context.vpn }),
    ),
    setWritable: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.set', vpn: context.vpn, pte: presentPte(context.pfn, { dirty: true }) }),
    ),
    unprotect: tell(({ context }) => pageAt(context.pfn), { type: 'folio.unprotect' }),
    clearRecord: tell(({ context }) => recordAt(context.pfn), { type: 'record.clear' }),
    return: tell(({ context }) => context.caller, { type: 'return', ok: true }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'break_protection',
  context: ({ input }) => ({ notifiers: {}, ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'find_vma', actions: 'remember' } } },
    find_vma: {
      description: 'May it be stored to? mmap_lock keeps it so',
      entry: 'findVma',
      on: { vma: { target: 'folio_try_get', actions: 'noteRight' } },
    },
    folio_try_get: {
      description: 'A reference of the page that was found; if it is free now, somebody else has broken the protection',
      on: {
        step: { actions: 'tryGet' },
        'folio.got': { target: 'page_record' },
        'folio.frozen': { target: 'idle', actions: ['return', 'forget'] },
      },
    },
    page_record: {
      description: 'Is it the page, or a copy? Either has the record; none: it is not protected any more',
      on: {
        step: { actions: 'readMapping' },
        'folio.mapping': [
          { guard: 'isItself', target: 'page_is_known', actions: 'notePage' },
          { guard: 'isCopy', target: 'get_page', actions: 'notePage' },
          { target: 'put_found' },
        ],
      },
    },
    get_page: {
      description: 'A copy: takes a reference of the page instead',
      on: { step: { actions: 'tryGetPage' }, 'folio.got': { target: 'put_copy' }, 'folio.frozen': { target: 'put_found' } },
    },
    put_copy: { description: "The copy's reference goes", entry: 'callPutFound', on: { return: { target: 'page_is_known' } } },
    put_found: {
      description: 'Nothing to break: gives the reference back',
      entry: 'callPutFound',
      on: { return: { target: 'idle', actions: ['return', 'forget'] } },
    },
    page_is_known: {
      description: 'Devices first, then the folio lock',
      always: [{ guard: 'notifiesBeforeLock', target: 'invalidate' }, { target: 'folio_lock' }],
    },
    invalidate: {
      description: 'Who mirrors the process is told',
      always: [{ guard: 'notifies', target: 'next_start', actions: 'listNotifiers' }, { target: 'invalidated' }],
    },
    next_start: {
      description: 'Notifier by notifier',
      always: [{ guard: 'allTold', target: 'invalidated' }, { target: 'mmu_notifier_invalidate_range_start' }],
    },
    mmu_notifier_invalidate_range_start: {
      description: 'Devices drop their copies, and make no new ones until the end',
      entry: 'callStart',
      on: { return: { target: 'next_start', actions: 'nextNotifier' } },
    },
    invalidated: {
      description: 'No device reads a copy any more',
      always: [{ guard: 'notifiesBeforeLock', target: 'folio_lock' }, { target: 'folio_test_protected' }],
    },
    folio_lock: { description: 'Keeps away who protects it, and others who break it', on: { step: { target: 'wait_for_folio_lock', actions: 'lockFolio' } } },
    wait_for_folio_lock: {
      description: 'Sleeps while another has it',
      on: { locked: [{ guard: 'notifiesBeforeLock', target: 'folio_test_protected' }, { target: 'invalidate' }] },
    },
    folio_test_protected: {
      description: 'Protected still? Else somebody was faster',
      on: {
        step: { actions: 'readCounts' },
        'page.counts': [
          { guard: 'isProtectedExclusive', target: 'record_contents', actions: 'noteExclusive' },
          { guard: 'isProtected', target: 'record_contents' },
          { target: 'folio_unlock' },
        ],
      },
    },
    record_contents: {
      description: 'Which nodes have copies? The record changes under the folio lock only',
      entry: 'readRecord',
      on: {
        'record.contents': [
          { guard: 'revokesBeforeWritable', target: 'next_replica', actions: 'noteReplicas' },
          { target: 'lock_to_store', actions: 'noteReplicas' },
        ],
      },
    },
    next_replica: {
      description: 'Copy by copy',
      always: [
        { guard: 'hasReplica', target: 'pte_offset_map_lock' },
        { guard: 'revokesBeforeWritable', target: 'lock_to_store' },
        { target: 'folio_unprotect' },
      ],
    },
    pte_offset_map_lock: { description: "Takes the lock of the other node's table", on: { step: { target: 'spin_on_ptl', actions: 'lockReplicaPtl' } } },
    spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'page_vma_mapped_walk' } } },
    page_vma_mapped_walk: {
      description: 'Is the copy mapped there still?',
      entry: 'readReplicaPte',
      on: { pte: [{ guard: 'mapsReplica', target: 'ptep_clear' }, { target: 'pte_unmap_unlock' }] },
    },
    pte_unmap_unlock: {
      description: 'It is not: drops the lock',
      on: { step: { target: 'next_replica', actions: ['removeCopy', 'unlockReplicaPtl', 'nextReplica'] } },
    },
    ptep_clear: { description: 'Takes the pte', on: { step: { actions: 'clearPte' }, pte: { target: 'flush_tlb_page' } } },
    flush_tlb_page: { description: 'IPIs under the page-table lock: no TLB leads to the copy', entry: 'callFlush', on: { return: { target: 'set_pte_at' } } },
    set_pte_at: {
      description: 'Maps the page itself, read-only; an empty pte would be filled with zeroes',
      on: {
        step: {
          target: 'put_replica',
          actions: ['get', 'addRmap', 'setReadOnly', 'removeRmap', 'unprotectReplica', 'removeCopy', 'unlockReplicaPtl'],
        },
      },
    },
    put_replica: {
      description: "The mapping's reference of the copy",
      entry: 'callPutReplica',
      on: { return: { target: 'next_replica', actions: 'nextReplica' } },
    },
    lock_to_store: { description: 'Takes the page-table lock of the fault', on: { step: { target: 'spin_to_store', actions: 'lockPtl' } } },
    spin_to_store: { description: 'Spins while another has it', on: { locked: { target: 'pte_same' } } },
    pte_same: {
      description: 'Does it map the page, with the right to store without a copy?',
      entry: 'readPte',
      on: { pte: [{ guard: 'mayBecomeWritable', target: 'pte_mkwrite' }, { target: 'pte_stays' }] },
    },
    pte_mkwrite: {
      description: 'Makes it writable; row W10: while copies can still be read',
      on: {
        step: [
          { guard: 'revokesBeforeWritable', target: 'folio_unlock', actions: ['setWritable', 'unprotect', 'clearRecord', 'unlockPtl'] },
          { target: 'next_replica', actions: ['setWritable', 'unlockPtl'] },
        ],
      },
    },
    pte_stays: {
      description: 'The access finds out what else there is to do',
      on: {
        step: [
          { guard: 'revokesBeforeWritable', target: 'folio_unlock', actions: ['unprotect', 'clearRecord', 'unlockPtl'] },
          { target: 'next_replica', actions: 'unlockPtl' },
        ],
      },
    },
    folio_unprotect: { description: 'Row W10: not protected any more', on: { step: { target: 'folio_unlock', actions: ['unprotect', 'clearRecord'] } } },
    folio_unlock: { description: 'Drops the folio lock', on: { step: { target: 'invalidate_over', actions: 'unlockFolio' } } },
    invalidate_over: {
      description: 'The notification is over',
      always: [{ guard: 'notifies', target: 'next_end', actions: 'listNotifiers' }, { target: 'put_page' }],
    },
    next_end: {
      description: 'Notifier by notifier',
      always: [{ guard: 'allTold', target: 'put_page' }, { target: 'mmu_notifier_invalidate_range_end' }],
    },
    mmu_notifier_invalidate_range_end: {
      description: 'Devices may ask for copies again',
      entry: 'callEnd',
      on: { return: { target: 'next_end', actions: 'nextNotifier' } },
    },
    put_page: {
      description: 'Gives the reference back, and lets the access be tried again',
      entry: 'callPut',
      on: { return: { target: 'idle', actions: ['return', 'forget'] } },
    },
  },
});
