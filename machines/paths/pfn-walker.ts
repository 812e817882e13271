import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import type { PagemapUse } from '../devices/dev-pagemap.js';
import { pageAt } from '../memory/address-space.js';
import { sectionAt } from '../memory/mem-section.js';

interface Input {
  /** What it asks before it touches the struct page of a pfn; `none`: nothing; `memory_failure`: whether it is valid, then for its pagemap. */
  gate: 'none' | 'valid' | 'online' | 'pagemap' | 'memory_failure';
  /** Pfns of a section. */
  sectionSize: number;
  /** The pagemap that `pagemap` and `memory_failure` look for. */
  pgmap?: PagemapUse;
  /** get_online_mems: no memory comes or goes while it walks; null: it does without. */
  hotplugLock?: Address | null;
}

interface Context extends Input {
  hotplugLock: Address | null;
  caller: Address;
  pfns: number[];
  head: number;
  /** Folios whose reference count it has read. */
  seen: number;
}

type Event =
  | { type: 'step' }
  | Call<{ pfns: number[] }>
  | Return<{ ok?: boolean }>
  | Signed<{ type: 'locked' } | { type: 'pfn.valid'; valid: boolean } | { type: 'pfn.online'; online: boolean }>
  | Signed<{ type: 'xa'; result: 'found' | 'none' } | { type: 'page.head'; head: number } | { type: 'page.counts'; refcount: number }>;

const { tell } = speaker<Context, Event>();

const idle = { caller: '', pfns: [] as number[], head: -1, seen: 0 };
const pfnOf = ({ pfns }: Context): number => pfns[0] as number;
const sectionOf = (context: Context): Address => sectionAt(Math.floor(pfnOf(context) / context.sectionSize));
const pagemapOf = ({ pgmap }: Context): PagemapUse => pgmap as PagemapUse;

/**
 * Who starts from page frame numbers and not from a pte: compaction (isolate_migratepages_block), page_owner (read_page_owner), /proc/kcore,
 * memory failure (6.12). For each pfn it asks whether there is a struct page, in the way that it does, and then reads the head, and the
 * reference count of that. What it was told may be over by then. Returns `{ seen }`. Domain table 0.1 (PFNW), rows E10, E12.
 */
export const pfnWalker = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    holdsHotplugLock: ({ context }) => context.hotplugLock !== null,
    isDone: ({ context }) => context.pfns.length === 0,
    asksValid: ({ context }) => context.gate === 'valid' || context.gate === 'memory_failure',
    asksOnline: ({ context }) => context.gate === 'online',
    asksPagemap: ({ context }) => context.gate === 'pagemap' || context.gate === 'memory_failure',
    isValid: ({ event }) => received(event, 'pfn.valid').valid,
    isValidForPagemap: ({ context, event }) => context.gate === 'memory_failure' && received(event, 'pfn.valid').valid,
    isOnline: ({ event }) => received(event, 'pfn.online').online,
    found: ({ event }) => received(event, 'xa').result === 'found',
    ok: ({ event }) => received(event, 'return').ok === true,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, pfns } = received(event, 'call');
      return { caller: from, pfns };
    }),
    lock: tell(({ context }) => context.hotplugLock as Address, { type: 'down_read' }),
    unlock: tell(({ context }) => context.hotplugLock as Address, { type: 'up_read' }),
    askValid: tell(
      ({ context }) => sectionOf(context),
      ({ context }) => ({ type: 'section.pfn_valid', pfn: pfnOf(context) }),
    ),
    askOnline: tell(
      ({ context }) => sectionOf(context),
      ({ context }) => ({ type: 'section.pfn_to_online_page', pfn: pfnOf(context) }),
    ),
    lookUpPagemap: tell(({ context }) => pagemapOf(context).pgmap, { type: 'xa_load' }),
    callTryget: tell(({ context }) => pagemapOf(context).tryget, { type: 'call' }),
    callPut: tell(({ context }) => pagemapOf(context).put, { type: 'call' }),
    readHead: tell(({ context }) => pageAt(pfnOf(context)), { type: 'page.head' }),
    noteHead: assign({ head: ({ event }) => received(event, 'page.head').head }),
    readCount: tell(({ context }) => pageAt(context.head), { type: 'page.read' }),
    noteSeen: assign({ seen: ({ context }) => context.seen + 1 }),
    nextPfn: assign({ pfns: ({ context }) => context.pfns.slice(1), head: -1 }),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', seen: context.seen }),
    ),
    forget: assign(idle),
  },
}).createMachine({
  id: 'pfn_walker',
  context: ({ input }) => ({ hotplugLock: null, ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: {
      tags: ['rest'],
      description: 'Not called',
      on: {
        call: [
          { guard: 'holdsHotplugLock', target: 'get_online_mems', actions: 'remember' },
          { target: 'next_pfn', actions: 'remember' },
        ],
      },
    },
    get_online_mems: { description: 'Takes mem_hotplug_lock to read', on: { step: { target: 'wait_for_mem_hotplug_lock', actions: 'lock' } } },
    wait_for_mem_hotplug_lock: { description: 'Sleeps while memory comes or goes', on: { locked: { target: 'next_pfn' } } },
    next_pfn: {
      description: 'Pfn by pfn',
      always: [
        { guard: 'isDone', target: 'walked' },
        { guard: 'asksValid', target: 'pfn_valid' },
        { guard: 'asksOnline', target: 'pfn_to_online_page' },
        { guard: 'asksPagemap', target: 'get_dev_pagemap' },
        { target: 'page_folio' },
      ],
    },
    pfn_valid: {
      description: 'There is a struct page; whether anybody has written it, this does not tell (row E12)',
      on: {
        step: { actions: 'askValid' },
        'pfn.valid': [
          { guard: 'isValidForPagemap', target: 'get_dev_pagemap' },
          { guard: 'isValid', target: 'page_folio' },
          { target: 'next_pfn', actions: 'nextPfn' },
        ],
      },
    },
    pfn_to_online_page: {
      description: 'There is a struct page, and the page allocator knows its memory',
      on: {
        step: { actions: 'askOnline' },
        'pfn.online': [
          { guard: 'isOnline', target: 'page_folio' },
          { target: 'next_pfn', actions: 'nextPfn' },
        ],
      },
    },
    get_dev_pagemap: {
      description: 'xa_load: is there a pagemap',
      on: {
        step: { actions: 'lookUpPagemap' },
        xa: [
          { guard: 'found', target: 'percpu_ref_tryget_live_rcu' },
          { target: 'next_pfn', actions: 'nextPfn' },
        ],
      },
    },
    percpu_ref_tryget_live_rcu: {
      description: 'Holds the pagemap, unless it is dying',
      entry: 'callTryget',
      on: {
        return: [
          { guard: 'ok', target: 'page_folio' },
          { target: 'next_pfn', actions: 'nextPfn' },
        ],
      },
    },
    page_folio: {
      description: 'compound_head: the first touch of the struct page',
      on: { step: { actions: 'readHead' }, 'page.head': { target: 'page_ref_count', actions: 'noteHead' } },
    },
    page_ref_count: {
      description: 'Reads the reference count of the head',
      on: {
        step: { actions: 'readCount' },
        'page.counts': [
          { guard: 'asksPagemap', target: 'put_dev_pagemap', actions: 'noteSeen' },
          { target: 'next_pfn', actions: ['noteSeen', 'nextPfn'] },
        ],
      },
    },
    put_dev_pagemap: { description: 'Gives the pagemap back', entry: 'callPut', on: { return: { target: 'next_pfn', actions: 'nextPfn' } } },
    walked: {
      description: 'That was all',
      always: [
        { guard: 'holdsHotplugLock', target: 'put_online_mems' },
        { target: 'idle', actions: ['return', 'forget'] },
      ],
    },
    put_online_mems: { description: 'Lets mem_hotplug_lock go', on: { step: { target: 'idle', actions: ['unlock', 'return', 'forget'] } } },
  },
});
