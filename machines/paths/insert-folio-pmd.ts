import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call } from '../call.js';
import { type PmdReply, pageAt, presentPte } from '../memory/address-space.js';

interface Input {
  mm: Address;
  ptl: Address;
}

interface Context extends Input {
  caller: Address;
  vpn: number;
  /** The first page, and how many the leaf is to map. */
  pfn: number;
  nr: number;
  head: number;
}

type Event =
  | { type: 'step' }
  | Call<{ vpn: number; pfn: number; nr: number }>
  | Signed<PmdReply>
  | Signed<{ type: 'locked' } | { type: 'page.head'; head: number } | { type: 'folio.got' }>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', vpn: -1, pfn: -1, nr: 0, head: -1 };

/**
 * vmf_insert_folio_pmd (mm/huge_memory.c, since 6.15): maps a folio of a device by one huge leaf, which stands for one reference and one
 * mapcount, whatever its size. Where another fault was faster, nothing is done. Called with a virtual page of the leaf, the first page
 * frame and their number; returns `{ ok: true }`, as VM_FAULT_NOPAGE. Domain table, 1a, 1g; row D8.
 */
export const insertFolioPmd = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    isMapped: ({ event }) => received(event, 'pmd').kind !== 'none',
    /** Up to 6.14 (vmf_insert_pfn_pmd) a leaf stands for no reference, and the struct page is not looked at. */
    refersToFolio: () => true,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpn, pfn, nr } = received(event, 'call');
      return { caller: from, vpn, pfn, nr };
    }),
    lockPtl: tell(({ context }) => context.ptl, { type: 'lock' }),
    unlockPtl: tell(({ context }) => context.ptl, { type: 'unlock' }),
    readPmd: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pmd.read', vpn: context.vpn }),
    ),
    readHead: tell(({ context }) => pageAt(context.pfn), { type: 'page.head' }),
    noteHead: assign({ head: ({ event }) => received(event, 'page.head').head }),
    get: tell(({ context }) => pageAt(context.head), { type: 'folio.get' }),
    addRmap: tell(({ context }) => pageAt(context.head), { type: 'folio.add_rmap' }),
    setLeaf: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pmd.set_leaf', vpn: context.vpn, pte: presentPte(context.pfn), nr: context.nr }),
    ),
    return: tell(({ context }) => context.caller, { type: 'return', ok: true }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'vmf_insert_folio_pmd',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'pmd_lock', actions: 'remember' } } },
    pmd_lock: { description: 'Takes the page-table lock', on: { step: { target: 'spin_on_ptl', actions: 'lockPtl' } } },
    spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'pmd_none' } } },
    pmd_none: {
      description: 'Has another fault mapped it meanwhile?',
      entry: 'readPmd',
      on: { pmd: [{ guard: 'isMapped', target: 'spin_unlock' }, { guard: 'refersToFolio', target: 'page_folio' }, { target: 'set_pmd_at' }] },
    },
    page_folio: {
      description: 'Reads compound_head: the first touch of the struct page',
      on: { step: { actions: 'readHead' }, 'page.head': { target: 'folio_get', actions: 'noteHead' } },
    },
    folio_get: { description: 'The reference of the mapping', on: { step: { actions: 'get' }, 'folio.got': { target: 'folio_add_file_rmap_pmd' } } },
    folio_add_file_rmap_pmd: { description: 'Its mapcount', on: { step: { target: 'set_pmd_at', actions: 'addRmap' } } },
    set_pmd_at: { description: 'The leaf: from here gup finds the folio', on: { step: { target: 'spin_unlock', actions: 'setLeaf' } } },
    spin_unlock: { description: 'Drops the page-table lock', on: { step: { target: 'idle', actions: ['unlockPtl', 'return', 'forget'] } } },
  },
});
