import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { pageAt } from '../memory/address-space.js';

interface Context {
  /** percpu_ref_put of the pagemap's reference; null: pages do not hold one. */
  putPagemap: Address | null;
  /** Where a page goes when its last reference has gone, of a folio of several the first; null: nowhere, it is not handed out again. */
  allocator: Address | null;
  /** LUF: a page that is freed needs all flushes that are put off by now; null: it is not looked at. */
  lufBatch: Address | null;
  pfn: number;
  /** FOLL_PIN: the pin count goes down first. */
  pinned: boolean;
  /** References to drop. */
  refs: number;
  /** Pages may be tails, so that the head is looked up first. */
  compounds: boolean;
  caller: Address;
}

type Event =
  | { type: 'step' }
  | Call<{ pfn: number; pinned: boolean; refs?: number }>
  | Return
  | Signed<{ type: 'page.head'; head: number }>
  | Signed<{ type: 'folio.put'; refcount: number } | { type: 'ugen'; ugen: number }>;

const { tell } = speaker<Context, Event>();
/** How many references a message is about, where it is not one. */
export const several = (refs: number): { refs?: number } => (refs === 1 ? {} : { refs });

/**
 * Drops a reference of a page, or several of a folio (gup_put_folio): put_page, or unpin_user_page when it is a pin. Up to 5.17 the last reference of a device
 * page drops the pagemap's reference that the page holds (__put_page, put_dev_pagemap); later ones only wake who waits.
 */
export const putPage = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as { putPagemap?: Address; allocator?: Address; lufBatch?: Address; compounds?: boolean } },
  guards: {
    looksUpHead: ({ context }) => context.compounds,
    isPin: ({ context }) => context.pinned,
    isCallForPin: ({ event }) => received(event, 'call').pinned,
    dropsPagemap: ({ context, event }) => context.putPagemap !== null && received(event, 'folio.put').refcount === 0,
    freesLazily: ({ context, event }) => context.lufBatch !== null && context.allocator !== null && received(event, 'folio.put').refcount === 0,
    frees: ({ context, event }) => context.allocator !== null && received(event, 'folio.put').refcount === 0,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, pfn, pinned, refs } = received(event, 'call');
      return { caller: from, pfn, pinned, refs: refs ?? 1 };
    }),
    readHead: tell(({ context }) => pageAt(context.pfn), { type: 'page.head' }),
    noteHead: assign({ pfn: ({ event }) => received(event, 'page.head').head }),
    unpin: tell(
      ({ context }) => pageAt(context.pfn),
      ({ context }) => ({ type: 'folio.unpin', ...several(context.refs) }),
    ),
    put: tell(
      ({ context }) => pageAt(context.pfn),
      ({ context }) => ({ type: 'folio.put', ...several(context.refs) }),
    ),
    callPutPagemap: tell(({ context }) => context.putPagemap as Address, { type: 'call' }),
    readUgen: tell(({ context }) => context.lufBatch as Address, { type: 'luf_batch.ugen' }),
    listLazily: tell(
      ({ context }) => context.allocator as Address,
      ({ context, event }) => ({ type: 'free_page', pfn: context.pfn, lufKey: received(event, 'ugen').ugen }),
    ),
    list: tell(
      ({ context }) => context.allocator as Address,
      ({ context }) => ({ type: 'free_page', pfn: context.pfn, lufKey: null }),
    ),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign({ caller: '', pfn: 0, pinned: false, refs: 1 }),
  },
}).createMachine({
  id: 'put_page',
  context: ({ input }) => ({
    putPagemap: input.putPagemap ?? null,
    allocator: input.allocator ?? null,
    lufBatch: input.lufBatch ?? null,
    compounds: input.compounds ?? false,
    pfn: 0,
    pinned: false,
    refs: 1,
    caller: '',
  }),
  initial: 'idle',
  states: {
    idle: {
      tags: ['rest'],
      description: 'Not called',
      on: {
        call: [
          { guard: 'looksUpHead', target: 'page_folio', actions: 'remember' },
          { guard: 'isCallForPin', target: 'unpin_user_page', actions: 'remember' },
          { target: 'put_page', actions: 'remember' },
        ],
      },
    },
    page_folio: {
      description: 'Counters of a tail are in its head',
      on: {
        step: { actions: 'readHead' },
        'page.head': [
          { guard: 'isPin', target: 'unpin_user_page', actions: 'noteHead' },
          { target: 'put_page', actions: 'noteHead' },
        ],
      },
    },
    unpin_user_page: { description: 'Takes the pin back', on: { step: { target: 'put_page', actions: 'unpin' } } },
    put_page: {
      description: 'Drops the reference; who waits for the page to be idle is woken',
      on: {
        step: { actions: 'put' },
        'folio.put': [
          { guard: 'dropsPagemap', target: 'put_dev_pagemap' },
          { guard: 'freesLazily', target: 'fold_luf' },
          { guard: 'frees', target: 'idle', actions: ['list', 'return', 'forget'] },
          { target: 'idle', actions: ['return', 'forget'] },
        ],
      },
    },
    fold_luf: {
      description: 'The page is freed with the generation of the flushes that are put off',
      entry: 'readUgen',
      on: { ugen: { target: 'idle', actions: ['listLazily', 'return', 'forget'] } },
    },
    put_dev_pagemap: {
      description: 'The page held a reference of its pagemap',
      entry: 'callPutPagemap',
      on: { return: { target: 'idle', actions: ['return', 'forget'] } },
    },
  },
});
