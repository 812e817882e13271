import { Explorer } from '../src/explore/explorer.js';
import { curesText, lengthText } from '../src/format/lasso.js';
import { type Distance, distanceBy } from '../src/inspect/distance.js';
import { Walk } from '../src/inspect/walk.js';
import { messageOf } from '../src/system/errors.js';
import { found } from './store.js';

/** What the page asks of the explorer. */
export type Request = { id: string; parameters: Readonly<Record<string, string | number>> } & (
  | { kind: 'find'; maxStates: number }
  | { kind: 'distances'; schedule: readonly number[]; choices: readonly number[] }
);

/** A violation, with what the page says of its loop if it is an eventuality's. */
export interface FoundViolation {
  property: string;
  message: string;
  schedule: readonly number[];
  length: string;
  cures: string[];
}

export type Answer =
  | { kind: 'progress'; states: number; depth: number }
  | { kind: 'found'; exhausted: boolean; states: number; seconds: number; violations: FoundViolation[] }
  | { kind: 'distance'; choice: number; distance: Distance }
  | { kind: 'done' }
  | { kind: 'failed'; message: string };

/** The page breaks lines itself. */
const unbroken = 10_000;

const post = (answer: Answer): void => postMessage(answer);
const perChoice = { maxStates: 200_000, maxSeconds: 4 };

function find(request: Extract<Request, { kind: 'find' }>): void {
  const { system } = found(request.id, request.parameters);
  const explorer = new Explorer(system, { maxStates: request.maxStates, stop: () => false });
  let told = performance.now();
  while (!explorer.finished) {
    explorer.slice();
    if (performance.now() - told < 200) continue;
    told = performance.now();
    post({ kind: 'progress', states: explorer.states, depth: explorer.depth });
  }
  const { exhausted, states, seconds, properties } = explorer.result();
  const violations = properties.flatMap(({ name, violation }): FoundViolation[] => {
    if (!violation) return [];
    const { message, schedule, lasso } = violation;
    return [{ property: name, message, schedule, length: lengthText(schedule.length, lasso), cures: lasso ? curesText(system, lasso, unbroken) : [] }];
  });
  post({ kind: 'found', exhausted, states, seconds, violations: violations.sort((a, b) => a.schedule.length - b.schedule.length) });
}

function distances({ id, parameters, schedule, choices }: Extract<Request, { kind: 'distances' }>): void {
  const { system } = found(id, parameters);
  const walk = new Walk(system);
  walk.load(schedule);
  for (const index of choices) {
    const choice = system.choices[index];
    if (choice) post({ kind: 'distance', choice: index, distance: distanceBy(walk, choice, schedule.length, perChoice) });
  }
  post({ kind: 'done' });
}

addEventListener('message', ({ data }: MessageEvent<Request>) => {
  try {
    if (data.kind === 'find') find(data);
    else distances(data);
  } catch (error) {
    post({ kind: 'failed', message: messageOf(error) });
  }
});
