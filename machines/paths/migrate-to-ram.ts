import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { type PteReply, pageAt } from '../memory/address-space.js';

interface Input {
  mm: Address;
  ptl: Address;
  folioLocks: Record<string, Address>;
  /** migrate_vma_setup and what follows it. */
  migrateVma: Address;
  allocPages: Address;
  /** put_page of a page of the device, which goes back to its driver. */
  putDevicePage: Address;
  mutex: Address;
  mmu: Address;
}

interface Context extends Input {
  caller: Address;
  vpn: number;
  /** vmf->page: the page of the device. */
  pfn: number;
  /** What is migrated: that page, unless another has taken its place. */
  source: number;
  target: number;
}

type Event =
  | { type: 'step' }
  | Call<{ vpn: number; pfn: number }>
  | Return<{ pfn?: number | null; pfns?: number[]; ok?: boolean }>
  | Signed<PteReply>
  | Signed<{ type: 'locked' } | { type: 'mmu.unmapped' } | { type: 'memory.content'; value: string | null }>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', vpn: -1, pfn: -1, source: -1, target: -1 };

/**
 * A fault on a page that is in the memory of a device: do_swap_page, and the driver's nouveau_dmem_migrate_to_ram, which brings it
 * back (mm/memory.c, drivers/gpu/drm/nouveau/nouveau_dmem.c, 6.12). Called under mmap_lock with the page and the frame that
 * the entry names; returns `{ ok: true }`: migrated or not, the access is tried again. Of two faults at once each holds a
 * reference, and neither may migrate the page.
 */
export const migrateToRam = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    isUnchanged: ({ context, event }) => {
      const { pte } = received(event, 'pte');
      return pte.kind === 'devpriv' && pte.pfn === context.pfn;
    },
    foundPage: ({ event }) => received(event, 'return').pfn !== null,
    gotPage: ({ event }) => (received(event, 'return').pfns ?? []).length > 0,
    /** Safeguard: the device may store to what it has mapped, and its callback has let its own MIGRATE pass. */
    invalidatesFirst: () => true,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpn, pfn } = received(event, 'call');
      return { caller: from, vpn, pfn };
    }),
    lockPtl: tell(({ context }) => context.ptl, { type: 'lock' }),
    unlockPtl: tell(({ context }) => context.ptl, { type: 'unlock' }),
    readPte: tell(
      ({ context }) => context.mm,
      ({ context }) => ({ type: 'pte.read', vpn: context.vpn }),
    ),
    get: tell(({ context }) => pageAt(context.pfn), { type: 'folio.ref_inc' }),
    callSetup: tell(
      ({ context }) => context.migrateVma,
      ({ context }) => ({ type: 'call', phase: 'setup', vpn: context.vpn, select: 'device_private', faultPage: context.pfn }),
    ),
    noteSource: assign({ source: ({ event }) => received(event, 'return').pfn as number }),
    callAlloc: tell(({ context }) => context.allocPages, { type: 'call' }),
    noteTarget: assign({ target: ({ event }) => (received(event, 'return').pfns ?? [])[0] as number }),
    lockTarget: tell(({ context }) => context.folioLocks[context.target] as Address, { type: 'lock' }),
    lockMutex: tell(({ context }) => context.mutex, { type: 'lock' }),
    unlockMutex: tell(({ context }) => context.mutex, { type: 'unlock' }),
    unmap: tell(
      ({ context }) => context.mmu,
      ({ context }) => ({ type: 'mmu.unmap', vpns: [context.vpn] }),
    ),
    sample: tell(
      ({ context }) => pageAt(context.source),
      ({ context }) => ({ type: 'memory.read', sample: true, device: context.mmu }),
    ),
    copyInto: tell(
      ({ context }) => pageAt(context.target),
      ({ event }) => ({ type: 'memory.write', value: received(event, 'memory.content').value }),
    ),
    callPages: tell(
      ({ context }) => context.migrateVma,
      ({ context }) => ({ type: 'call', phase: 'pages', target: context.target }),
    ),
    callFinalize: tell(
      ({ context }) => context.migrateVma,
      ({ context }) => ({ type: 'call', phase: 'finalize', target: context.target === -1 ? null : context.target }),
    ),
    callPut: tell(
      ({ context }) => context.putDevicePage,
      ({ context }) => ({ type: 'call', pfn: context.pfn, pinned: false }),
    ),
    return: tell(({ context }) => context.caller, { type: 'return', ok: true }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'migrate_to_ram',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'do_swap_page', actions: 'remember' } } },
    do_swap_page: { description: 'Takes the page-table lock', on: { step: { target: 'spin_on_ptl', actions: 'lockPtl' } } },
    spin_on_ptl: { description: 'Spins while another has it', on: { locked: { target: 'pte_same' } } },
    pte_same: {
      description: 'Is the entry there still? Then its page is, and gets a reference',
      entry: 'readPte',
      on: {
        pte: [{ guard: 'isUnchanged', target: 'pte_unmap_unlock', actions: 'get' }, { target: 'pte_unmap_unlock_changed' }],
      },
    },
    pte_unmap_unlock_changed: {
      description: 'Somebody was faster: drops the lock',
      on: { step: { target: 'idle', actions: ['unlockPtl', 'return', 'forget'] } },
    },
    pte_unmap_unlock: { description: 'Drops the lock', on: { step: { target: 'migrate_vma_setup', actions: 'unlockPtl' } } },
    migrate_vma_setup: {
      description: 'Takes the page from the address space; one that is in use: not now',
      entry: 'callSetup',
      on: { return: [{ guard: 'foundPage', target: 'alloc_page_vma', actions: 'noteSource' }, { target: 'put_page' }] },
    },
    alloc_page_vma: {
      description: 'A page of the kernel; none: the page stays, and the fault comes again',
      entry: 'callAlloc',
      on: { return: [{ guard: 'gotPage', target: 'mutex_lock', actions: 'noteTarget' }, { target: 'migrate_vma_finalize' }] },
    },
    mutex_lock: { description: "The driver's mutex", on: { step: { target: 'wait_for_mutex', actions: 'lockMutex' } } },
    wait_for_mutex: {
      description: 'Sleeps while another has it',
      on: { locked: [{ guard: 'invalidatesFirst', target: 'nouveau_svmm_invalidate' }, { target: 'lock_page' }] },
    },
    nouveau_svmm_invalidate: { description: 'The device drops what it has mapped', entry: 'unmap', on: { 'mmu.unmapped': { target: 'lock_page' } } },
    lock_page: { description: 'Locks the target, which nobody else knows', entry: 'lockTarget', on: { locked: { target: 'nouveau_dmem_copy_one' } } },
    nouveau_dmem_copy_one: {
      description: 'An engine of the device copies the page',
      on: { step: { actions: 'sample' }, 'memory.content': { target: 'mutex_unlock', actions: 'copyInto' } },
    },
    mutex_unlock: { description: 'Drops the mutex', on: { step: { target: 'migrate_vma_pages', actions: 'unlockMutex' } } },
    migrate_vma_pages: { description: 'Is the copy the page now?', entry: 'callPages', on: { return: { target: 'migrate_vma_finalize' } } },
    migrate_vma_finalize: { description: 'The pte leads to the copy, or to the page as before', entry: 'callFinalize', on: { return: { target: 'put_page' } } },
    put_page: {
      description: "The fault's reference: the last one, if the page was migrated",
      entry: 'callPut',
      on: { return: { target: 'idle', actions: ['return', 'forget'] } },
    },
  },
});
