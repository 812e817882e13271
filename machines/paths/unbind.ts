import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { pageAt } from '../memory/address-space.js';

interface Input {
  dax: Address;
  srcu: Address;
  zap: Address;
  memunmap: Address;
  pfns: number[];
  /** Where the device's pages are mapped. */
  vpns: number[];
}

interface Context extends Input {
  caller: Address;
  /** Pages not seen idle yet. */
  busy: number[];
}

type Event = { type: 'step' } | Call | Return | Signed<{ type: 'rcu.callback' } | { type: 'page.idle' }>;

const { tell } = speaker<Context, Event>();

/**
 * Unbind of a dax device in the order that is meant to be safe (row A8): no new faults, SRCU, unmap, flush, wait until
 * every page is idle, then memunmap_pages. Each safeguard is a guard; drivers that lack it are variants.
 */
export const unbind = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    /** Safeguard: faults that passed the check of DAXDEV_ALIVE are over before anything is unmapped. */
    waitsForSrcu: () => true,
    /** Safeguard: user mappings are removed (devdax: unmap_mapping_range; a filesystem's holder: MF_MEM_PRE_REMOVE). */
    unmapsMappings: () => true,
    /** Safeguard: every page is idle before it goes: pins are waited for. */
    waitsForIdle: () => true,
    /** Row A8d: looks for idle pages before the mappings are gone. */
    looksBeforeUnmap: () => false,
    morePages: ({ context }) => context.busy.length > 1,
  },
  actions: {
    remember: assign({ caller: ({ event }) => received(event, 'call').from, busy: ({ context }) => context.pfns }),
    killDax: tell(({ context }) => context.dax, { type: 'dax.kill' }),
    synchronizeSrcu: tell(({ context }) => context.srcu, { type: 'synchronize_rcu' }),
    callZap: tell(
      ({ context }) => context.zap,
      ({ context }) => ({ type: 'call', vpns: context.vpns }),
    ),
    waitIdle: tell(({ context }) => pageAt(context.busy[0] as number), { type: 'folio.wait_idle' }),
    nextPage: assign({ busy: ({ context }) => context.busy.slice(1) }),
    callMemunmap: tell(({ context }) => context.memunmap, { type: 'call' }),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign({ caller: '', busy: [] }),
  },
}).createMachine({
  id: 'unbind',
  context: ({ input }) => ({ ...input, caller: '', busy: [] }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'kill_dax', actions: 'remember' } } },
    kill_dax: {
      description: 'U2: clears DAXDEV_ALIVE: faults that look from here on fail',
      on: {
        step: [
          { guard: 'waitsForSrcu', target: 'synchronize_srcu', actions: 'killDax' },
          { target: 'srcu_synchronized', actions: 'killDax' },
        ],
      },
    },
    synchronize_srcu: { description: 'U2: waits for faults inside dax_srcu', on: { step: { target: 'wait_srcu_gp', actions: 'synchronizeSrcu' } } },
    wait_srcu_gp: { description: 'Asleep until those faults are over', on: { 'rcu.callback': { target: 'srcu_synchronized' } } },
    srcu_synchronized: {
      description: 'No fault inserts a pte any more',
      always: [
        { guard: 'looksBeforeUnmap', target: 'dax_wait_page_idle' },
        { guard: 'unmapsMappings', target: 'unmap_mapping_range' },
        { target: 'mappings_gone' },
      ],
    },
    unmap_mapping_range: {
      description: 'Zaps every pte of the device and flushes',
      entry: 'callZap',
      on: { return: { target: 'mappings_gone' } },
    },
    mappings_gone: {
      description: 'Whatever was mapped is unmapped, as far as this driver does it',
      always: [{ guard: 'looksBeforeUnmap', target: 'memunmap_pages' }, { guard: 'waitsForIdle', target: 'dax_wait_page_idle' }, { target: 'memunmap_pages' }],
    },
    dax_wait_page_idle: {
      description: 'Waits until a page has only the references of an idle one (row A8d: of a mapped one)',
      on: { step: { target: 'wait_var_event', actions: 'waitIdle' } },
    },
    wait_var_event: {
      description: 'Asleep while the page is busy',
      on: {
        'page.idle': [
          { guard: 'morePages', target: 'dax_wait_page_idle', actions: 'nextPage' },
          { guard: 'looksBeforeUnmap', target: 'unmap_mapping_range' },
          { target: 'memunmap_pages' },
        ],
      },
    },
    memunmap_pages: { description: 'U3 to U7', entry: 'callMemunmap', on: { return: { target: 'idle', actions: ['return', 'forget'] } } },
  },
});

/** nd_pmem up to 5.17, and with a filesystem that registers no holder later: nothing unmaps user ptes, nobody looks for pins. */
export const unbindWithoutUnmap = unbind.provide({ guards: { unmapsMappings: () => false, waitsForIdle: () => false } });

/** devdax: faults are blocked, then everything is unmapped; pins are left to the pagemap's reference (which they hold up to 5.17). */
export const unbindDevdax = unbind.provide({ guards: { waitsForIdle: () => false } });
