import { compoundPageScenario } from './compound-page.js';
import { deviceExclusiveScenario } from './device-exclusive.js';
import { gupUnbindScenario } from './gup-unbind.js';
import { lufScenario } from './luf.js';
import { lufFreeScenario } from './luf-free.js';
import { mmuNotifierScenario } from './mmu-notifier.js';
import { passdownMappingScenario } from './passdown-mapping.js';
import { percpuRefScenario } from './percpu-ref.js';
import type { Scenario } from './scenario.js';
import { tlbShootdownScenario } from './tlb-shootdown.js';
import { vmemmapScenario } from './vmemmap.js';
import { vmemmapPredicatesScenario } from './vmemmap-predicates.js';
import { writeProtectScenario } from './write-protect.js';

export { type CompoundPageSetup, compoundPageSystem, compoundReference } from './compound-page-system.js';
export { asOld, fixes as deviceExclusiveFixes } from './device-exclusive.js';
export { type GupUnbindSetup, gupUnbindSystem, reference } from './gup-unbind-system.js';
export { changedName, closingChanges, debugModes } from './luf.js';
export { freeSetup, grounds, rules as lufRuleSets } from './luf-free.js';
export { type DebugMode, type LufCall, type LufCell, type LufSetup, type LufThread, lufSystem, strictLuf } from './luf-system.js';
export { type Mirror, type MirrorCall, type MirrorSetup, type MirrorThread, mirror } from './mmu-notifier-setup.js';
export { mirrorSystem } from './mmu-notifier-system.js';
export { passdownGraphs, passdownLacks } from './passdown-mapping.js';
export { type PassdownSetup, passdownSystem, siteName } from './passdown-mapping-system.js';
export { type PercpuRefSetup, percpuRefSystem } from './percpu-ref.js';
export * from './scenario.js';
export { shootdownReference, type Thread, type TlbShootdownSetup, tlbShootdownSystem } from './tlb-shootdown-system.js';
export { type VmemmapPredicate, vmemmapPredicates } from './vmemmap-predicates.js';
export { type VmemmapSetup, type VmemmapWork, vmemmapReference, vmemmapSystem } from './vmemmap-system.js';
export { type ProtectCall, type ProtectCell, type ProtectDevice, type ProtectSetup, type ProtectThread, protection } from './write-protect-setup.js';
export { writeProtectSystem } from './write-protect-system.js';

/** Every scenario that is shipped. */
export const scenarios: readonly Scenario[] = [
  gupUnbindScenario,
  tlbShootdownScenario,
  percpuRefScenario,
  lufScenario,
  lufFreeScenario,
  mmuNotifierScenario,
  deviceExclusiveScenario,
  writeProtectScenario,
  passdownMappingScenario,
  compoundPageScenario,
  vmemmapScenario,
  vmemmapPredicatesScenario,
];
