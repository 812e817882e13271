import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { pageAt } from '../memory/address-space.js';

interface Context {
  /** percpu_ref_put of the pagemap's reference; null: pages do not hold one. */
  putPagemap: Address | null;
  /** Where a page goes when its last reference has gone; null: nowhere, it is not handed out again. */
  allocator: Address | null;
  /** LUF: a page that is freed needs all flushes that are put off by now; null: it is not looked at. */
  lufBatch: Address | null;
  pfn: number;
  /** FOLL_PIN: the pin count goes down first. */
  pinned: boolean;
  caller: Address;
}

type Event =
  | { type: 'step' }
  | Call<{ pfn: number; pinned: boolean }>
  | Return
  | Signed<{ type: 'folio.put'; refcount: number } | { type: 'ugen'; ugen: number }>;

const { tell } = speaker<Context, Event>();

/**
 * Drops a reference of a page: put_page, or unpin_user_page when it is a pin. Up to 5.17 the last reference of a device
 * page drops the pagemap's reference that the page holds (__put_page, put_dev_pagemap); later ones only wake who waits.
 */
export const putPage = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as { putPagemap?: Address; allocator?: Address; lufBatch?: Address } },
  guards: {
    isPin: ({ event }) => received(event, 'call').pinned,
    dropsPagemap: ({ context, event }) => context.putPagemap !== null && received(event, 'folio.put').refcount === 0,
    freesLazily: ({ context, event }) => context.lufBatch !== null && context.allocator !== null && received(event, 'folio.put').refcount === 0,
    frees: ({ context, event }) => context.allocator !== null && received(event, 'folio.put').refcount === 0,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, pfn, pinned } = received(event, 'call');
      return { caller: from, pfn, pinned };
    }),
    unpin: tell(({ context }) => pageAt(context.pfn), { type: 'folio.unpin' }),
    put: tell(({ context }) => pageAt(context.pfn), { type: 'folio.put' }),
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
    forget: assign({ caller: '', pfn: 0, pinned: false }),
  },
}).createMachine({
  id: 'put_page',
  context: ({ input }) => ({
    putPagemap: input.putPagemap ?? null,
    allocator: input.allocator ?? null,
    lufBatch: input.lufBatch ?? null,
    pfn: 0,
    pinned: false,
    caller: '',
  }),
  initial: 'idle',
  states: {
    idle: {
      tags: ['rest'],
      description: 'Not called',
      on: {
        call: [
          { guard: 'isPin', target: 'unpin_user_page', actions: 'remember' },
          { target: 'put_page', actions: 'remember' },
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
