import { gupUnbindScenario } from './gup-unbind.js';
import { percpuRefScenario } from './percpu-ref.js';
import type { Scenario } from './scenario.js';
import { tlbShootdownScenario } from './tlb-shootdown.js';

export { type GupUnbindSetup, gupUnbindSystem, reference } from './gup-unbind-system.js';
export { type PercpuRefSetup, percpuRefSystem } from './percpu-ref.js';
export * from './scenario.js';
export { shootdownReference, type Thread, type TlbShootdownSetup, tlbShootdownSystem } from './tlb-shootdown-system.js';

/** Every scenario that is shipped. */
export const scenarios: readonly Scenario[] = [gupUnbindScenario, tlbShootdownScenario, percpuRefScenario];
