import type { Replay } from '../schedule/replay.js';
import { laneOf, type System } from '../system/system.js';
import type { AnySnapshot } from '../system/view.js';
import { actingBefore } from './before.js';
import { deedOf } from './doing.js';
import { type Handling, handlingsOf } from './handlings.js';
import { brief } from './text.js';

/** How many events of each host come before an event, itself included. */
type Clock = ReadonlyMap<string, number>;

/** A lane as ShiViz reads a host: one word, unlike any other's, and no name that every object of JavaScript has. */
function hostNames(system: System): Map<string, string> {
  const names = new Map<string, string>();
  const taken = new Set<string>();
  for (const lane of new Set(system.actors.map(laneOf))) {
    const word = lane.trim().replace(/[\s{}]+/g, '_');
    let name = word === '' || word in {} ? `${word}_` : word;
    for (let n = 2; taken.has(name); n++) name = `${word}_${n}`;
    taken.add(name);
    names.set(lane, name);
  }
  return names;
}

/** The log as it grows. */
class Log {
  readonly lines: string[] = [];
  private readonly now = new Map<string, Clock>();

  /** An event of a host, of which it may have been told by another event. */
  add(host: string, text: string, cause: Clock | null): Clock {
    const clock = new Map(this.now.get(host));
    for (const [other, time] of cause ?? []) clock.set(other, Math.max(time, clock.get(other) ?? 0));
    clock.set(host, (this.now.get(host)?.get(host) ?? 0) + 1);
    this.now.set(host, clock);
    this.lines.push(text.replace(/\s+/g, ' ').trim(), `${host} ${JSON.stringify(Object.fromEntries(clock))}`);
    return clock;
  }
}

/** A message as it arrives: `pte present, pfn 0, from memory`. */
function arrival({ event, cause }: Handling, others: readonly Handling[]): string {
  const says = brief(event);
  const { from = others[cause ?? 0]?.to } = event as { from?: string };
  return `${says === '' ? event.type : `${event.type} ${says}`}, from ${from}`;
}

/**
 * A schedule as a log for ShiViz, which its default parser reads (see `docs/formats.md`): lanes, and actors without one, are hosts; each step is an event,
 * and so is each message where it arrives, with the vector clock of those before it.
 * @param loop Steps before those that repeat for ever, if some do.
 */
export function shiviz(replay: Replay, ending: string | null, loop: number | null = null): string {
  const { system, steps } = replay;
  const names = hostNames(system);
  const hosts = new Map(system.actors.map((actor) => [actor.address, names.get(laneOf(actor)) as string]));
  const host = (address: string): string => hosts.get(address) as string;
  const log = new Log();
  const before = actingBefore(replay);
  for (const [at, handlings] of handlingsOf(replay).entries()) {
    const step = steps[at] as Replay['steps'][number];
    const clocks: Clock[] = [];
    for (const handling of handlings) {
      const says = handling.cause === null ? deedOf(step.choice, before[at] as AnySnapshot) : arrival(handling, handlings);
      const mark = at === loop && handling.cause === null ? ' (from here on, for ever)' : '';
      // ShiViz takes a line whose second word begins with a brace for a clock: the second word is a number.
      const text = `step ${step.number}, ${handling.to}: ${says}${mark}`;
      clocks.push(log.add(host(handling.to), text, handling.cause === null ? null : (clocks[handling.cause] as Clock)));
    }
  }
  const last = steps.at(-1)?.choice.actor ?? system.actors[0];
  if (ending !== null && last) log.add(host(last.address), `=> after step ${steps.length}: ${ending}`, null);
  return log.lines.join('\n');
}
