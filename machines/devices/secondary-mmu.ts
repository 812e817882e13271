import { assign, enqueueActions, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import { pageAt } from '../memory/address-space.js';
import type { MemoryValue } from '../memory/folio.js';

/** What a device, or a guest, may do through a virtual page. `atomic`: a read-modify-write that nobody comes between. */
export interface DevicePte {
  pfn: number;
  write: boolean;
  atomic: boolean;
}

/** `load` and `store` are the two ends of an atomic. */
export type DeviceAccessKind = 'read' | 'write' | 'load' | 'store';

interface Context {
  /** The address space that it mirrors. */
  mm: Address;
  /** Keyed by virtual page number. */
  ptes: Record<string, DevicePte>;
  /** The page of an atomic between its load and its store. */
  atomic: number | null;
  /** Who unmaps the page of that atomic, and waits until it has stored. */
  waiters: Address[];
}

type Event =
  | Signed<{ type: 'mmu.map'; vpn: number; pfn: number; write: boolean; atomic: boolean } | { type: 'mmu.unmap'; vpns: number[] }>
  | Signed<{ type: 'mmu.access'; vpn: number; kind: DeviceAccessKind }>
  | Signed<MemoryValue>;

const { tell, reply } = speaker<Context, Event>();

const unmapping = (event: Event): number[] => received(event, 'mmu.unmap').vpns;
const without = (ptes: Context['ptes'], vpns: number[]): Context['ptes'] =>
  Object.fromEntries(Object.entries(ptes).filter(([vpn]) => !vpns.includes(Number(vpn))));

/** Whether the pte of the page allows an access; a store that ends no atomic is none. */
function allows({ ptes }: Context, event: Event): boolean {
  const { vpn, kind } = received(event, 'mmu.access');
  const pte = ptes[vpn];
  if (!pte || kind === 'store') return false;
  return kind === 'read' || (kind === 'write' ? pte.write : pte.atomic);
}

/**
 * A secondary MMU: the page table of a device with its TLB, or of a guest. A driver maps and unmaps pages; the device uses
 * them and asks nobody. An unmap is answered when no access uses what it took away: the invalidation of the device's TLB waits
 * for an atomic in flight. The device does one atomic at a time and lets no other access of its own come between; it tells who
 * tries that it is busy. Domain table, part 2, 0.1 (GPUg), 1e (E10); invariants I5, I6.
 */
export const secondaryMmu = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Pick<Context, 'mm'> & { ptes?: Context['ptes'] } },
  guards: {
    allows: ({ context, event }) => allows(context, event),
    allowsLoad: ({ context, event }) => received(event, 'mmu.access').kind === 'load' && allows(context, event),
    isItsStore: ({ context, event }) => {
      const { vpn, kind } = received(event, 'mmu.access');
      return kind === 'store' && vpn === context.atomic;
    },
    comesBetween: ({ context, event }) => {
      const { vpn, kind } = received(event, 'mmu.access');
      return kind === 'load' || vpn === context.atomic;
    },
    hasStored: ({ context, event }) => {
      const { vpn, write } = received(event, 'memory.value');
      return write && vpn === context.atomic;
    },
    /** Safeguard: a pte that is gone says nothing of an atomic that has looked at it before. */
    isInFlight: ({ context, event }) => context.atomic !== null && unmapping(event).includes(context.atomic),
  },
  actions: {
    map: assign({
      ptes: ({ context, event }) => {
        const { vpn, pfn, write, atomic } = received(event, 'mmu.map');
        return { ...context.ptes, [vpn]: { pfn, write, atomic } };
      },
    }),
    unmap: assign({ ptes: ({ context, event }) => without(context.ptes, unmapping(event)) }),
    replyUnmapped: reply({ type: 'mmu.unmapped' }),
    unmapOthers: assign({
      ptes: ({ context, event }) =>
        without(
          context.ptes,
          unmapping(event).filter((vpn) => vpn !== context.atomic),
        ),
    }),
    await: assign({ waiters: ({ context, event }) => [...context.waiters, event.from] }),
    replyFault: reply(({ event }) => ({ type: 'mmu.fault', vpn: received(event, 'mmu.access').vpn })),
    replyBusy: reply({ type: 'mmu.busy' }),
    touch: tell(
      ({ context, event }) => pageAt((context.ptes[received(event, 'mmu.access').vpn] as DevicePte).pfn),
      ({ context, event }) => {
        const { vpn, kind, from } = received(event, 'mmu.access');
        const write = kind === 'write' || kind === 'store';
        return { type: 'memory.access', write, mm: context.mm, vpn, user: from, ...(kind === 'load' || kind === 'store' ? { atomic: kind } : {}) };
      },
    ),
    begin: assign({ atomic: ({ event }) => received(event, 'mmu.access').vpn }),
    tellDone: tell(
      ({ event }) => received(event, 'memory.value').user,
      ({ event }) => {
        const { vpn, value } = received(event, 'memory.value');
        return { type: 'mmu.done', vpn, value };
      },
    ),
    end: enqueueActions(({ enqueue, context }) => {
      if (context.waiters.length > 0) enqueue.assign({ ptes: without(context.ptes, [context.atomic as number]) });
      for (const waiter of context.waiters) enqueue(tell(waiter, { type: 'mmu.unmapped' }));
      enqueue.assign({ atomic: null, waiters: [] });
    }),
  },
}).createMachine({
  id: 'secondary_mmu',
  context: ({ input }) => ({ ptes: {}, ...input, atomic: null, waiters: [] }),
  initial: 'ready',
  on: {
    'mmu.map': { actions: 'map', description: 'E10: writes the pte' },
  },
  states: {
    ready: {
      description: 'No access is in flight: a load or store is one step',
      on: {
        'mmu.access': [
          { guard: 'allowsLoad', target: 'atomic_in_flight', actions: ['begin', 'touch'] },
          { guard: 'allows', actions: 'touch' },
          { actions: 'replyFault', description: 'The right is missing: the driver is asked' },
        ],
        'mmu.unmap': { actions: ['unmap', 'replyUnmapped'] },
        'memory.value': { actions: 'tellDone', description: 'The access has retired' },
      },
    },
    atomic_in_flight: {
      description: 'An atomic has loaded and not stored yet; it does not look at the pte again',
      on: {
        'mmu.access': [
          { guard: 'isItsStore', actions: 'touch' },
          { guard: 'comesBetween', actions: 'replyBusy', description: 'Of this device, nothing comes between load and store' },
          { guard: 'allows', actions: 'touch' },
          { actions: 'replyFault' },
        ],
        'mmu.unmap': [
          { guard: 'isInFlight', actions: ['unmapOthers', 'await'], description: 'Answered when the atomic has stored' },
          { actions: ['unmap', 'replyUnmapped'] },
        ],
        'memory.value': [{ guard: 'hasStored', target: 'ready', actions: ['tellDone', 'end'] }, { actions: 'tellDone' }],
      },
    },
  },
});
