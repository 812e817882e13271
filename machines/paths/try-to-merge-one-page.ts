import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { type Area, type Pte, pageAt } from '../memory/address-space.js';
import { recordAt } from '../memory/protection-record.js';
import type { RmapItem } from './try-to-unmap.js';

interface Input {
  /** By address space. */
  mmapLocks: Record<Address, Address>;
  folioLocks: Record<string, Address>;
  /** Paths of its own thread. */
  writeProtect: Address;
  replacePage: Address;
}

interface Context extends Input {
  caller: Address;
  item: RmapItem;
  pfn: number;
  /** The page to merge it with; null: it becomes one that others can be merged with. */
  kpfn: number | null;
  /** What is left in its pte, read-only. */
  pte: Pte | null;
  content: string | null;
  ok: boolean;
}

type Event =
  | { type: 'step' }
  | Call<{ item: RmapItem; pfn: number; kpfn: number | null }>
  | Return<{ ok: boolean; ptes?: (Pte | null)[] }>
  | Signed<{ type: 'locked' } | { type: 'trylock.result'; result: 'locked' | 'busy' } | { type: 'vma'; result: 'found' | 'none'; area?: Area }>
  | Signed<{ type: 'memory.content'; value: string | null }>;

const { tell } = speaker<Context, Event>();
const nowhere: RmapItem = { mm: '', vpn: -1, ptl: '' };
const idle = { caller: '', item: nowhere, pfn: -1, kpfn: null as number | null, pte: null as Pte | null, content: null as string | null, ok: false };
const mmapLockOf = ({ mmapLocks, item }: Context): Address => mmapLocks[item.mm] as Address;
const lockOf = ({ folioLocks, pfn }: Context): Address => folioLocks[pfn] as Address;

/**
 * try_to_merge_with_ksm_page and try_to_merge_one_page (mm/ksm.c, 6.12), steps 2 to 6 of domain table part 2, 1f: with mmap_lock for
 * reading and the folio lock, the page is write-protected, and then it either becomes a stable page itself, or gives way to one with the
 * same bytes. The caller holds a reference of both. Returns `{ ok }`. Row W4.
 */
export const tryToMergeOnePage = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    found: ({ event }) => received(event, 'vma').result === 'found',
    gotLock: ({ event }) => received(event, 'trylock.result').result === 'locked',
    /** The pte did map the page. */
    isProtected: ({ event }) => {
      const { ok, ptes } = received(event, 'return');
      return ok && (ptes?.[0] ?? null) !== null;
    },
    becomesStable: ({ context }) => context.kpfn === null,
    /** Safeguard (row W4): the bytes were compared when anybody could still change them. */
    comparesAgain: () => true,
    isIdentical: ({ context, event }) => received(event, 'memory.content').value === context.content,
    ok: ({ event }) => received(event, 'return').ok,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, item, pfn, kpfn } = received(event, 'call');
      return { caller: from, item, pfn, kpfn };
    }),
    lockMm: tell(({ context }) => mmapLockOf(context), { type: 'down_read' }),
    unlockMm: tell(({ context }) => mmapLockOf(context), { type: 'up_read' }),
    findVma: tell(
      ({ context }) => context.item.mm,
      ({ context }) => ({ type: 'vma.find', vpn: context.item.vpn }),
    ),
    trylockFolio: tell(({ context }) => lockOf(context), { type: 'trylock' }),
    unlockFolio: tell(({ context }) => lockOf(context), { type: 'unlock' }),
    callWriteProtect: tell(
      ({ context }) => context.writeProtect,
      ({ context }) => ({ type: 'call', pfn: context.pfn, items: [context.item], shares: true }),
    ),
    notePte: assign({ pte: ({ event }) => received(event, 'return').ptes?.[0] ?? null }),
    protect: tell(
      ({ context }) => pageAt(context.pfn),
      ({ context }) => ({ type: 'folio.protect', record: recordAt(context.pfn), stable: true }),
    ),
    markDirty: tell(({ context }) => pageAt(context.pfn), { type: 'folio.mark_dirty' }),
    readPage: tell(({ context }) => pageAt(context.pfn), { type: 'memory.read', sample: false }),
    noteContent: assign({ content: ({ event }) => received(event, 'memory.content').value }),
    readKsmPage: tell(({ context }) => pageAt(context.kpfn as number), { type: 'memory.read', sample: false }),
    callReplace: tell(
      ({ context }) => context.replacePage,
      ({ context: { item, pfn, kpfn, pte } }) => ({ type: 'call', item, pfn, kpfn, pte }),
    ),
    succeed: assign({ ok: true }),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', ok: context.ok }),
    ),
    forget: assign(idle),
  },
}).createMachine({
  id: 'try_to_merge_one_page',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'mmap_read_lock', actions: 'remember' } } },
    mmap_read_lock: { description: 'Takes mmap_lock for reading', on: { step: { target: 'wait_for_mmap_lock', actions: 'lockMm' } } },
    wait_for_mmap_lock: { description: 'Sleeps while somebody writes', on: { locked: { target: 'find_mergeable_vma' } } },
    find_mergeable_vma: {
      description: 'Is there a VMA still?',
      entry: 'findVma',
      on: { vma: [{ guard: 'found', target: 'trylock_page' }, { target: 'mmap_read_unlock' }] },
    },
    trylock_page: {
      description: 'A locked page is left for the next scan',
      on: {
        step: { actions: 'trylockFolio' },
        'trylock.result': [{ guard: 'gotLock', target: 'write_protect_page' }, { target: 'mmap_read_unlock' }],
      },
    },
    write_protect_page: {
      description: 'From here on nobody can store to it, or a store makes a copy',
      entry: 'callWriteProtect',
      on: { return: [{ guard: 'isProtected', target: 'page_is_protected', actions: 'notePte' }, { target: 'unlock_page' }] },
    },
    page_is_protected: {
      description: 'Is there a page to merge it with?',
      always: [{ guard: 'becomesStable', target: 'folio_set_stable_node' }, { guard: 'comparesAgain', target: 'pages_identical' }, { target: 'replace_page' }],
    },
    folio_set_stable_node: {
      description: 'It becomes a stable page, and dirty, so that reclaim does not drop it',
      on: { step: { target: 'unlock_page', actions: ['protect', 'markDirty', 'succeed'] } },
    },
    pages_identical: {
      description: 'The bytes again, now that they cannot change',
      on: { step: { actions: 'readPage' }, 'memory.content': { target: 'memcmp_ksm_page', actions: 'noteContent' } },
    },
    memcmp_ksm_page: {
      description: 'The same as in the stable page?',
      entry: 'readKsmPage',
      on: { 'memory.content': [{ guard: 'isIdentical', target: 'replace_page' }, { target: 'unlock_page' }] },
    },
    replace_page: {
      description: 'The pte maps the stable page instead',
      entry: 'callReplace',
      on: { return: [{ guard: 'ok', target: 'unlock_page', actions: 'succeed' }, { target: 'unlock_page' }] },
    },
    unlock_page: { description: 'Unlocks the folio', on: { step: { target: 'mmap_read_unlock', actions: 'unlockFolio' } } },
    mmap_read_unlock: { description: 'Drops mmap_lock and returns', on: { step: { target: 'idle', actions: ['unlockMm', 'return', 'forget'] } } },
  },
});
