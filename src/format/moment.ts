import type { LiveStep } from '../live/live.js';
import type { Explored, MomentExploration } from '../protocols/explore-moment.js';
import type { Planned } from '../protocols/logged-task.js';
import { type AnySnapshot, isMachineSnapshot, placeOf, rests } from '../system/view.js';
import type { Moment, MomentState } from '../trace/moment.js';
import { columns } from './columns.js';
import { count, inFull, plain, thousands } from './text.js';

export interface ExploredMoment extends MomentExploration {
  log: string;
  line: number;
  moment: Moment;
}

const width = 100;

/** Where the actors of a moment are: what each CPU has loaded, and who is in the middle of something. */
export interface Whereabouts {
  cpus: { cpu: number; loaded: string; lazy: boolean }[];
  underWay: { actor: string; place: string }[];
}

/** The actors of one state that is possible at a moment. */
export function whereabouts(state: MomentState | undefined): Whereabouts {
  const actors = [...(state ?? [])].sort(([one], [other]) => (one < other ? -1 : 1));
  return {
    cpus: actors.flatMap(([address, { snapshot }]) => {
      if (!address.startsWith('cpu')) return [];
      const { loadedMm, lazy } = snapshot.context as { loadedMm: string | null; lazy: boolean };
      return [{ cpu: Number(address.slice(3)), loaded: loadedMm ?? 'init_mm', lazy }];
    }),
    underWay: actors.flatMap(([actor, { snapshot }]) =>
      isMachineSnapshot(snapshot) && snapshot.machine.events.includes('step') && !rests(snapshot) ? [{ actor, place: placeOf(snapshot) }] : [],
    ),
  };
}

function operations({ operations: all }: Moment): string[] {
  return all.flatMap(({ event, operation }) => {
    const head = `    line ${event.line}  CPU ${event.cpu}  ${event.task}-${event.pid}  `;
    if (operation.kind === 'sends') return [`${head}${operation.to}: ${inFull(operation.event)}`];
    return operation.kind === 'requires' ? [`${head}${operation.property}: no TLB leads to page ${plain(operation.vpn)} of ${operation.mm}`] : [];
  });
}

/** What a task does, with the line that shows it. */
function nameOf({ choice }: LiveStep, { context }: AnySnapshot): string | null {
  const [first] = (context as { plan?: Planned[] } | undefined)?.plan ?? [];
  if (choice.event.type !== 'step' || !first || !('operation' in first)) return null;
  const { line, operation } = first;
  const what = operation.kind === 'sends' ? `${operation.to.split(':')[0]} ${operation.event.type}` : operation.property;
  return line === 0 ? what : `line ${line}: ${what}`;
}

const drawn = ({ description, counterexample }: Explored): string[] =>
  counterexample
    ? [
        '',
        `${description}, in ${count(counterexample.length, 'step')} and in no fewer:`,
        '',
        columns(counterexample.replay, null, { width, fold: false, name: nameOf }),
      ]
    : [];

const totals = (results: ExploredMoment['results']): { states: number; transitions: number } => ({
  states: results.reduce((sum, { exploration }) => sum + exploration.states, 0),
  transitions: results.reduce((sum, { exploration }) => sum + exploration.transitions, 0),
});

/** A moment, and what was found by exploring it, for people. */
export function momentText(found: ExploredMoment, verbose: boolean): string {
  const { log, line, moment, results, explored, exhausted } = found;
  const violated = explored.filter(({ isPossibility, counterexample }) => !isPossibility && counterexample);
  const possible = explored.filter(({ isPossibility, counterexample }) => isPossibility && counterexample);
  const impossible = explored.filter(({ isPossibility, counterexample }) => isPossibility && !counterexample);
  const { cpus, underWay } = whereabouts(moment.states[0]);
  const { states, transitions } = totals(results);
  const limit =
    results.find(({ exploration }) => exploration.limit !== null)?.exploration.limit ??
    `only ${results.length} of ${moment.states.length} possible states explored`;
  return [
    `${log}, lines ${thousands(moment.from)} to ${thousands(moment.to)}, around line ${thousands(line)}`,
    `  before them, ${count(moment.states.length, 'state')} possible${moment.states.length > 1 ? ', the first of them' : ''}:`,
    ...cpus.map(({ cpu, loaded, lazy }) => `    CPU ${cpu} has ${loaded} loaded${lazy ? ', lazily' : ''}`),
    ...underWay.map(({ actor, place }) => `    ${actor} is in '${place}'`),
    '  in them:',
    ...operations(moment),
    ...(results.length === 0
      ? []
      : [
          `  every other order of these: ${count(states, 'state')}, ${count(transitions, 'transition')}${exhausted ? '' : ` (inconclusive: ${limit})`}`,
          ...explored
            .filter(({ isPossibility }) => !isPossibility)
            .map(
              ({ name, description, counterexample }) => `    ${name} ${counterexample ? 'is violated' : exhausted ? 'holds' : 'not violated'}: ${description}`,
            ),
          ...(possible.length > 0 ? ['  what else could have happened:'] : []),
          ...possible.map(({ description, counterexample }) => `    ${description} (${count(counterexample?.length ?? 0, 'step')})`),
          ...(impossible.length > 0 ? [`  what ${exhausted ? 'could not have' : 'was not seen to'}:`] : []),
          ...impossible.map(({ description }) => `    ${description}`),
          ...(violated.length > 0 ? violated : verbose ? possible : possible.slice(0, 1)).flatMap(drawn),
        ]),
    '',
  ].join('\n');
}

/** The same for scripts: `shootdown.moment/1`. */
export function momentDocument({ log, line, moment, results, explored, exhausted }: ExploredMoment): unknown {
  return {
    format: 'shootdown.moment/1',
    log,
    line,
    from: moment.from,
    to: moment.to,
    possible: moment.states.length,
    operations: moment.operations.map(({ event, operation }) => ({ line: event.line, cpu: event.cpu, task: event.task, pid: event.pid, ...operation })),
    explored:
      results.length === 0
        ? null
        : {
            exhausted,
            ...totals(results),
            properties: explored.filter(({ isPossibility }) => !isPossibility).map(found),
            possibilities: explored.filter(({ isPossibility }) => isPossibility).map(found),
          },
  };
}

const found = ({ name, description, counterexample, isPossibility }: Explored): unknown => ({
  name,
  description,
  ...(isPossibility ? { possible: counterexample !== null } : { verdict: counterexample ? 'violated' : 'not violated' }),
  steps: counterexample?.length ?? null,
});
