import { assign, setup } from 'xstate';
import { received, type Signed, speaker } from '../../src/system/message.js';

/** A read-only copy of page `pfn`, which a process has at `vpn`, in page `copy` of the memory of a device. */
export interface DeviceCopy {
  vpn: number;
  pfn: number;
  copy: number;
}

interface Context {
  copies: DeviceCopy[];
}

type Event = Signed<({ type: 'copies.add' } & DeviceCopy) | { type: 'copies.read'; vpns: number[] } | { type: 'copies.take'; vpns: number[] }>;

const { reply } = speaker<Context, Event>();
const asked = (event: Event): number[] => received(event, 'copies.read', 'copies.take').vpns;

/**
 * What a driver keeps of the copies that its device has of pages of one process, in the order of their making: it is under the driver's
 * mutex (a proposal, like the copies). Domain table, part 2, 1f, Uses.
 */
export const deviceCopies = setup({
  types: { context: {} as Context, events: {} as Event },
  actions: {
    add: assign({
      copies: ({ context, event }) => {
        const { vpn, pfn, copy } = received(event, 'copies.add');
        return [...context.copies, { vpn, pfn, copy }];
      },
    }),
    replyCopies: reply(({ context, event }) => ({ type: 'copies.listed', copies: context.copies.filter(({ vpn }) => asked(event).includes(vpn)) })),
    take: assign({ copies: ({ context, event }) => context.copies.filter(({ vpn }) => !asked(event).includes(vpn)) }),
  },
}).createMachine({
  id: 'device_copies',
  description: 'Which pages a device has copies of',
  context: { copies: [] },
  on: {
    'copies.add': { actions: 'add' },
    'copies.read': { actions: 'replyCopies' },
    'copies.take': { actions: ['replyCopies', 'take'], description: 'Who takes one frees it' },
  },
});
