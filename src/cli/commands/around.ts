import type { Observable } from 'rxjs';
import { momentDocument, momentText } from '../../format/moment.js';
import { exploreMoment, type MomentExploration } from '../../protocols/explore-moment.js';
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
const notExplored: MomentExploration = { results: [], explored: [], exhausted: true };

/** `trace --around`: what a log shows around a line, and what else could have happened there. */
export async function around(
  { io }: Context,
  log: string,
  lines: Observable<TraceLine[]>,
  protocols: readonly Protocol[],
  flags: AroundFlags,
): Promise<number> {
  const moment = await momentAround(lines, protocols, { line: flags.around, around: flags.lines ?? linesAround });
  const progress = new Progress(io, `${log}, around line ${flags.around}`);
  const options = { ...limitsOf(flags), signal: io.signal, progress: progress.tell };
  const exploration = flags.explore ? await exploreMoment(moment, protocols, options).finally(() => progress.end()) : notExplored;
  const found = { log, line: flags.around, moment, ...exploration };
  if (flags.json) io.stdout(`${JSON.stringify(momentDocument(found), null, 2)}\n`);
  else io.stdout(momentText(found, flags.verbose === true));
  if (exploration.explored.some(({ isPossibility, counterexample }) => !isPossibility && counterexample)) return exitCodes.unexpected;
  return exploration.exhausted ? exitCodes.asExpected : exitCodes.inconclusive;
}
