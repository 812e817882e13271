import { assign, setup } from 'xstate';
import { type Address, received } from '../../src/system/message.js';
import { type LufHook, type LufRecord, linked, recordsOf } from './luf-hooks.js';

interface Context {
  /** The per-CPU lists of folios and mappings (steps 0 and 1), as one list of links. */
  records: LufRecord[];
  /** Per task: luf_pending_cpus; tasks without any are left out. */
  pending: Record<Address, Address[]>;
  /** Which page of which slot a frame was last put into the page cache as (for the change `check-set`). */
  cached: Record<string, string>;
  /** The hook at which a WARN fired first; null: none did. */
  warned: string | null;
  /** A node was added to a list while it was in one. */
  corrupt: boolean;
}

type Args = { context: Context; event: LufHook };

const cpusOf = (records: readonly LufRecord[]): Address[] => [...new Set(records.map(({ cpu }) => cpu))].sort();
const slotKey = (mapping: Address, index: number): string => `${mapping}/${index}`;

/** The pending CPUs of a task, these added. */
function added({ pending }: Context, task: Address, records: readonly LufRecord[]): Record<Address, Address[]> {
  const cpus = [...new Set([...(pending[task] ?? []), ...cpusOf(records)])].sort();
  return cpus.length > 0 ? { ...pending, [task]: cpus } : pending;
}

/** The pending CPUs of tasks, these removed. */
const removed = (pending: Context['pending'], cpus: readonly Address[], isOf: (task: Address) => boolean): Context['pending'] =>
  Object.fromEntries(
    Object.entries(pending).flatMap(([task, own]) => {
      const left = isOf(task) ? own.filter((cpu) => !cpus.includes(cpu)) : own;
      return left.length > 0 ? [[task, left]] : [];
    }),
  );

const inListOf = ({ records }: Context, pfn: number): LufRecord[] => records.filter(({ listed }) => listed === pfn);
/** What is owed for the bytes of this page, in another frame. */
const ofOtherFrames = ({ records }: Context, { pfn, mapping, index }: { pfn: number; mapping: Address | null; index: number }): LufRecord[] =>
  records.filter((record) => record.pfn !== pfn && mapping !== null && record.mapping === mapping && record.index === index);
const ofCopies = (context: Context, pfn: number): LufRecord[] => inListOf(context, pfn).filter((record) => record.pfn !== pfn);
const taskOf = ({ event }: Args): Address => {
  const { task, from } = received(event, 'luf.return_to_user');
  return task ?? from;
};
const unlinked = ({ records }: Context, isGone: (record: LufRecord) => boolean): LufRecord[] => records.filter((record) => !isGone(record));

/**
 * The debug mode that LUF's author proposed ("Re: [PATCH v11 09/12] mm: implement LUF", June 2024), its steps 0 to 5 read
 * literally: the flushes that were skipped, by CPU, folio and mapping (1); a flush unlinks all of its CPUs (2);
 * pte_mkwrite makes the CPUs of its folio pending for the task (3); a WARN on return to user if any is left (4), and
 * after write_end (5). It listens only. The guards that say `Change` are no part of it: see {@link lufDebugChanges}.
 * Domain table, part 2, 1b.
 */
export const lufDebug = setup({
  types: { context: {} as Context, events: {} as LufHook },
  guards: {
    isPending: (args) => args.context.pending[taskOf(args)] !== undefined,
    isWriterPending: ({ context, event }) => context.pending[received(event, 'luf.written').task] !== undefined,
    /** Step 1 as it stands: list_add, whether the node is in a list or not. */
    addsTwice: ({ context, event }) => {
      const { mapping, cpus, pfn } = received(event, 'luf.skip');
      return context.records.some((record) => cpus.includes(record.cpu) && (record.pfn === pfn || (mapping !== null && record.mapping === mapping)));
    },
    /** Change. */
    linksAtUnmap: () => false,
    /** Change. */
    isWritableSkip: () => false,
    /** Change. */
    followsCopy: () => false,
    /** Change. */
    looksAtSlot: () => false,
    /** Change. */
    ignoresSameFrame: () => false,
    /** Change. */
    warnsAtMkwrite: () => false,
    /** Change. */
    unlinksOlderOnly: () => false,
    /** Change. */
    clearsEveryTask: () => false,
    /** Change. */
    tracksTlbs: () => false,
    /** Change. */
    changesContent: () => false,
    /** Change. */
    handsOut: () => false,
    /** Change. */
    clearsFrame: () => false,
    /** Change. */
    withdraws: () => false,
    /** Change. */
    notesSlots: () => false,
    /** Change. */
    mapsOther: () => false,
  },
  actions: {
    link: assign({ records: ({ context, event }) => linked(context.records, recordsOf(received(event, 'luf.skip'))) }),
    linkEarly: assign({ records: ({ context, event }) => linked(context.records, recordsOf(received(event, 'luf.unmap'))) }),
    noteCorrupt: assign({ corrupt: true }),
    linkCopy: assign({
      records: ({ context, event }) => {
        const { source, copy } = received(event, 'luf.copied');
        return linked(
          context.records,
          inListOf(context, source).map((record) => ({ ...record, listed: copy })),
        );
      },
    }),
    noteFlushing: assign({
      records: ({ context, event }) => {
        const { cpus, task } = received(event, 'luf.flush_begin');
        return context.records.map((record) => (cpus.includes(record.cpu) ? { ...record, flushing: [...new Set([...record.flushing, task])].sort() } : record));
      },
    }),
    unlinkAll: assign({ records: ({ context, event }) => unlinked(context, ({ cpu }) => received(event, 'luf.flushed').cpus.includes(cpu)) }),
    unlinkOlder: assign({
      records: ({ context, event }) => {
        const { cpus, task } = received(event, 'luf.flushed');
        return unlinked(context, ({ cpu, flushing }) => cpus.includes(cpu) && flushing.includes(task));
      },
    }),
    unlinkFlushed: assign({
      records: ({ context, event }) => {
        const { from, mm } = received(event, 'luf.tlb_flushed');
        return unlinked(context, (record) => record.cpu === from && record.mm === mm);
      },
    }),
    addFolio: assign({
      pending: ({ context, event }) => {
        const { task, pfn } = received(event, 'luf.mkwrite');
        return added(context, task, inListOf(context, pfn));
      },
    }),
    addCopies: assign({
      pending: ({ context, event }) => {
        const { task, pfn } = received(event, 'luf.mkwrite');
        return added(context, task, ofCopies(context, pfn));
      },
    }),
    addSlot: assign({
      pending: ({ context, event }) => {
        const mkwrite = received(event, 'luf.mkwrite');
        return added(context, mkwrite.task, ofOtherFrames(context, mkwrite));
      },
    }),
    addMapping: assign({
      pending: ({ context, event }) => {
        const { task, mapping } = received(event, 'luf.write_end');
        return added(
          context,
          task,
          context.records.filter((record) => record.mapping === mapping),
        );
      },
    }),
    clearOwn: assign({
      pending: ({ context, event }) => {
        const { cpus, task } = received(event, 'luf.flushed');
        return removed(context.pending, cpus, (own) => own === task);
      },
    }),
    clearEvery: assign({ pending: ({ context, event }) => removed(context.pending, received(event, 'luf.flushed').cpus, () => true) }),
    noteSlot: assign({
      cached: ({ context, event }) => {
        const { pfn, index, from } = received(event, 'luf.slot_set');
        return { ...context.cached, [pfn]: slotKey(from, index) };
      },
    }),
    forgetSlots: assign({
      cached: ({ context, event }) => {
        const { pfns } = received(event, 'luf.alloc');
        return Object.fromEntries(Object.entries(context.cached).filter(([pfn]) => !pfns.includes(Number(pfn))));
      },
    }),
    warn: assign({ warned: ({ context, event }) => context.warned ?? event.type }),
  },
}).createMachine({
  id: 'luf_debug',
  context: { records: [], pending: {}, cached: {}, warned: null, corrupt: false },
  type: 'parallel',
  on: { '*': { description: 'A hook that says nothing now' } },
  states: {
    luf_nodes: {
      description: 'Steps 0 to 2: which CPU has a flush skipped, of which folio and mapping',
      on: {
        'luf.skip': [
          { guard: 'linksAtUnmap', description: 'Linked already' },
          { guard: 'addsTwice', actions: ['noteCorrupt', 'link'] },
          { actions: 'link', description: 'Step 1' },
        ],
        'luf.unmap': { guard: 'linksAtUnmap', actions: 'linkEarly' },
        'luf.copied': { guard: 'followsCopy', actions: 'linkCopy' },
        'luf.flush_begin': { guard: 'unlinksOlderOnly', actions: 'noteFlushing' },
        'luf.flushed': [
          { guard: 'tracksTlbs', description: 'The CPUs tell' },
          { guard: 'unlinksOlderOnly', actions: 'unlinkOlder' },
          { actions: 'unlinkAll', description: 'Step 2: try_to_unmap_flush' },
        ],
        'luf.tlb_flushed': { guard: 'tracksTlbs', actions: 'unlinkFlushed' },
        'luf.slot_set': { guard: 'notesSlots', actions: 'noteSlot' },
        'luf.alloc': { guard: 'notesSlots', actions: 'forgetSlots' },
      },
    },
    luf_pending_cpus: {
      description: 'Steps 2, 3 and 5: the CPUs that a task must have flushed before it goes on',
      on: {
        'luf.mkwrite': [
          { guard: 'ignoresSameFrame', actions: 'addCopies' },
          { actions: 'addFolio', description: 'Step 3: pte_mkwrite' },
        ],
        'luf.write_end': { actions: 'addMapping', description: 'Step 5: after write_end' },
        'luf.flushed': [
          { guard: 'clearsEveryTask', actions: 'clearEvery' },
          { actions: 'clearOwn', description: 'Step 2: of current' },
        ],
      },
    },
    slots: {
      description: 'The slot of the page cache as a key, whatever frame was there',
      on: { 'luf.mkwrite': { guard: 'looksAtSlot', actions: 'addSlot' } },
    },
    warn_on: {
      description: 'Where it warns',
      on: {
        'luf.return_to_user': { guard: 'isPending', actions: 'warn', description: 'Step 4' },
        'luf.written': { guard: 'isWriterPending', actions: 'warn', description: 'Step 5: after the flush' },
        'luf.mkwrite': { guard: 'warnsAtMkwrite', actions: 'warn' },
        'luf.content': { guard: 'changesContent', actions: 'warn' },
        'luf.alloc': { guard: 'handsOut', actions: 'warn' },
        'luf.cleared': { guard: 'clearsFrame', actions: 'warn' },
        'luf.withdrawn': { guard: 'withdraws', actions: 'warn' },
        'luf.pte_set': { guard: 'mapsOther', actions: 'warn' },
        'luf.skip': { guard: 'isWritableSkip', actions: 'warn' },
      },
    },
  },
});

type Changes = Partial<
  Record<
    | 'addsTwice'
    | 'linksAtUnmap'
    | 'isWritableSkip'
    | 'followsCopy'
    | 'looksAtSlot'
    | 'ignoresSameFrame'
    | 'warnsAtMkwrite'
    | 'unlinksOlderOnly'
    | 'clearsEveryTask'
    | 'tracksTlbs'
    | 'changesContent'
    | 'handsOut'
    | 'clearsFrame'
    | 'withdraws'
    | 'notesSlots'
    | 'mapsOther',
    (args: Args) => boolean
  >
>;

/** Changes to the debug mode, each for `lufDebug.provide({ guards })`. */
export const lufDebugChanges: Readonly<Record<string, { says: string; guards: Changes }>> = {
  'link-once': { says: 'step 1 links a node only if it is in no list', guards: { addsTwice: () => false } },
  'link-at-unmap': { says: 'step 1 is done under the page-table lock, with the pte, each node once', guards: { linksAtUnmap: () => true } },
  'check-writable': {
    says: 'step 1 warns if the pte was writable',
    guards: { isWritableSkip: ({ event }) => received(event, 'luf.skip').write },
  },
  'follow-copy': { says: 'the record of a folio goes with a copy of its bytes', guards: { followsCopy: () => true } },
  'key-by-slot': { says: 'step 3 looks at the slot of the page cache or swap cache, whatever frame was there', guards: { looksAtSlot: () => true } },
  'other-frames': { says: 'step 3 takes no notice of records of the frame that is mapped', guards: { ignoresSameFrame: () => true } },
  'warn-at-mkwrite': {
    says: 'step 4 does not wait for the return to user: it warns when the pte is made writable',
    guards: {
      warnsAtMkwrite: ({ context, event }) => {
        const mkwrite = received(event, 'luf.mkwrite');
        return ofCopies(context, mkwrite.pfn).length > 0 || ofOtherFrames(context, mkwrite).length > 0;
      },
    },
  },
  'unlink-older': { says: 'step 2 unlinks only what was linked when the flush began', guards: { unlinksOlderOnly: () => true } },
  'clear-every-task': { says: 'step 2 clears the CPU in every task, not only in current', guards: { clearsEveryTask: () => true } },
  'track-tlbs': { says: 'step 2 unlinks what the CPU has flushed, address space by address space', guards: { tracksTlbs: () => true } },
  'check-content': {
    says: 'a WARN before the bytes of a file change, wherever that is done',
    guards: {
      changesContent: ({ context, event }) => {
        const { mapping, index } = received(event, 'luf.content');
        return context.records.some((record) => record.mapping === mapping && record.index === index);
      },
    },
  },
  'check-alloc': {
    says: 'a WARN when a frame with a record is handed out',
    guards: { handsOut: ({ context, event }) => received(event, 'luf.alloc').pfns.some((pfn) => context.records.some((record) => record.pfn === pfn)) },
  },
  'check-clear': {
    says: 'a WARN when a free frame with a record is cleared',
    guards: { clearsFrame: ({ context, event }) => context.records.some(({ pfn }) => pfn === received(event, 'luf.cleared').pfn) },
  },
  'check-withdrawal': {
    says: 'a WARN when munmap or mprotect returns and the address has a record',
    guards: {
      withdraws: ({ context, event }) => {
        const { mm, vpns } = received(event, 'luf.withdrawn');
        return context.records.some((record) => record.mm === mm && vpns.includes(record.vpn));
      },
    },
  },
  'check-set': {
    says: 'a WARN when an address with a record gets another page than that of its slot',
    guards: {
      notesSlots: () => true,
      mapsOther: ({ context, event }) => {
        const { vpn, pte, from } = received(event, 'luf.pte_set');
        if (pte.kind !== 'present') return false;
        const isOther = ({ mm, vpn: at, pfn, mapping, index }: LufRecord): boolean =>
          mm === from && at === vpn && pfn !== pte.pfn && (mapping === null || context.cached[pte.pfn] !== slotKey(mapping, index));
        return context.records.some(isOther);
      },
    },
  },
};
