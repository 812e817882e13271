/**
 * Property tests of systems with fast-check.
 *
 * ```js
 * import fc from 'fast-check';
 * import { holdsAlong, schedules } from 'shootdown/fast-check';
 *
 * fc.assert(fc.property(schedules(race), holdsAlong(race)));
 * ```
 *
 * @packageDocumentation
 */
export type { Checkable } from '../check/subject.js';
export { type AlongOptions, holdsAlong, ScheduleViolation, violates } from './holds-along.js';
export type { ScheduleKind, ScheduleOptions } from './options.js';
export { type ParameterValues, parametersOf } from './parameters.js';
export { type Programs, programs } from './programs.js';
export type { LufProgram } from './programs-luf.js';
export type { MmuNotifierProgram } from './programs-mmu-notifier.js';
export type { TlbShootdownProgram } from './programs-tlb-shootdown.js';
export type { WriteProtectProgram } from './programs-write-protect.js';
export { type Schedule, schedules } from './schedules.js';
