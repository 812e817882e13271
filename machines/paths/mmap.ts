import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call } from '../call.js';
import type { Area } from '../memory/address-space.js';

interface Input {
  mm: Address;
  mmapLock: Address;
  coherence: Address | null;
}

interface Context extends Input {
  caller: Address;
  vpn: number;
  area: Area | null;
  cell: string;
}

type Event = { type: 'step' } | Call<{ vpn: number; area: Area; cell: string }> | Signed<{ type: 'locked' }>;

const { tell, inform } = speaker<Context, Event>();
const idle = { caller: '', vpn: -1, area: null, cell: '' };

/** mmap (mm/mmap.c, 6.12) of one page: a VMA where none is. Called with the page and what is to be mapped. Domain table, part 2, row L10. */
export const mmap = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpn, area, cell } = received(event, 'call');
      return { caller: from, vpn, area, cell };
    }),
    lockMm: tell(({ context }) => context.mmapLock, { type: 'down_write' }),
    unlockMm: tell(({ context }) => context.mmapLock, { type: 'up_write' }),
    linkVma: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'vma.link', vpns: [context.vpn], areas: { [context.vpn]: context.area } }),
    ),
    observeMap: inform(
      ({ context }) => context.coherence,
      ({ context }) => ({ type: 'place.map', mm: context.mm, vpn: context.vpn, cell: context.cell, write: context.area?.write }),
    ),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'mmap',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'mmap_write_lock', actions: 'remember' } } },
    mmap_write_lock: { description: 'Takes mmap_lock for writing', on: { step: { target: 'wait_for_mmap_lock', actions: 'lockMm' } } },
    wait_for_mmap_lock: { description: 'Sleeps while others hold it', on: { locked: { target: 'vma_link' } } },
    vma_link: { description: 'The VMA is in the tree', on: { step: { target: 'mmap_write_unlock', actions: 'linkVma' } } },
    mmap_write_unlock: { description: 'Returns', on: { step: { target: 'idle', actions: ['unlockMm', 'observeMap', 'return', 'forget'] } } },
  },
});
