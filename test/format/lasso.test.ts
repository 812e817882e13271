import { check } from '../../src/check/check.js';
import { columns } from '../../src/format/columns.js';
import { scheduleDocument } from '../../src/format/json.js';
import { junit } from '../../src/format/junit.js';
import { assumptionText, curesText, fairnessReport, goesOn, lengthText, loopMark } from '../../src/format/lasso.js';
import { mermaid } from '../../src/format/mermaid.js';
import { receipt } from '../../src/format/receipt.js';
import { checkDocument } from '../../src/format/report.js';
import { steps } from '../../src/format/steps.js';
import { line } from '../../src/format/table.js';
import { diagram, drawing, type Found, foundIn, lassoAt, reportOf, violationText } from '../../src/format/violation.js';
import type { Assumption, CheckResult, Violation } from '../../src/index.js';
import { type Confirmed, confirm } from '../../src/schedule/replay.js';
import { actor, type System } from '../../src/system/system.js';
import { along, graph } from '../systems/marks.js';
import { machine } from '../systems/small.js';
import { bystanders, scheduleOf, turns, unbinds, waiting } from '../systems/waiting.js';
import { drawn } from './drawn.js';

const cure = (system: System, kind: Assumption['kind'], name: string): Assumption => ({ kind, choice: scheduleOf(system, name)[0] as number });

/** A violation as the search would hand it over, confirmed. */
function violated(
  system: System,
  schedule: readonly number[],
  stem: number,
  cures: readonly Assumption[] = [],
  untried = 0,
): { violation: Violation; replay: Confirmed; found: Found } {
  const property = system.properties.find(({ kind }) => kind === 'eventuality');
  if (!property) throw new Error('no eventuality');
  const violation: Violation = { property: property.name, schedule, message: property.description, lasso: { stem, cures, untried } };
  const replay = confirm(system, violation);
  return { violation, replay, found: { property: property.name, message: property.description, lasso: replay.lasso } };
}

const system = waiting(2);
const taking = violated(system, scheduleOf(system, ...turns), 2, [cure(system, 'finite', 'gup0 again'), cure(system, 'finite', 'gup1 again')]);
const crowd = waiting(2, bystanders);
const crowded = violated(crowd, scheduleOf(crowd, 'gup0 again', 'unbind', 'cpu0', 'gup1 again', 'gup0', 'gup0 again', 'cpu0', 'gup1'), 2);
/** The end of a path: nothing more happens. */
const stopped = graph({ s: { go: 't' }, t: {} }, { reach: ['s'] });
const staying = violated(stopped, along(stopped, 'go'), 1, [], 2);

test('a lasso as columns: the loop is marked, and why it is fair is said below', () => {
  const { replay, found } = taking;
  expect(drawing(replay, found, violationText(system, found))).toBe(
    drawn(`
      CPU 0 (unbind)           CPU 1 (gup)              CPU 2 (gup)
      -----------------------  -----------------------  -----------------------
                               again
      kill
      ---- from here on, for ever (steps 3 to 6) ------------------------------
                                                        again
                               put_page
                               again
                                                        put_page
      => unbinds violated: an unbind that waits goes on (the last 4 steps repeat
         for ever)

      The last 4 steps repeat for ever: after step 6 every actor is as it was
      after step 2, and 'an unbind that waits goes on' has not come. No one is
      held up by an unfair scheduler meanwhile. Of everything that can be bound
      to happen,
        gup0: step    happens in step 4
        gup1: step    happens in step 6
        unbind: step  cannot happen after step 2 (unbind waits in
                        'wait_for_zero')
      so nothing is owed, and the loop never has to end. What may happen and does
      not have to: gup1: again (step 3) and gup0: again (step 5).
      With any one of these assumptions the property holds: if
        - 'gup0: again' happens only so often,
        - 'gup1: again' happens only so often.`),
  );
});

test('reasons: what happens more than once, what is only idle, what has nothing to do', () => {
  expect(reportOf(crowded.replay, crowded.found)).toBe(
    drawn(`
      The last 6 steps repeat for ever: after step 8 every actor is as it was
      after step 2, and 'an unbind that waits goes on' has not come. No one is
      held up by an unfair scheduler meanwhile. Of everything that can be bound
      to happen,
        gup0: step       happens in step 5
        gup1: step       happens in step 8
        cpu0: step       happens in steps 3 and 7
        unbind: step     cannot happen after step 2 (unbind waits in
                           'wait_for_zero')
        cpu0: interrupt  cannot happen after step 3 (cpu0 is in 'irqs_off')
        poller: step     would change nothing after step 2 (poller is in 'poll')
        and 5 others, which have nothing to do
      so nothing is owed, and the loop never has to end. What may happen and does
      not have to: gup1: again (step 4) and gup0: again (step 6).
      No single assumption of this kind helps: that a choice is not put off for
      ever, or that one of the environment happens only so often.`),
  );
});

test('a run that stays where it is', () => {
  const { replay, found } = staying;
  expect(drawing(replay, found, violationText(stopped, found))).toBe(
    drawn(`
      a
      ---------------------------------------------------------------------------
      go
      => P violated: it comes (nothing more happens)

      After step 1 nothing that is bound to happen is left, and 'it comes' has
      not come. Of everything that can be bound to happen,
        a: go  cannot happen after step 1 (a is in 't')
      so nothing is owed, and the run may stay as it is.
      None of the assumptions tried makes the property hold. 2 assumptions were
      not tried: there are too many states to search again.`),
  );
});

test('nothing that anybody could be bound to', () => {
  const free = graph({ s: { go: 't' }, t: { back: 's' } }, { environment: ['go', 'back'] });
  const { replay, found } = violated(free, along(free, 'go', 'back'), 0, [{ kind: 'weak', choice: 0 }]);
  expect(reportOf(replay, found)).toBe(
    drawn(`
      The last 2 steps repeat for ever: after step 2 every actor is as it was at
      the start, and 'it comes' has not come. No one is held up by an unfair
      scheduler meanwhile. Nothing in this system is ever bound to happen, so
      nothing is owed, and the loop never has to end. What may happen and does
      not have to: a: go (step 1) and a: back (step 2).
      With one more assumption the property holds: if 'a: go' (environment) is
      not put off for ever.`),
  );
  const rested = waiting(0, {
    ...Object.fromEntries(Object.entries(bystanders).filter(([name]) => name.startsWith('done'))),
    lamp: actor(machine({ id: 'lamp', initial: 'off', states: { off: { on: { toggle: 'on' } }, on: { on: { toggle: 'off' } } } }), { environment: ['toggle'] }),
  });
  const always = {
    ...rested,
    properties: rested.properties.map((property) => (property.name === 'unbinds' ? { ...unbinds, when: () => true, reach: () => false } : property)),
  };
  const idle = violated(always, scheduleOf(always, 'unbind'), 1);
  expect(reportOf(idle.replay, idle.found).replace(/\s+/g, ' ')).toContain(
    'has not come. Nobody has anything to do that is bound to happen, so nothing is owed, and the run may stay as it is. No single',
  );
});

test('many choices of which the same is said share a line; many steps are counted', () => {
  const cpus = Object.fromEntries(
    [...Array(8).keys()].map((n) => [
      `cpu${n}`,
      actor(machine({ id: 'cpu', initial: 'irqs_on', states: { irqs_on: { on: { pend: 'pending' } }, pending: { on: { interrupt: 'irqs_on' } } } }), {
        choices: ['interrupt'],
      }),
    ]),
  );
  const clock = actor(
    machine({ id: 'clock', initial: 't0', states: Object.fromEntries([...Array(8).keys()].map((n) => [`t${n}`, { on: { tick: `t${(n + 1) % 8}` } }])) }),
    {
      choices: ['tick'],
    },
  );
  const many = waiting(0, { clock, ...cpus });
  const always = {
    ...many,
    properties: many.properties.map((property) => (property.name === 'unbinds' ? { ...unbinds, when: () => true, reach: () => false } : property)),
  };
  const { replay, found } = violated(always, scheduleOf(always, 'unbind', ...Array(8).fill('clock tick')), 1);
  expect(reportOf(replay, found).split('\n').slice(4)).toEqual([
    '  clock: tick                   happens in steps 2, 3, 4, 5, 6 and 3 more',
    '  cpu0, cpu1, cpu2, cpu3, cpu4  cannot happen after step 1 (they are in',
    "  and 3 more: interrupt           'irqs_on')",
    '  and unbind, which has nothing to do',
    'so nothing is owed, and the loop never has to end.',
    'No single assumption of this kind helps: that a choice is not put off for',
    'ever, or that one of the environment happens only so often.',
  ]);
});

test('no line of a report is wider than it may be', () => {
  for (const { replay, found } of [taking, crowded, staying])
    for (const width of [75, 50, 40]) {
      const lasso = lassoAt(replay, found);
      if (!lasso) throw new Error('no lasso');
      const report = fairnessReport({ system: replay.system, taken: replay.steps.map(({ choice }) => choice), description: found.message, lasso }, width);
      expect(Math.max(...report.split('\n').map(({ length }) => length))).toBeLessThanOrEqual(width);
      expect(report).not.toMatch(/ $/m);
    }
});

test('assumptions', () => {
  expect((['strong', 'weak', 'finite'] as const).map((kind) => assumptionText(system, cure(system, kind, 'gup0 again')))).toEqual([
    "'gup0: again', possible again and again, is not put off for ever (strong fairness)",
    "'gup0: again' (environment) is not put off for ever",
    "'gup0: again' happens only so often",
  ]);
  expect(curesText(system, { cures: null, untried: 0 })).toEqual([]);
  expect(curesText(system, { cures: [cure(system, 'weak', 'gup0 again')], untried: 1 }, 200)).toEqual([
    "With one more assumption the property holds: if 'gup0: again' (environment) is not put off for ever. 1 assumption was not tried: there are too many states to search again.",
  ]);
});

test('lengths', () => {
  expect([lengthText(12, null), lengthText(12, { stem: 8 }), lengthText(4, { stem: 0 }), lengthText(8, { stem: 8 })]).toEqual([
    '12 steps',
    '12 steps (8, then 4 for ever)',
    '4 steps (0, then 4 for ever)',
    '8 steps (after which nothing more happens)',
  ]);
  expect([0, 1, 2].map(goesOn)).toEqual(['(nothing more happens)', '(the last step repeats for ever)', '(the last 2 steps repeat for ever)']);
  expect(loopMark(3, 4, 50)).toBe('---- from here on, for ever (step 4) -------------');
});

describe('the mark of a loop', () => {
  const alone = machine({
    id: 'alone',
    initial: 's0',
    states: Object.fromEntries([...Array(12).keys()].map((n) => [`s${n}`, { on: { step: `s${n === 11 ? 6 : n + 1}` } }])),
  });
  const other = machine({ id: 'other', initial: 'end', states: { begin: {}, end: { on: { step: 'rest' } }, rest: { tags: ['rest'] } } });
  const lonely = waiting(0, { a: actor(alone, { lane: 'CPU 1 (a)' }), b: actor(other, { lane: 'CPU 2 (b)' }) });
  const always = {
    ...lonely,
    properties: lonely.properties.map((property) => (property.name === 'unbinds' ? { ...unbinds, when: () => true, reach: () => false } : property)),
  };
  const { replay } = violated(always, scheduleOf(always, 'unbind', 'b', ...Array(12).fill('a')), 8);

  test('is not folded away, nor what comes after it', () => {
    expect(columns(replay, null, { loop: 8 })).toBe(
      drawn(`
        CPU 0 (unbind)           CPU 1 (a)                CPU 2 (b)
        -----------------------  -----------------------  -----------------------
        kill: zero
                                                          end
                                 s0
                                 ... (4 steps)
                                 s5
        ---- from here on, for ever (steps 9 to 14) -----------------------------
                                 s6
                                 s7
                                 s8
                                 s9
                                 s10
                                 s11`),
    );
  });

  test('stands above the first step where all repeats, and nowhere where nothing does', () => {
    expect(columns(replay, null, { loop: 0 }).split('\n')[2]).toBe('---- from here on, for ever (steps 1 to 14) -----------------------------');
    for (const loop of [14, 15, null]) expect(columns(replay, null, { loop })).toBe(columns(replay, null));
    expect(columns(replay, null)).not.toContain('for ever');
  });
});

test('a list of steps has the mark, too', () => {
  const lines = steps(taking.replay, 'x', 2).split('\n');
  expect(lines.slice(6, 10)).toEqual([
    '   refs.waited: false -> true',
    '   unbind: kill -> wait_for_zero',
    '---- from here on, for ever (steps 3 to 6) --------------------------------',
    '3. gup1: again',
  ]);
  expect(steps(staying.replay, null, 1)).not.toContain('for ever');
});

test('Mermaid has a loop', () => {
  const { replay, found } = taking;
  expect(mermaid(replay, violationText(system, found), 2)).toBe(
    drawn(`
      sequenceDiagram
        participant a0 as refs
        participant a1 as unbind<br/>CPU 0 (unbind)
        participant a2 as gup0<br/>CPU 1 (gup)
        participant a3 as gup1<br/>CPU 2 (gup)
        Note over a2: 1. again
        a2->>a0: get
        Note over a1: 2. kill
        a1->>a0: wait
        loop for ever
          Note over a3: 3. again
          a3->>a0: get
          Note over a2: 4. put_page
          a2->>a0: put
          Note over a2: 5. again
          a2->>a0: get
          Note over a3: 6. put_page
          a3->>a0: put
        end
        Note over a0,a3: unbinds violated: an unbind that waits goes on (the last 4 steps repeat for ever)`),
  );
  expect(mermaid(staying.replay, null, 1)).not.toContain('loop');
});

test('the document of a lasso', () => {
  const head = { id: 'w', parameters: {}, token: 'sd1:x' };
  const { steps: list, ...document } = scheduleDocument(crowded.replay, { ...head, found: crowded.found });
  expect(document).toMatchObject({ property: 'unbinds', message: unbinds.description, loop: 2, cures: [], untried: 0 });
  expect(list).toHaveLength(8);
  expect(document.fairness?.slice(0, 6)).toEqual([
    { actor: 'unbind', choice: 0, event: { type: 'step' }, why: 'disabled', after: 2, place: 'wait_for_zero' },
    { actor: 'gup0', choice: 1, event: { type: 'step' }, why: 'taken', steps: [5] },
    { actor: 'gup1', choice: 3, event: { type: 'step' }, why: 'taken', steps: [8] },
    { actor: 'poller', choice: 5, event: { type: 'step' }, why: 'idle', after: 2, place: 'poll' },
    { actor: 'cpu0', choice: 6, event: { type: 'step' }, why: 'taken', steps: [3, 7] },
    { actor: 'cpu0', choice: 7, event: { type: 'interrupt' }, why: 'disabled', after: 3, place: 'irqs_off' },
  ]);
  expect(scheduleDocument(taking.replay, { ...head, found: taking.found }).cures).toEqual([
    { kind: 'finite', actor: 'gup0', choice: 2, event: { type: 'again' } },
    { kind: 'finite', actor: 'gup1', choice: 4, event: { type: 'again' } },
  ]);
  expect(scheduleDocument(staying.replay, { ...head, found: staying.found })).toMatchObject({ loop: 1, untried: 2 });
  const { lasso } = taking.found;
  const replayed = scheduleDocument(taking.replay, { ...head, found: { ...taking.found, lasso: lasso ? { ...lasso, cures: null } : null } });
  expect(replayed).toMatchObject({ loop: 2, cures: null, untried: null });
});

describe('a violation in words', () => {
  test('of the search and of a live run', () => {
    const text = 'unbinds violated: an unbind that waits goes on (the last 4 steps repeat for ever)';
    expect(violationText(system, taking.violation)).toBe(text);
    expect(violationText(system, taking.found)).toBe(text);
    expect(violationText(stopped, staying.violation)).toBe('P violated: it comes (nothing more happens)');
    expect(violationText(system, { property: 'unbinds', message: unbinds.description })).toBe('unbinds violated: an unbind that waits goes on');
    expect(violationText(system, { property: 'unbinds', message: 'unbind: lost', lasso: null })).toBe('BUG: lost');
  });

  test('with steps after the loop, says nothing of it in the diagram', () => {
    const { replay, found } = taking;
    const longer = { ...replay, steps: [...replay.steps, ...replay.steps.slice(0, 1)] };
    expect(lassoAt(longer, found)).toBeNull();
    expect(drawing(longer, found, null)).toBe(columns(longer, null));
  });
});

/** The result of a check that found the violation. */
async function resultWith({ violation, replay }: typeof taking): Promise<CheckResult> {
  const result = await check({ ...replay.system, properties: replay.system.properties.filter(({ kind }) => kind !== 'eventuality') });
  const { name, kind, description } = replay.system.properties.find(({ name: each }) => each === violation.property) as (typeof system.properties)[number];
  const counterexample = { length: violation.schedule.length, token: 'sd1:x', message: violation.message, lasso: replay.lasso, replay };
  return {
    ...result,
    verdict: 'violated',
    properties: [{ name, kind, description, verdict: 'violated', expected: null, evaluations: 3, counterexample }],
  };
}

test('tables, receipts, documents and JUnit say how the steps divide', async () => {
  const result = await resultWith(taking);
  const how = 'unbinds violated in 6 steps (2, then 4 for ever)';
  expect(line(result, 'x', 1)).toContain(`  ${how}`);
  expect(receipt(result)).toContain('unbinds (eventuality): violated in 6 steps (2, then 4 for ever), tested 3 times');
  expect(checkDocument([result]).results[0]?.properties[0]?.counterexample).toEqual({ length: 6, loop: 2, token: 'sd1:x' });
  const xml = junit([result]);
  expect(xml).toContain('<failure message="violated, expected: holds (unbinds in 6 steps (2, then 4 for ever))" type="violated">');
  expect(xml).toContain('---- from here on, for ever (steps 3 to 6) ----');
  expect(xml).toContain('so nothing is owed, and the loop never has to end.');
  const [property] = result.properties;
  expect(property && diagram(property)).toBe(drawing(taking.replay, taking.found, violationText(system, taking.found)));
  expect(property && foundIn(property)).toEqual(taking.found);
  const still = await resultWith(staying);
  expect(line(still, 'x', 1)).toContain('  P violated in 1 step (after which nothing more happens)');
  expect(checkDocument([still]).results[0]?.properties[0]?.counterexample).toEqual({ length: 1, loop: 1, token: 'sd1:x' });
});
