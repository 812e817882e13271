import type { Subject } from '../check/check.js';
import { type Exploration, Explorer, type Violation } from '../explore/explorer.js';
import { judging } from '../property/judging.js';
import type { PropertyKind } from '../property/property.js';
import { type Confirmed, confirm } from '../schedule/replay.js';
import type { ViolateOptions } from './options.js';

/** The shortest counterexample of what was asked for, as it ran live. */
export interface Finding {
  violation: Violation;
  replay: Confirmed;
}

/** What a search for some properties of a system came to. */
export interface Search {
  exploration: Exploration;
  finding: Finding | null;
  /** Without a finding: `none` in all states; `longer`: none of so many steps; `limit`: undecided. */
  end: 'found' | 'none' | 'longer' | 'limit';
}

/** Found as soon as the states are, level by level; the others take all states. */
const inLevels: ReadonlySet<PropertyKind> = new Set(['bug', 'invariant', 'deadlock']);

/** Lets others run, whoever has replaced the timers; not so where there are no channels (jsdom). */
async function giveWay(): Promise<void> {
  if (typeof MessageChannel !== 'function') return;
  const { port1, port2 } = new MessageChannel();
  await new Promise<void>((resolve) => {
    port1.addEventListener('message', () => resolve());
    port1.start();
    port2.postMessage(null);
  });
  port1.close();
}

function shortest({ properties }: Exploration, names: readonly string[]): Violation | null {
  const found = properties.flatMap(({ name, violation }) => (violation && names.includes(name) ? [violation] : []));
  return found.sort((a, b) => a.schedule.length - b.schedule.length)[0] ?? null;
}

/** Explores until one of the properties is violated and no other can be in fewer steps, until there are only longer schedules than asked for, or to the end. */
async function explored(
  { system }: Pick<Subject, 'system'>,
  names: readonly string[],
  options: ViolateOptions,
): Promise<{ exploration: Exploration; beyond: boolean }> {
  const { within, signal, ...limits } = options;
  const bound = system.properties.every(({ name, kind }) => !names.includes(name) || inLevels.has(kind)) ? (within ?? Infinity) : Infinity;
  let explorer: Explorer | null = null;
  let foundAt = Infinity;
  const stop = (violated: ReadonlySet<string>): boolean => {
    if (names.some((name) => violated.has(name))) foundAt = Math.min(foundAt, explorer?.depth ?? 0);
    return names.every((name) => violated.has(name));
  };
  explorer = new Explorer(judging(system, names), { ...limits, stop });
  // What lies beyond a level that is being expanded is all there is of a greater length.
  const beyond = (): boolean => (explorer as Explorer).depth > bound;
  while (!explorer.finished && explorer.depth <= foundAt && !beyond()) {
    explorer.slice();
    if (signal?.aborted) explorer.interrupt('interrupted');
    else await giveWay();
  }
  return { exploration: explorer.result(), beyond: beyond() };
}

/** Searches a subject's system for a shortest violation of one of the properties named, and runs it live before it is believed. */
export async function search(subject: Pick<Subject, 'system'>, names: readonly string[], options: ViolateOptions): Promise<Search> {
  const { exploration, beyond } = await explored(subject, names, options);
  const violation = shortest(exploration, names);
  if (violation) return { exploration, finding: { violation, replay: confirm(subject.system, violation) }, end: 'found' };
  return { exploration, finding: null, end: exploration.exhausted ? 'none' : beyond ? 'longer' : 'limit' };
}
