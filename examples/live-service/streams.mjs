import { concatMap, map, merge, Observable, range, scan, share, take, takeUntil } from 'rxjs';
import { formatToken, LiveSystem, randomChoices } from 'shootdown';

/** What the live system violates as it stands: BUG states entered in the last step, and invariants. A BUG state may say by its tags which property it breaks. */
function violatedNow({ properties }, live) {
  const named = (tags) => properties.flatMap(({ name }) => (name !== 'BUG' && tags.includes(name) ? [name] : []));
  const bugs = live.bugs().map(({ tags, description }) => ({ property: named(tags)[0] ?? 'BUG', message: description }));
  const broken = properties.filter(({ kind, actors, when, holds }) => {
    if (kind !== 'invariant') return false;
    const snapshots = Object.fromEntries(actors.map((address) => [address, live.snapshot(address)]));
    return (when?.(snapshots) ?? true) && !holds(snapshots);
  });
  return [...bugs, ...broken.map(({ name, description }) => ({ property: name, message: description }))];
}

/**
 * One run of the system, live, under a scheduler that takes any enabled choice: a record for each message, and one for the first violation,
 * which ends it. The same seed gives the same records.
 */
export const run = (system, seed, steps) =>
  new Observable((subscriber) => {
    const live = new LiveSystem(system);
    const messages = live.messages.pipe(map(({ step, from, to, event }) => ({ kind: 'message', seed, step, from, to, type: event.type })));
    const violations = live.steps.pipe(
      scan((schedule, { choice }) => [...schedule, choice.index], []),
      concatMap((schedule) =>
        violatedNow(system, live).map((violated) => {
          const token = formatToken({ name: system.id, parameters: {}, digest: system.digest, schedule });
          return { kind: 'violation', seed, step: schedule.length, ...violated, token };
        }),
      ),
      take(1),
      share(),
    );
    const subscription = merge(messages, violations).subscribe(subscriber);
    live.run(randomChoices(live, seed, steps).pipe(takeUntil(violations)));
    live.stop();
    return subscription;
  });

/** The violations of many runs, seed after seed. */
export const violations = (system, runs, steps) =>
  range(1, runs).pipe(
    concatMap((seed) => run(system, seed, steps)),
    concatMap((record) => (record.kind === 'violation' ? [record] : [])),
  );
