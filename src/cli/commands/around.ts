import type { Observable } from 'rxjs';
import { type CheckResult, check, type PropertyVerdict } from '../../check/check.js';
import { type Explored, momentDocument, momentText } from '../../format/moment.js';
import { momentSystem } from '../../protocols/moment.js';
import { momentAround } from '../../trace/moment.js';
import type { TraceLine } from '../../trace/parse.js';
import type { Protocol } from '../../trace/protocol.js';
import type { Context } from '../context.js';
import { exitCodes } from '../failure.js';
import type { LimitOptions } from '../options.js';
import { Progress } from '../progress.js';
import { limitsOf } from './check.js';

export interface AroundFlags extends LimitOptions {
  around: number;
  lines?: number;
  explore?: boolean;
  json?: boolean;
  verbose?: boolean;
}

const linesAround = 20;
/** More possible states are not explored one by one. */
const mostStates = 8;

const shortest = (results: readonly CheckResult[], name: string): { result: CheckResult; property: PropertyVerdict } | null =>
  results
    .flatMap((result) => result.properties.flatMap((property) => (property.name === name && property.counterexample ? [{ result, property }] : [])))
    .sort((a, b) => (a.property.counterexample?.length ?? 0) - (b.property.counterexample?.length ?? 0))[0] ?? null;

/** `trace --around`: what a log shows around a line, and what else could have happened there. */
export async function around(
  { io }: Context,
  log: string,
  lines: Observable<TraceLine[]>,
  protocols: readonly Protocol[],
  flags: AroundFlags,
): Promise<number> {
  const moment = await momentAround(lines, protocols, { line: flags.around, around: flags.lines ?? linesAround });
  const descriptions = Object.assign({}, ...protocols.map(({ properties }) => properties));
  const systems = moment.states.slice(0, mostStates).map((state) => momentSystem(moment, state, descriptions));
  const results: CheckResult[] = [];
  if (flags.explore) {
    const progress = new Progress(io, `${log}, around line ${flags.around}`);
    try {
      for (const { system } of systems) results.push(await check(system, { ...limitsOf(flags), all: true, signal: io.signal, progress: progress.tell }));
    } finally {
      progress.end();
    }
  }
  const says = new Map(systems.flatMap(({ possibilities }) => possibilities.map(({ property, says: text }) => [property, text] as const)));
  const names = [...new Set(results.flatMap(({ properties }) => properties.map(({ name }) => name)))];
  const explored: Explored[] = names.map((name) => {
    const found = shortest(results, name);
    const description = results.flatMap(({ properties }) => properties).find((property) => property.name === name)?.description ?? name;
    return { name, description: says.get(name) ?? description, isPossibility: says.has(name), counterexample: found?.property.counterexample ?? null };
  });
  const exhausted = results.every(({ exploration }) => exploration.exhausted) && systems.length === moment.states.length;
  const found = { log, line: flags.around, moment, results, explored, exhausted };
  if (flags.json) io.stdout(`${JSON.stringify(momentDocument(found), null, 2)}\n`);
  else io.stdout(momentText(found, flags.verbose === true));
  if (explored.some(({ isPossibility, counterexample }) => !isPossibility && counterexample)) return exitCodes.unexpected;
  return exhausted ? exitCodes.asExpected : exitCodes.inconclusive;
}
