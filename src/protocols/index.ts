import type { Protocol } from '../trace/protocol.js';
import { gupFast } from './gup-fast.js';
import { mmapLock } from './mmap-lock.js';
import { percpuRefs } from './percpu-ref.js';
import { shootdown } from './shootdown.js';

/** Every protocol that a log can be read against. */
export const protocols: readonly Protocol[] = [shootdown, gupFast, mmapLock, percpuRefs];

export { type Explored, exploreMoment, type MomentExploration } from './explore-moment.js';
export { type MomentSystem, momentSystem } from './moment.js';
export { gupFast, mmapLock, percpuRefs, shootdown };
