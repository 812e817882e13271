import { lastValueFrom, type Observable, takeWhile, tap } from 'rxjs';
import type { AnyActorLogic } from 'xstate';
import { UsageError } from '../system/errors.js';
import type { Address } from '../system/message.js';
import type { AnySnapshot } from '../system/view.js';
import type { TraceEvent } from './event.js';
import type { TraceLine } from './parse.js';
import type { Operation, Protocol } from './protocol.js';
import { Validator } from './validator.js';

/** The actors of a moment, in one of the states that the lines before it allow. */
export type MomentState = Map<Address, { logic: AnyActorLogic; snapshot: AnySnapshot }>;

/** What a log shows around a line. */
export interface Moment {
  /** First and last line that count. */
  from: number;
  to: number;
  /** The states that are possible before the first. */
  states: MomentState[];
  /** What tasks do from there on, in the order of the log. */
  operations: { event: TraceEvent; operation: Operation }[];
}

/**
 * The moment around a line: so many lines before it and after it.
 * @throws {UsageError} when the log has no such line, or is rejected before it.
 */
export async function momentAround(
  lines: Observable<TraceLine[]>,
  protocols: readonly Protocol[],
  { line, around }: { line: number; around: number },
): Promise<Moment> {
  const [from, to] = [Math.max(line - around, 1), line + around];
  const operations: Moment['operations'] = [];
  const validator = new Validator(protocols, {
    watch: (event, operation) => {
      if (event.line >= from) operations.push({ event, operation });
    },
  });
  let states: MomentState[] | null = null;
  let last = 0;
  const reading = lines.pipe(
    tap((batch) => {
      for (const next of batch) {
        if (next.line > to || (validator.done && states)) return;
        if (next.line >= from) states ??= validator.states();
        validator.line(next);
        if (validator.done && !states) {
          const { verdict, rejection } = validator.result();
          throw new UsageError(`line ${line} cannot be reached: the log is ${verdict} at line ${rejection?.line ?? next.line}`);
        }
        last = next.line;
      }
    }),
    takeWhile((batch) => (batch.at(-1)?.line ?? 0) < to && !validator.done),
  );
  await lastValueFrom(reading, { defaultValue: null });
  if (!states || last < line) throw new UsageError(`there is no line ${line}: the log ends with line ${last}`);
  // Who joins later is there from the beginning.
  for (const [address, joined] of validator.actors()) for (const state of states as MomentState[]) if (!state.has(address)) state.set(address, joined);
  return { from, to: last, states, operations };
}
