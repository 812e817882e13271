import type { PropertyVerdict } from '../check/check.js';
import type { Violation } from '../explore/explorer.js';
import { outOfReach } from '../property/property.js';
import type { JudgedLasso } from '../schedule/lasso.js';
import type { Replay } from '../schedule/replay.js';
import type { System } from '../system/system.js';
import { type ColumnsOptions, columns } from './columns.js';
import { fairnessReport, goesOn } from './lasso.js';

/** What was violated, as the explorer or a replay found it. */
export interface Found {
  property: string;
  message: string;
  /** Of an eventuality: how the schedule goes on for ever. */
  lasso?: JudgedLasso | null;
}

function goingOn(found: Found | Violation): string {
  if (!found.lasso) return '';
  return ` ${goesOn('schedule' in found ? found.schedule.length - found.lasso.stem : found.lasso.length)}`;
}

/** A violation in the words of a diagram's last line: `BUG: ...`, `deadlock: ...`, or another property's `name violated: description`. */
export function violationText(system: System, found: Found | Violation): string {
  const { property: name, message } = found;
  const property = system.properties.find((candidate) => candidate.name === name);
  if (property?.kind === 'deadlock') return message;
  if (property?.kind === 'eventuality' && message === property.description) return `${name} violated: ${message}${goingOn(found)}`;
  const says = property?.kind === 'invariant' ? property.description : property?.kind === 'possibility' ? outOfReach(property) : null;
  if (message === says) return `${name} violated: ${message}`;
  // The diagram shows which actor moved last; in the kernel's log the message stands alone.
  const entered = system.actors.find(({ address }) => message.startsWith(`${address}: `));
  const words = entered ? message.slice(entered.address.length + 2) : message;
  return /^(BUG|WARNING|WARN_ON)\b/.test(words) ? words : `BUG: ${words}`;
}

/** The lasso of what was found, if it is the end of the run: one may have gone on after it. */
export const lassoAt = ({ steps }: Pick<Replay, 'steps'>, found: Found | null): JudgedLasso | null =>
  found?.lasso && found.lasso.stem + found.lasso.length === steps.length ? found.lasso : null;

/** Why the lasso that was found is fair, in words; empty if none was. */
export function reportOf(replay: Replay, found: Found | null): string {
  const lasso = lassoAt(replay, found);
  if (!lasso || !found) return '';
  return fairnessReport({ system: replay.system, taken: replay.steps.map(({ choice }) => choice), description: found.message, lasso });
}

/** A run as CPU columns; where it ends with a loop, that is marked, and why it never has to end is said below. */
export function drawing(replay: Replay, found: Found | null, ending: string | null, options: ColumnsOptions = {}): string {
  const report = reportOf(replay, found);
  const diagram = columns(replay, ending, { ...options, loop: lassoAt(replay, found)?.stem ?? null });
  return report === '' ? diagram : `${diagram}\n\n${report}`;
}

/** A counterexample as {@link Found}. */
export const foundIn = ({ name, counterexample }: PropertyVerdict): Found => ({
  property: name,
  message: counterexample?.message ?? '',
  lasso: counterexample?.lasso ?? null,
});

/** A property's counterexample as a diagram with its last line; empty if there is none. */
export function diagram(property: PropertyVerdict): string {
  const { counterexample } = property;
  if (!counterexample) return '';
  const found = foundIn(property);
  return drawing(counterexample.replay, found, violationText(counterexample.replay.system, found));
}
