import type { PropertyVerdict } from '../check/check.js';
import { outOfReach } from '../property/property.js';
import type { System } from '../system/system.js';
import { columns } from './columns.js';

/** What was violated, as the explorer or a replay found it. */
export interface Found {
  property: string;
  message: string;
}

/** A violation in the words of a diagram's last line: `BUG: ...`, `deadlock: ...`, or an invariant's or a possibility's `name violated: description`. */
export function violationText(system: System, { property: name, message }: Found): string {
  const property = system.properties.find((candidate) => candidate.name === name);
  if (property?.kind === 'deadlock') return message;
  const says = property?.kind === 'invariant' ? property.description : property?.kind === 'possibility' ? outOfReach(property) : null;
  if (message === says) return `${name} violated: ${message}`;
  // The diagram shows which actor moved last; in the kernel's log the message stands alone.
  const entered = system.actors.find(({ address }) => message.startsWith(`${address}: `));
  const words = entered ? message.slice(entered.address.length + 2) : message;
  return /^(BUG|WARNING|WARN_ON)\b/.test(words) ? words : `BUG: ${words}`;
}

/** A property's counterexample as a diagram with its last line; empty if there is none. */
export const diagram = ({ name, counterexample }: PropertyVerdict): string =>
  counterexample ? columns(counterexample.replay, violationText(counterexample.replay.system, { property: name, message: counterexample.message })) : '';
