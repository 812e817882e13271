import { assign } from 'xstate';
import { cpu } from '../../machines/hardware/cpu.js';
import { addressSpace } from '../../machines/memory/address-space.js';

// Who tries again for ever flushes for ever. Without generations no request is skipped as done, and the states are finite.
export const mmWithoutGenerations: typeof addressSpace = addressSpace.provide({ actions: { nextGen: assign({}) } });
export const cpuWithoutGenerations: typeof cpu = cpu.provide({
  guards: { isUpToDate: () => false, isCurrent: () => false, mayFlushRange: ({ context }) => context.flush?.request.vpns !== 'all' },
});
