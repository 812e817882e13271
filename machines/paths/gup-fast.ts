import { assign, enqueueActions, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import type { PagemapUse } from '../devices/dev-pagemap.js';
import { type PmdReply, type PresentPte, type Pte, type PteReply, pageAt, pmdIndex, pmdStart } from '../memory/address-space.js';
import { several } from './put-page.js';

interface Input {
  cpu: Address;
  mm: Address;
  /** Pagemaps by pfn. */
  pagemaps: Record<string, PagemapUse>;
  /** Paths of its own thread. */
  putPage: Address;
  /** null: FOLL_FAST_ONLY, it returns what it got without locks. */
  slow: Address | null;
  /** FOLL_PIN instead of FOLL_GET. */
  pin: boolean;
}

interface Context extends Input {
  caller: Address;
  vpns: number[];
  /** FOLL_WRITE; null: not said, which is a store here, and none for the slow path. */
  write: boolean | null;
  /** The page-table page that it walks; null where tables are not modelled. */
  table: Address | null;
  /** Where it walks a huge leaf: as a pte of the first page that it takes there. */
  pte: Pte;
  /** The huge leaf as it was read; null: it walks ptes. */
  leaf: PresentPte | null;
  /** Pages that it takes at once. */
  refs: number;
  /** References that it takes for them. */
  grab: number;
  /** Pages that were gathered before this leaf. */
  leafStart: number;
  /** Pages gathered, in the order of vpns (pages[nr]). */
  pages: number[];
  /** The pagemap that it holds a reference of, from page to page; null: none. */
  held: PagemapUse | null;
  head: number;
  /** FOLL_PIN: the pin count of the page that is being taken is raised. */
  pinned: boolean;
  seq: number;
}

type Event =
  | { type: 'step' }
  | Call<{ vpns: number[]; write?: boolean }>
  | Return<{ ok?: boolean; pages?: number[] }>
  | Signed<PteReply>
  | Signed<PmdReply>
  | Signed<{ type: 'seqcount'; value: number } | { type: 'xa'; result: 'found' | 'none' }>
  | Signed<{ type: 'page.head'; head: number } | { type: 'folio.got' } | { type: 'folio.frozen' }>
  | Signed<{ type: 'page.counts' } & Sharing>;

/** What a page says of who shares it: a private page that is exclusive, or a page of a file that nobody has protected, may be pinned to be read. */
export interface Sharing {
  exclusive?: boolean;
  file?: boolean;
  protection?: 'stable' | 'record';
}
/** gup_must_unshare: the page that is pinned must stay the one that the address maps, for a reader too. */
export const mustUnshare = ({ exclusive, file, protection }: Sharing): boolean => protection !== undefined || !(exclusive || file);

const { tell } = speaker<Context, Event>();

const none: Pte = { kind: 'none' };
const idle = {
  caller: '',
  vpns: [] as number[],
  write: null as boolean | null,
  table: null as Address | null,
  pte: none,
  leaf: null as PresentPte | null,
  refs: 1,
  grab: 1,
  leafStart: 0,
  pages: [] as number[],
  held: null as PagemapUse | null,
  head: -1,
  pinned: false,
  seq: 0,
};
const vpnOf = ({ context }: { context: Context }): number => context.vpns[context.pages.length] as number;
const pfnOf = (context: Context): number => (context.pte.kind === 'present' ? context.pte.pfn : -1);
const pagemapOf = (context: Context): PagemapUse => context.pagemaps[pfnOf(context)] as PagemapUse;
/** Pages asked for that the leaf at hand maps, from the one on that is asked for next. */
const leafPages = ({ context }: { context: Context }): number => {
  const rest = context.vpns.slice(context.pages.length);
  const other = rest.findIndex((vpn) => pmdIndex(vpn) !== pmdIndex(rest[0] as number));
  return other < 0 ? rest.length : other;
};
/** What comes after the pages that are being taken. */
const nextVpn = (context: Context): number | undefined => context.vpns[context.pages.length + context.refs];
const isSameLeaf = ({ leaf }: Context, event: Event): boolean => leaf !== null && JSON.stringify(received(event, 'pmd').pte) === JSON.stringify(leaf);
const isUnchanged = ({ pte }: Context, event: Event): boolean => JSON.stringify(received(event, 'pte').pte) === JSON.stringify(pte);
const present = (pte: Pte): pte is Extract<Pte, { kind: 'present' }> => pte.kind === 'present';

/**
 * get_user_pages_fast and pin_user_pages_fast (mm/gup.c, 5.10 to 6.17), G1 to G15: interrupts off, one load
 * of each pte, or of a huge pmd, (devmap: a reference of the pagemap first,) try to take a reference of the page, read the pte again. What
 * it does not get it leaves to the slow path. A pin that is only for reading (`write: false`) leaves a page that is shared to the slow
 * path, too (gup_must_unshare, since 5.19). Returns `{ pages }`.
 */
export const gupFast = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    pins: ({ context }) => context.pin,
    isOdd: ({ event }) => received(event, 'seqcount').value % 2 === 1,
    isOddFastOnly: ({ context, event }) => context.slow === null && received(event, 'seqcount').value % 2 === 1,
    isFastOnly: ({ context }) => context.slow === null,
    forked: ({ context, event }) => received(event, 'seqcount').value !== context.seq,
    /** Page tables that are never freed are not listed: a second look at the pmd could see nothing new. */
    walksTable: ({ context }) => context.table !== null,
    sameTable: ({ context, event }) => received(event, 'pmd').table === context.table,
    tableNone: ({ event }) => received(event, 'pmd').kind === 'none',
    isLeaf: ({ event }) => received(event, 'pmd').pte !== undefined,
    walksLeaf: ({ context }) => context.leaf !== null,
    sameLeaf: ({ context, event }) => isSameLeaf(context, event),
    leafNotAccessible: ({ context }) => context.write !== false && context.leaf?.write === false,
    leafIsSpecial: ({ context }) => context.leaf?.special === true && !context.leaf.devmap,
    sameReadOnlyLeaf: ({ context, event }) =>
      context.pin && context.write === false && context.leaf?.write === false && !context.leaf.devmap && isSameLeaf(context, event),
    leafNeedsPagemap: ({ context }) => context.leaf?.devmap === true,
    /** Row D5: as if the pages of a devmap leaf were one folio. */
    takesLeafWhole: () => false,
    moreOfLeaf: ({ context }) => context.leaf !== null && context.refs < leafPages({ context }),
    hasGatheredOfLeaf: ({ context }) => context.leaf !== null && context.pages.length > context.leafStart,
    /** Safeguard (row D1): as many references as pages, since each page may be given back by itself. */
    countsEveryPage: () => true,
    /** Safeguard (row D6): counters of a tail are its head's. */
    countsOnHead: () => true,
    /** Safeguard (G8c, row D4): the page may belong to another folio than it did when its head was looked up. */
    looksUpHeadAgain: () => true,
    /** Safeguard (G8d, row D9): who clears the pte and then looks for pins sees this one. */
    pinsBeforeRecheck: () => true,
    unpinnedYet: ({ context }) => context.pin && !context.pinned,
    /** G6: not there, or the access is not allowed. */
    notAccessible: ({ context, event }) => {
      const { pte } = received(event, 'pte');
      return !present(pte) || (context.write !== false && !pte.write);
    },
    /** Safeguard (G7): a devmap pte needs a live reference of the pagemap before its struct page is touched. */
    needsPagemap: ({ event }) => {
      const { pte } = received(event, 'pte');
      return present(pte) && pte.devmap;
    },
    /** G7e: core mm holds no reference for such a pfn. */
    isSpecial: ({ event }) => {
      const { pte } = received(event, 'pte');
      return present(pte) && pte.special && !pte.devmap;
    },
    /** G7b: one reference for a run of pages. */
    hasThisPagemap: ({ context }) => context.held?.pgmap === pagemapOf(context).pgmap,
    hasPagemap: ({ context }) => context.held !== null,
    found: ({ event }) => received(event, 'xa').result === 'found',
    ok: ({ event }) => received(event, 'return').ok === true,
    /** Safeguard (G12): the pagemap is held until the page itself is. */
    holdsPagemapUntilGrab: () => true,
    /** Safeguard (G7d): pages gathered under a dying pagemap are put, not only forgotten. */
    undoPutsPages: () => true,
    isFollGet: ({ context }) => !context.pin,
    hasGathered: ({ context }) => context.pages.length > 0,
    sameHead: ({ context, event }) => received(event, 'page.head').head === context.head,
    /** Safeguard (G9): the pte is read again after the reference was taken. */
    rechecksAfterGrab: () => true,
    /** Row A4: the second look comes before the reference is taken. */
    checksBeforeGrab: () => false,
    unchanged: ({ context, event }) => isUnchanged(context, event),
    unchangedReadOnly: ({ context, event }) =>
      context.pin && context.write === false && present(context.pte) && !context.pte.write && isUnchanged(context, event),
    /** Safeguard (part 2, row W6r): a pin on a page that others share is no pin on what the address maps next. */
    mustUnshare: ({ event }) => mustUnshare(received(event, 'page.counts')),
    nextInTable: ({ context }) => {
      const next = nextVpn(context);
      return context.leaf === null && next !== undefined && pmdIndex(next) === pmdIndex(vpnOf({ context }));
    },
    morePages: ({ context }) => nextVpn(context) !== undefined,
    isDone: ({ context }) => context.pages.length === context.vpns.length || context.slow === null,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpns, write } = received(event, 'call');
      return { caller: from, vpns, write: write ?? null };
    }),
    setHasPinned: tell(({ context }) => context.mm, { type: 'has_pinned.set' }),
    readSeq: tell(({ context }) => context.mm, { type: 'seqcount.read' }),
    noteSeq: assign({ seq: ({ event }) => received(event, 'seqcount').value }),
    irqsOff: tell(({ context }) => context.cpu, { type: 'irq.save' }),
    irqsOn: tell(({ context }) => context.cpu, { type: 'irq.restore' }),
    readPmd: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pmd.read', vpn: vpnOf({ context }) }),
    ),
    noteTable: assign({ table: ({ event }) => received(event, 'pmd').table }),
    readPte: enqueueActions(({ enqueue, context }) => {
      if (context.table) enqueue(tell(context.table, { type: 'table.read' }));
      enqueue(tell(context.mm, { type: 'pte.read', vpn: vpnOf({ context }) }));
    }),
    notePte: assign({ pte: ({ event }) => received(event, 'pte').pte }),
    lookUpPagemap: tell(({ context }) => pagemapOf(context).pgmap, { type: 'xa_load' }),
    callTryget: tell(({ context }) => pagemapOf(context).tryget, { type: 'call' }),
    callPut: tell(({ context }) => (context.held as PagemapUse).put, { type: 'call' }),
    notePagemap: assign({ held: ({ context }) => pagemapOf(context) }),
    forgetPagemap: assign({ held: null }),
    noteLeaf: assign(({ context, event }) => {
      const leaf = received(event, 'pmd').pte as PresentPte;
      const vpn = vpnOf({ context });
      return { leaf, leafStart: context.pages.length, pte: { ...leaf, pfn: leaf.pfn + vpn - pmdStart(vpn) } };
    }),
    takeWhole: assign({ refs: leafPages, grab: leafPages }),
    takeWholeByOne: assign({ refs: leafPages }),
    nextOfLeaf: assign(({ context }) => ({
      pages: [...context.pages, pfnOf(context)],
      pte: { ...(context.pte as PresentPte), pfn: pfnOf(context) + 1 },
      pinned: false,
    })),
    readHead: tell(({ context }) => pageAt(pfnOf(context)), { type: 'page.head' }),
    noteHead: assign({ head: ({ event }) => received(event, 'page.head').head }),
    notePage: assign({ head: ({ context }) => pfnOf(context) }),
    tryGet: tell(
      ({ context }) => pageAt(context.head),
      ({ context }) => ({ type: 'folio.try_get', ...several(context.grab) }),
    ),
    pin: tell(
      ({ context }) => pageAt(context.head),
      ({ context }) => ({ type: 'folio.pin', ...several(context.grab) }),
    ),
    notePinned: assign({ pinned: true }),
    putCurrent: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.head, pinned: context.pinned, ...several(context.grab) }),
    ),
    putUnpinned: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.head, pinned: false, ...several(context.grab) }),
    ),
    putLast: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.pages.at(-1), pinned: context.pin }),
    ),
    dropLast: assign({ pages: ({ context }) => context.pages.slice(0, -1) }),
    dropAll: assign({ pages: [] }),
    record: assign(({ context }) => ({
      pages: [...context.pages, ...Array.from({ length: context.refs }, (_, n) => pfnOf(context) + n)],
      refs: 1,
      grab: 1,
      leaf: null,
      pinned: false,
    })),
    forgetPage: assign({ refs: 1, grab: 1, leaf: null, pinned: false }),
    callSlow: tell(
      ({ context }) => context.slow as Address,
      ({ context }) => ({ type: 'call', vpns: context.vpns.slice(context.pages.length), ...(context.write === null ? {} : { write: context.write }) }),
    ),
    readCounts: tell(({ context }) => pageAt(pfnOf(context)), { type: 'page.read' }),
    addSlow: assign({ pages: ({ context, event }) => [...context.pages, ...(received(event, 'return').pages ?? [])] }),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', pages: context.pages }),
    ),
    forget: assign(idle),
  },
}).createMachine({
  id: 'gup_fast',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: {
      tags: ['rest'],
      description: 'Not called',
      on: {
        call: [
          { guard: 'pins', target: 'mm_set_has_pinned_flag', actions: 'remember' },
          { target: 'local_irq_save', actions: 'remember' },
        ],
      },
    },
    mm_set_has_pinned_flag: {
      description: 'G1: tells fork that the mm has pinned pages',
      on: { step: { target: 'read_seqcount_begin', actions: 'setHasPinned' } },
    },
    read_seqcount_begin: {
      description: 'G2: samples write_protect_seq; odd: a fork is copying, go slow',
      on: {
        step: { actions: 'readSeq' },
        seqcount: [
          { guard: 'isOddFastOnly', target: 'idle', actions: ['return', 'forget'] },
          { guard: 'isOdd', target: 'gup_slow' },
          { target: 'local_irq_save', actions: 'noteSeq' },
        ],
      },
    },
    local_irq_save: {
      description: 'G3: from here IPIs wait, and a grace period that begins later cannot end',
      on: { step: { target: 'pmdp_get_lockless', actions: 'irqsOff' } },
    },
    pmdp_get_lockless: {
      description: 'G4: reads the upper levels, one load each',
      on: {
        step: { actions: 'readPmd' },
        pmd: [
          { guard: 'tableNone', target: 'gup_fast_end' },
          { guard: 'isLeaf', target: 'gup_fast_pmd_leaf', actions: 'noteLeaf' },
          { target: 'ptep_get_lockless', actions: 'noteTable' },
        ],
      },
    },
    gup_fast_pmd_leaf: {
      description: 'One entry for a whole folio: as many references at once as pages are asked for; a devmap leaf page by page',
      always: [
        { guard: 'leafNotAccessible', target: 'gup_fast_end', actions: 'forgetPage' },
        { guard: 'leafIsSpecial', target: 'gup_fast_end', actions: 'forgetPage' },
        { guard: 'leafNeedsPagemap', target: 'gup_fast_devmap_leaf' },
        { guard: 'countsEveryPage', target: 'page_folio', actions: 'takeWhole' },
        { target: 'page_folio', actions: 'takeWholeByOne' },
      ],
    },
    gup_fast_devmap_leaf: {
      description: 'Up to 6.16: its metadata may be that of base pages, each with a count of its own',
      always: [{ guard: 'takesLeafWhole', target: 'get_dev_pagemap', actions: 'takeWhole' }, { target: 'get_dev_pagemap' }],
    },
    ptep_get_lockless: {
      description: 'G5 to G7: one load of the pte; the local copy is used from here on',
      on: {
        step: { actions: 'readPte' },
        pte: [
          { guard: 'notAccessible', target: 'gup_fast_end' },
          { guard: 'isSpecial', target: 'gup_fast_end' },
          { guard: 'needsPagemap', target: 'get_dev_pagemap', actions: 'notePte' },
          { guard: 'checksBeforeGrab', target: 'ptep_check_early', actions: 'notePte' },
          { target: 'page_folio', actions: 'notePte' },
        ],
      },
    },
    get_dev_pagemap: {
      description: 'G7b, G7c: xa_load of the pagemap, unless the page before had the same one; another one is put first',
      always: [
        { guard: 'hasThisPagemap', target: 'got_dev_pagemap' },
        { guard: 'hasPagemap', target: 'put_cached_pagemap' },
      ],
      on: { step: { actions: 'lookUpPagemap' }, xa: [{ guard: 'found', target: 'percpu_ref_tryget_live' }, { target: 'gup_fast_undo_dev_pagemap' }] },
    },
    put_cached_pagemap: {
      description: 'G7c: gives back the pagemap of the page before',
      entry: 'callPut',
      on: { return: { target: 'get_dev_pagemap', actions: 'forgetPagemap' } },
    },
    percpu_ref_tryget_live: {
      description: 'G7c: a live reference of the pagemap',
      entry: 'callTryget',
      on: {
        return: [{ guard: 'ok', target: 'got_dev_pagemap', actions: 'notePagemap' }, { target: 'gup_fast_undo_dev_pagemap' }],
      },
    },
    got_dev_pagemap: {
      description: 'The pagemap cannot go while it is held',
      always: [
        { guard: 'checksBeforeGrab', target: 'ptep_check_early' },
        { guard: 'holdsPagemapUntilGrab', target: 'page_folio' },
        { target: 'put_dev_pagemap_early' },
      ],
    },
    put_dev_pagemap_early: {
      description: 'Row A6: gives the pagemap back before the page is held',
      entry: 'callPut',
      on: { return: { target: 'page_folio', actions: 'forgetPagemap' } },
    },
    gup_fast_undo_dev_pagemap: {
      description: 'G7d: the pagemap is dying: what was gathered in this call is put again, nr goes back',
      always: [
        { guard: 'undoPutsPages', target: 'undo_dev_pagemap_loop' },
        { target: 'gup_fast_end', actions: 'dropAll' },
      ],
    },
    undo_dev_pagemap_loop: { description: 'G7d: page by page', always: [{ guard: 'hasGathered', target: 'undo_put_page' }, { target: 'gup_fast_end' }] },
    undo_put_page: {
      description: 'G7d: puts the last page gathered',
      entry: 'putLast',
      on: { return: { target: 'undo_dev_pagemap_loop', actions: 'dropLast' } },
    },
    ptep_check_early: {
      description: 'Row A4: a second look at the pte before the reference is taken',
      on: { step: { actions: 'readPte' }, pte: [{ guard: 'unchanged', target: 'page_folio' }, { target: 'gup_fast_end' }] },
    },
    page_folio: {
      description: 'G8a: reads compound_head: the first touch of the struct page',
      on: {
        step: { actions: 'readHead' },
        'page.head': [
          { guard: 'countsOnHead', target: 'folio_ref_try_add', actions: 'noteHead' },
          { target: 'folio_ref_try_add', actions: 'notePage' },
        ],
      },
    },
    folio_ref_try_add: {
      description: 'G8b: adds a reference unless there is none; of a leaf as many as pages are asked for',
      on: {
        step: { actions: 'tryGet' },
        'folio.got': [{ guard: 'looksUpHeadAgain', target: 'page_folio_again' }, { target: 'try_grab_folio_fast' }],
        'folio.frozen': [
          { guard: 'hasGatheredOfLeaf', target: 'undo_leaf' },
          { target: 'gup_fast_end', actions: 'forgetPage' },
        ],
      },
    },
    page_folio_again: {
      description: 'G8c: reads the head again; changed: the reference went to another folio',
      on: {
        step: { actions: 'readHead' },
        'page.head': [
          { guard: 'sameHead', target: 'try_grab_folio_fast' },
          { guard: 'countsOnHead', target: 'put_wrong_head' },
          { target: 'try_grab_folio_fast' },
        ],
      },
    },
    put_wrong_head: { description: 'G8c: puts it and looks up the head once more', entry: 'putUnpinned', on: { return: { target: 'page_folio' } } },
    try_grab_folio_fast: {
      description: 'G8d: FOLL_PIN raises the pin count, with a full barrier before the next look at the pte',
      always: [
        { guard: 'isFollGet', target: 'grabbed' },
        { guard: 'pinsBeforeRecheck', target: 'folio_pin' },
        { guard: 'moreOfLeaf', target: 'folio_pin' },
        { target: 'grabbed' },
      ],
    },
    folio_pin: { description: 'G8d: the pin count', on: { step: { target: 'grabbed', actions: ['pin', 'notePinned'] } } },
    grabbed: {
      description: 'Holds the page',
      always: [
        { guard: 'moreOfLeaf', target: 'get_dev_pagemap', actions: 'nextOfLeaf' },
        { guard: 'rechecksAfterGrab', target: 'recheck' },
        { target: 'got_page' },
      ],
    },
    recheck: {
      description: 'G9: the pmd first',
      always: [{ guard: 'walksLeaf', target: 'pmdp_get_again' }, { guard: 'walksTable', target: 'pmdp_get_again' }, { target: 'ptep_get_lockless_again' }],
    },
    pmdp_get_again: {
      description: 'G9: the table itself may be on its way out',
      on: {
        step: { actions: 'readPmd' },
        pmd: [
          { guard: 'sameReadOnlyLeaf', target: 'gup_must_unshare' },
          { guard: 'sameLeaf', target: 'got_page' },
          { guard: 'walksLeaf', target: 'gup_put_folio' },
          { guard: 'sameTable', target: 'ptep_get_lockless_again' },
          { target: 'gup_put_folio' },
        ],
      },
    },
    ptep_get_lockless_again: {
      description: 'G9: pmd and pte must be what they were, else the page may be another by now',
      on: {
        step: { actions: 'readPte' },
        pte: [{ guard: 'unchangedReadOnly', target: 'gup_must_unshare' }, { guard: 'unchanged', target: 'got_page' }, { target: 'gup_put_folio' }],
      },
    },
    gup_must_unshare: {
      description: 'A read-only pte: is the page exclusive? Read after the pte (smp_rmb); else a store of the owner would go to a copy',
      on: {
        step: { actions: 'readCounts' },
        'page.counts': [{ guard: 'mustUnshare', target: 'gup_put_folio' }, { target: 'got_page' }],
      },
    },
    gup_put_folio: {
      description: 'G9: puts the reference (and the pin) again; of a devmap leaf, those of its pages before',
      entry: 'putCurrent',
      on: {
        return: [
          { guard: 'hasGatheredOfLeaf', target: 'undo_leaf' },
          { target: 'gup_fast_end', actions: 'forgetPage' },
        ],
      },
    },
    undo_leaf: {
      description: 'gup_fast_undo_dev_pagemap: nr goes back to where the leaf began',
      always: [
        { guard: 'hasGatheredOfLeaf', target: 'undo_leaf_page' },
        { target: 'gup_fast_end', actions: 'forgetPage' },
      ],
    },
    undo_leaf_page: { description: 'Puts the last page gathered of the leaf', entry: 'putLast', on: { return: { target: 'undo_leaf', actions: 'dropLast' } } },
    got_page: {
      description: 'The page is what the address maps',
      always: [{ guard: 'unpinnedYet', target: 'folio_pin_late' }, { target: 'record' }],
    },
    folio_pin_late: {
      description: 'Row D9: the pin count, after the last look at the pte',
      on: { step: { target: 'record', actions: ['pin', 'notePinned'] } },
    },
    record: {
      description: 'G11: records the page, goes on with the next pte, of the same page-table page or of another',
      always: [
        { guard: 'nextInTable', target: 'ptep_get_lockless', actions: 'record' },
        { guard: 'morePages', target: 'pmdp_get_lockless', actions: 'record' },
        { target: 'gup_fast_end', actions: 'record' },
      ],
    },
    gup_fast_end: {
      description: 'Nothing more is taken without locks',
      always: [{ guard: 'hasPagemap', target: 'put_dev_pagemap' }, { target: 'local_irq_restore' }],
    },
    put_dev_pagemap: {
      description: "G12: gives the pagemap back; from here only the page's own reference protects it",
      entry: 'callPut',
      on: { return: { target: 'local_irq_restore', actions: 'forgetPagemap' } },
    },
    local_irq_restore: {
      description: 'G13: pending IPIs run from here on',
      on: {
        step: [
          { guard: 'pins', target: 'read_seqcount_retry', actions: 'irqsOn' },
          { guard: 'isDone', target: 'idle', actions: ['irqsOn', 'return', 'forget'] },
          { target: 'gup_slow', actions: 'irqsOn' },
        ],
      },
    },
    read_seqcount_retry: {
      description: 'G14: a fork since G2: unpin everything, go slow',
      on: {
        step: { actions: 'readSeq' },
        seqcount: [{ guard: 'forked', target: 'fork_race' }, { guard: 'isDone', target: 'idle', actions: ['return', 'forget'] }, { target: 'gup_slow' }],
      },
    },
    fork_race: {
      description: 'G14: unpins what it gathered',
      always: [
        { guard: 'hasGathered', target: 'unpin_user_page' },
        { guard: 'isFastOnly', target: 'idle', actions: ['return', 'forget'] },
        { target: 'gup_slow' },
      ],
    },
    unpin_user_page: { description: 'G14: unpins the last page gathered', entry: 'putLast', on: { return: { target: 'fork_race', actions: 'dropLast' } } },
    gup_slow: {
      description: 'G15: the rest by the slow path',
      entry: 'callSlow',
      on: { return: { target: 'idle', actions: ['addSlow', 'return', 'forget'] } },
    },
  },
});
