import type { Protocol } from '../trace/protocol.js';
import { mmapLock } from './mmap-lock.js';
import { shootdown } from './shootdown.js';

/** Every protocol that a log can be read against. */
export const protocols: readonly Protocol[] = [mmapLock, shootdown];
