import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import type { DeviceAccessKind } from '../devices/secondary-mmu.js';

interface Input {
  /** The device's MMU, or the guest's. */
  mmu: Address;
  /** The driver's handlers: of a plain fault, and of one of an atomic; null: the device does no such access. */
  fault?: Address | null;
  atomicFault?: Address | null;
}

type Kind = 'read' | 'write' | 'atomic';

interface Context extends Required<Input> {
  caller: Address;
  vpn: number;
  kind: Kind;
  ok: boolean;
}

type Event =
  | { type: 'step' }
  | Call<{ vpn: number; kind: Kind }>
  | Return<{ ok: boolean }>
  | Signed<{ type: 'mmu.done'; vpn: number; value: string | null } | { type: 'mmu.fault'; vpn: number } | { type: 'mmu.busy' }>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', vpn: -1, kind: 'read' as Kind, ok: false };
const access = (kind: Exclude<DeviceAccessKind, 'read' | 'write'>) =>
  tell<{ type: string }>(
    ({ context }) => context.mmu,
    ({ context }) => ({ type: 'mmu.access', vpn: context.vpn, kind }),
  );

/**
 * An access of a thread of a device, or of a guest: through the secondary MMU, or after a fault that the driver handles (replay),
 * or given up when the driver cancels the fault. An atomic is three steps: load, compute, store. Called with the page and the kind
 * of access; returns `{ ok }`. Domain table, part 2, 0.1 (GPUg), 1e; invariant I5.
 */
export const deviceAccess = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    isAtomic: ({ event }) => received(event, 'call').kind === 'atomic',
    ok: ({ event }) => received(event, 'return').ok,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, vpn, kind } = received(event, 'call');
      return { caller: from, vpn, kind };
    }),
    access: tell(
      ({ context }) => context.mmu,
      ({ context }) => ({ type: 'mmu.access', vpn: context.vpn, kind: context.kind }),
    ),
    load: access('load'),
    store: access('store'),
    callFault: tell(
      ({ context }) => context.fault as Address,
      ({ context }) => ({ type: 'call', vpn: context.vpn, write: context.kind === 'write' }),
    ),
    callAtomicFault: tell(
      ({ context }) => context.atomicFault as Address,
      ({ context }) => ({ type: 'call', vpn: context.vpn }),
    ),
    succeed: assign({ ok: true }),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', ok: context.ok }),
    ),
    forget: assign(idle),
  },
}).createMachine({
  id: 'device_access',
  context: ({ input }) => ({ fault: null, atomicFault: null, ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: {
      tags: ['rest'],
      description: 'Not called',
      on: {
        call: [
          { guard: 'isAtomic', target: 'load', actions: 'remember' },
          { target: 'access', actions: 'remember' },
        ],
      },
    },
    access: {
      description: 'A load or store of the device, without a look at the page table of the CPU',
      on: {
        step: { actions: 'access' },
        'mmu.done': { target: 'idle', actions: ['succeed', 'return', 'forget'] },
        'mmu.fault': 'fault',
        'mmu.busy': { description: 'An atomic of this device is in flight there' },
      },
    },
    fault: {
      description: 'The driver maps the page, and the access is replayed; or it cancels the fault',
      entry: 'callFault',
      on: {
        return: [
          { guard: 'ok', target: 'access' },
          { target: 'idle', actions: ['return', 'forget'] },
        ],
      },
    },
    load: {
      description: 'The first of an atomic: reads the memory',
      on: {
        step: { actions: 'load' },
        'mmu.done': 'compute',
        'mmu.fault': 'atomic_fault',
        'mmu.busy': { description: 'Another atomic of this device is in flight' },
      },
    },
    atomic_fault: {
      description: 'The driver makes the page exclusive to the device and maps it; or it cancels the fault',
      entry: 'callAtomicFault',
      on: {
        return: [
          { guard: 'ok', target: 'load' },
          { target: 'idle', actions: ['return', 'forget'] },
        ],
      },
    },
    compute: { description: 'Nobody else may touch the memory now', on: { step: { target: 'store' } } },
    store: {
      description: 'The last of an atomic: writes the result, wherever the pte leads by now',
      on: { step: { actions: 'store' }, 'mmu.done': { target: 'idle', actions: ['succeed', 'return', 'forget'] } },
    },
  },
});
