import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { pageAt } from '../memory/address-space.js';

interface Input {
  mmapLock: Address;
  folioLocks: Record<string, Address>;
  /** migrate_vma_setup and what follows it. */
  migrateVma: Address;
  /** Hands out pages of the device. */
  deviceMemory: Address;
  mutex: Address;
  mmu: Address;
}

interface Context extends Input {
  caller: Address;
  vpn: number;
  source: number;
  write: boolean;
  target: number;
  migrated: boolean;
}

type Event =
  | { type: 'step' }
  | Call<{ vpn: number }>
  | Return<{ pfn?: number | null; write?: boolean; ok?: boolean }>
  | Signed<{ type: 'locked' } | { type: 'page'; pfn: number | null } | { type: 'mmu.unmapped' } | { type: 'memory.content'; value: string | null }>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', vpn: -1, source: -1, write: false, target: -1, migrated: false };

/**
 * The driver migrates a page to its device: nouveau_dmem_migrate_vma, nouveau_dmem_migrate_chunk (drivers/gpu/drm/nouveau/
 * nouveau_dmem.c, 6.12). Between the unmapping from the CPU and the restoring of the pte it copies the page by an engine of the
 * device; the device maps the copy when it faults. Called with the page; returns `{ ok }`: ok if it is in the device's memory now.
 */
export const nouveauDmemMigrateVma = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    foundPage: ({ event }) => received(event, 'return').pfn !== null,
    gotPage: ({ event }) => received(event, 'page').pfn !== null,
    /** Safeguard: the device may store to what it has mapped, and its callback has let its own MIGRATE pass. 6.12 leaves it mapped. */
    invalidatesFirst: () => true,
    ok: ({ event }) => received(event, 'return').ok === true,
    /**
     * Safeguard: what is mapped here is mapped with no look at the sequence, and who has invalidated the page meanwhile (madvise takes
     * mmap_lock for reading too) frees it. 6.12 maps the copy, and one that was not taken all the same.
     */
    maps: () => false,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpn } = received(event, 'call');
      return { caller: from, vpn };
    }),
    lockMm: tell(({ context }) => context.mmapLock, { type: 'down_read' }),
    unlockMm: tell(({ context }) => context.mmapLock, { type: 'up_read' }),
    callSetup: tell(
      ({ context }) => context.migrateVma,
      ({ context }) => ({ type: 'call', phase: 'setup', vpn: context.vpn, select: 'system' }),
    ),
    noteSource: assign(({ event }) => {
      const { pfn, write } = received(event, 'return');
      return { source: pfn as number, write: write === true };
    }),
    alloc: tell(({ context }) => context.deviceMemory, { type: 'alloc_page' }),
    noteTarget: assign({ target: ({ event }) => received(event, 'page').pfn as number }),
    prepNew: tell(({ event }) => pageAt(received(event, 'page').pfn as number), { type: 'folio.prep_new' }),
    lockTarget: tell(({ context }) => context.folioLocks[context.target] as Address, { type: 'lock' }),
    lockMutex: tell(({ context }) => context.mutex, { type: 'lock' }),
    unlockMutex: tell(({ context }) => context.mutex, { type: 'unlock' }),
    unmap: tell(
      ({ context }) => context.mmu,
      ({ context }) => ({ type: 'mmu.unmap', vpns: [context.vpn] }),
    ),
    sample: tell(({ context }) => pageAt(context.source), { type: 'memory.read', sample: true }),
    copyInto: tell(
      ({ context }) => pageAt(context.target),
      ({ context, event }) => ({ type: 'memory.write', value: received(event, 'memory.content').value, device: context.mmu }),
    ),
    callPages: tell(
      ({ context }) => context.migrateVma,
      ({ context }) => ({ type: 'call', phase: 'pages', target: context.target }),
    ),
    noteMigrated: assign({ migrated: true }),
    map: tell(
      ({ context }) => context.mmu,
      ({ context: { vpn, target, write } }) => ({ type: 'mmu.map', vpn, pfn: target, write, atomic: false }),
    ),
    callFinalize: tell(
      ({ context }) => context.migrateVma,
      ({ context }) => ({ type: 'call', phase: 'finalize', target: context.target }),
    ),
    callAbandon: tell(({ context }) => context.migrateVma, { type: 'call', phase: 'finalize', target: null }),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', ok: context.migrated }),
    ),
    forget: assign(idle),
  },
}).createMachine({
  id: 'nouveau_dmem_migrate_vma',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'mmap_read_lock', actions: 'remember' } } },
    mmap_read_lock: { description: 'Takes mmap_lock for reading', on: { step: { target: 'wait_for_mmap_lock', actions: 'lockMm' } } },
    wait_for_mmap_lock: { description: 'Sleeps while somebody writes', on: { locked: { target: 'migrate_vma_setup' } } },
    migrate_vma_setup: {
      description: 'Takes the page from the CPU; none, or one that is in use: not now',
      entry: 'callSetup',
      on: { return: [{ guard: 'foundPage', target: 'nouveau_dmem_page_alloc_locked', actions: 'noteSource' }, { target: 'mmap_read_unlock' }] },
    },
    nouveau_dmem_page_alloc_locked: {
      description: 'A page of the device, locked, which nobody else knows',
      on: {
        step: { actions: 'alloc' },
        page: [{ guard: 'gotPage', target: 'lock_page', actions: ['noteTarget', 'prepNew'] }, { target: 'migrate_vma_abandon' }],
      },
    },
    migrate_vma_abandon: { description: 'No memory: the page stays', entry: 'callAbandon', on: { return: { target: 'mmap_read_unlock' } } },
    lock_page: { description: 'Locks it', entry: 'lockTarget', on: { locked: { target: 'locked_both' } } },
    locked_both: {
      description: 'Before the copy',
      always: [{ guard: 'invalidatesFirst', target: 'mutex_lock_to_unmap' }, { target: 'nouveau_dmem_migrate_copy_one' }],
    },
    mutex_lock_to_unmap: { description: "The driver's mutex", on: { step: { target: 'wait_to_unmap', actions: 'lockMutex' } } },
    wait_to_unmap: { description: 'Sleeps while another has it', on: { locked: { target: 'nouveau_svmm_invalidate' } } },
    nouveau_svmm_invalidate: {
      description: 'The device drops what it has mapped of the source',
      entry: 'unmap',
      on: { 'mmu.unmapped': { target: 'mutex_unlock_unmapped' } },
    },
    mutex_unlock_unmapped: { description: 'Drops the mutex', on: { step: { target: 'nouveau_dmem_migrate_copy_one', actions: 'unlockMutex' } } },
    nouveau_dmem_migrate_copy_one: {
      description: 'An engine of the device copies the page',
      on: { step: { actions: 'sample' }, 'memory.content': { target: 'migrate_vma_pages', actions: 'copyInto' } },
    },
    migrate_vma_pages: {
      description: 'Is the copy the page now? Both are locked still',
      entry: 'callPages',
      on: { return: [{ guard: 'ok', target: 'migrated', actions: 'noteMigrated' }, { target: 'migrated' }] },
    },
    migrated: {
      description: 'Before the pte leads to it: 6.12 does not wait for a fault of the device',
      always: [{ guard: 'maps', target: 'mutex_lock' }, { target: 'migrate_vma_finalize' }],
    },
    mutex_lock: { description: "The driver's mutex", on: { step: { target: 'wait_for_mutex', actions: 'lockMutex' } } },
    wait_for_mutex: { description: 'Sleeps while another has it', on: { locked: { target: 'nouveau_pfns_map' } } },
    nouveau_pfns_map: { description: "Writes the device's pte, with no look at the sequence", on: { step: { target: 'mutex_unlock', actions: 'map' } } },
    mutex_unlock: { description: 'Drops the mutex', on: { step: { target: 'migrate_vma_finalize', actions: 'unlockMutex' } } },
    migrate_vma_finalize: {
      description: 'The pte leads to the copy, or to the page as before',
      entry: 'callFinalize',
      on: { return: { target: 'mmap_read_unlock' } },
    },
    mmap_read_unlock: { description: 'Drops mmap_lock and returns', on: { step: { target: 'idle', actions: ['unlockMm', 'return', 'forget'] } } },
  },
});
