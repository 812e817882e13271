import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import type { PagemapUse } from '../devices/dev-pagemap.js';
import { type Area, type PteReply, pageAt } from '../memory/address-space.js';
import { mustUnshare, type Sharing } from './gup-fast.js';

interface Input {
  mm: Address;
  mmapLock: Address;
  ptl: Address;
  /** Pagemaps by pfn. */
  pagemaps: Record<string, PagemapUse>;
  fault: Address;
  pin: boolean;
  /** A pin for reading demands that nobody shares the page (FOLL_PIN since 5.19); default: it is not looked at. */
  unshares?: boolean;
}

interface Context extends Required<Input> {
  caller: Address;
  vpns: number[];
  /** FOLL_WRITE. */
  write: boolean;
  pages: number[];
  pfn: number;
  head: number;
  /** The fault is to make a copy that nobody shares (FAULT_FLAG_UNSHARE). */
  unshare: boolean;
  /** The pagemap that it holds a reference of. */
  held: PagemapUse | null;
}

type Event =
  | { type: 'step' }
  | Call<{ vpns: number[]; write?: boolean }>
  | Return<{ ok: boolean }>
  | Signed<PteReply>
  | Signed<{ type: 'locked' } | { type: 'vma'; result: 'found' | 'none'; area?: Area } | { type: 'xa'; result: 'found' | 'none' }>
  | Signed<{ type: 'page.head'; head: number } | { type: 'folio.got' } | { type: 'folio.frozen' }>
  | Signed<{ type: 'page.counts' } & Sharing>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', vpns: [] as number[], write: false, pages: [] as number[], pfn: -1, head: -1, unshare: false, held: null as PagemapUse | null };
const vpnOf = (context: Context): number => context.vpns[context.pages.length] as number;
const pagemapOf = (context: Context): PagemapUse => context.pagemaps[context.pfn] as PagemapUse;

/**
 * The slow path of gup (__gup_longterm_locked, follow_page_pte; mm/gup.c, 5.10 to 6.17), G15: under mmap_lock, each page
 * is looked up and referenced under the page-table lock, under which zap clears, so nothing is read twice; what is not
 * there is faulted in: a device-exclusive entry too, for a store (`write`) what is read-only, and for a pin to read what is shared. Returns `{ pages }`, fewer than
 * asked for where a fault fails, or the VMA allows no store.
 */
export const gupSlow = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    found: ({ event }) => received(event, 'xa').result === 'found',
    /** check_vma_flags. */
    isAllowed: ({ context, event }) => {
      const { result, area } = received(event, 'vma');
      return result === 'found' && !(context.write && area?.write === false);
    },
    /** can_follow_write_pte. */
    isReadOnly: ({ context, event }) => {
      const { pte } = received(event, 'pte');
      return context.write && pte.kind === 'present' && !pte.write;
    },
    ok: ({ event }) => received(event, 'return').ok,
    pins: ({ context }) => context.pin,
    /** Safeguard (up to 6.16): as in gup-fast, a devmap pte needs the pagemap before the struct page is touched. */
    needsPagemap: ({ event }) => {
      const { pte } = received(event, 'pte');
      return pte.kind === 'present' && pte.devmap;
    },
    /** vm_normal_page gives none: core mm holds no reference for such a pfn, and its struct page is not touched. */
    isSpecial: ({ event }) => {
      const { pte } = received(event, 'pte');
      return pte.kind === 'present' && pte.special && !pte.devmap;
    },
    present: ({ event }) => received(event, 'pte').pte.kind === 'present',
    isForReading: ({ context, event }) => {
      const { pte } = received(event, 'pte');
      return context.unshares && context.pin && !context.write && pte.kind === 'present' && !pte.write;
    },
    /** Safeguard (part 2, row W6r): as in gup-fast. */
    mustUnshare: ({ event }) => mustUnshare(received(event, 'page.counts')),
    hasPagemap: ({ context }) => context.held !== null,
    morePages: ({ context }) => context.pages.length < context.vpns.length,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpns, write } = received(event, 'call');
      return { caller: from, vpns, write: write ?? false };
    }),
    lockMm: tell(({ context }) => context.mmapLock, { type: 'down_read' }),
    unlockMm: tell(({ context }) => context.mmapLock, { type: 'up_read' }),
    findVma: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'vma.find', vpn: vpnOf(context) }),
    ),
    lockPtl: tell(({ context }) => context.ptl, { type: 'lock' }),
    unlockPtl: tell(({ context }) => context.ptl, { type: 'unlock' }),
    readPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.read', vpn: vpnOf(context) }),
    ),
    notePfn: assign({
      pfn: ({ event }) => {
        const { pte } = received(event, 'pte');
        return pte.kind === 'present' ? pte.pfn : -1;
      },
    }),
    lookUpPagemap: tell(({ context }) => pagemapOf(context).pgmap, { type: 'xa_load' }),
    callTryget: tell(({ context }) => pagemapOf(context).tryget, { type: 'call' }),
    notePagemap: assign({ held: ({ context }) => pagemapOf(context) }),
    callPut: tell(({ context }) => (context.held as PagemapUse).put, { type: 'call' }),
    forgetPagemap: assign({ held: null }),
    readHead: tell(({ context }) => pageAt(context.pfn), { type: 'page.head' }),
    forgetHead: assign({ head: -1 }),
    noteHead: assign({ head: ({ event }) => received(event, 'page.head').head }),
    tryGet: tell(({ context }) => pageAt(context.head), { type: 'folio.try_get' }),
    pin: tell(({ context }) => pageAt(context.head), { type: 'folio.pin' }),
    record: assign({ pages: ({ context }) => [...context.pages, context.pfn], head: -1 }),
    callFault: tell(
      ({ context }) => context.fault,
      ({ context }) => ({ type: 'call', vpn: vpnOf(context), ...(context.write ? { write: true } : {}), ...(context.unshare ? { unshare: true } : {}) }),
    ),
    readCounts: tell(({ context }) => pageAt(context.pfn), { type: 'page.read' }),
    askForUnshare: assign({ unshare: true }),
    noteFaulted: assign({ unshare: false }),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', pages: context.pages }),
    ),
    forget: assign(idle),
  },
}).createMachine({
  id: 'gup_slow',
  context: ({ input }) => ({ unshares: false, ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'mmap_read_lock', actions: 'remember' } } },
    mmap_read_lock: { description: 'Takes mmap_lock for reading', on: { step: { target: 'wait_for_mmap_lock', actions: 'lockMm' } } },
    wait_for_mmap_lock: { description: 'Sleeps while somebody writes', on: { locked: { target: 'find_vma' } } },
    find_vma: {
      description: 'No VMA, or no right to store: the address is bad',
      on: { step: { actions: 'findVma' }, vma: [{ guard: 'isAllowed', target: 'pte_offset_map_lock' }, { target: 'mmap_read_unlock' }] },
    },
    pte_offset_map_lock: { description: 'Takes the page-table lock', on: { step: { target: 'spin_on_ptl', actions: 'lockPtl' } } },
    spin_on_ptl: { description: 'Spins while another has the page-table lock', on: { locked: { target: 'follow_page_pte' } } },
    follow_page_pte: {
      description: 'Reads the pte under the lock',
      on: {
        step: { actions: 'readPte' },
        pte: [
          { guard: 'isReadOnly', target: 'handle_mm_fault', actions: 'unlockPtl' },
          { guard: 'needsPagemap', target: 'get_dev_pagemap', actions: 'notePfn' },
          { guard: 'isSpecial', target: 'mmap_read_unlock', actions: 'unlockPtl' },
          { guard: 'isForReading', target: 'gup_must_unshare', actions: 'notePfn' },
          { guard: 'present', target: 'page_folio', actions: 'notePfn' },
          { target: 'handle_mm_fault', actions: 'unlockPtl' },
        ],
      },
    },
    gup_must_unshare: {
      description: 'A read-only pte: is the page exclusive? Else a store of the owner would go to a copy',
      entry: 'readCounts',
      on: {
        'page.counts': [{ guard: 'mustUnshare', target: 'handle_mm_fault', actions: ['unlockPtl', 'askForUnshare'] }, { target: 'page_folio' }],
      },
    },
    get_dev_pagemap: {
      description: 'Up to 6.16: looks up the pagemap',
      on: {
        step: { actions: 'lookUpPagemap' },
        xa: [
          { guard: 'found', target: 'percpu_ref_tryget_live' },
          { target: 'mmap_read_unlock', actions: 'unlockPtl' },
        ],
      },
    },
    percpu_ref_tryget_live: {
      description: 'Up to 6.16: a live reference of the pagemap',
      entry: 'callTryget',
      on: {
        return: [
          { guard: 'ok', target: 'page_folio', actions: 'notePagemap' },
          { target: 'mmap_read_unlock', actions: 'unlockPtl' },
        ],
      },
    },
    page_folio: {
      description: 'First touch of the struct page',
      on: { step: { actions: 'readHead' }, 'page.head': { target: 'try_grab_folio', actions: 'noteHead' } },
    },
    try_grab_folio: {
      description: 'Takes a reference (and a pin) under the lock; none to be had: the page is on its way out',
      on: {
        step: { actions: 'tryGet' },
        'folio.got': [
          { guard: 'pins', target: 'pte_unmap_unlock', actions: ['pin', 'record'] },
          { target: 'pte_unmap_unlock', actions: 'record' },
        ],
        'folio.frozen': { target: 'mmap_read_unlock', actions: ['unlockPtl', 'forgetHead'] },
      },
    },
    pte_unmap_unlock: {
      description: 'Drops the page-table lock',
      on: {
        step: [
          { guard: 'hasPagemap', target: 'put_dev_pagemap', actions: 'unlockPtl' },
          { target: 'next_page', actions: 'unlockPtl' },
        ],
      },
    },
    put_dev_pagemap: { description: 'Up to 6.16: gives the pagemap back', entry: 'callPut', on: { return: { target: 'next_page', actions: 'forgetPagemap' } } },
    next_page: { description: 'Goes on with the next page', always: [{ guard: 'morePages', target: 'find_vma' }, { target: 'mmap_read_unlock' }] },
    handle_mm_fault: {
      description: 'Faults the page in, then looks again',
      entry: 'callFault',
      on: { return: [{ guard: 'ok', target: 'pte_offset_map_lock', actions: 'noteFaulted' }, { target: 'mmap_read_unlock' }] },
    },
    mmap_read_unlock: {
      description: 'Drops mmap_lock and returns what it got',
      always: { guard: 'hasPagemap', target: 'put_dev_pagemap_late' },
      on: { step: { target: 'idle', actions: ['unlockMm', 'return', 'forget'] } },
    },
    put_dev_pagemap_late: {
      description: 'Gives the pagemap back on the way out',
      entry: 'callPut',
      on: { return: { target: 'mmap_read_unlock', actions: 'forgetPagemap' } },
    },
  },
});
