import type { Scenario } from '../../src/scenarios/scenario.js';
import { formatToken } from '../../src/schedule/token.js';
import { actor, type System } from '../../src/system/system.js';
import { drawn } from '../format/drawn.js';
import { machine } from '../systems/small.js';
import { scheduleOf, turns, waiting } from '../systems/waiting.js';
import { call, timeless } from './call.js';

const scenario: Scenario = {
  id: 'waiting',
  title: 'a wait',
  question: 'Does who waits go on?',
  parameters: {},
  variants: [
    { id: 'one', row: 'W1', summary: 'one user', source: 'any textbook', expected: { unbinds: 'holds' }, system: () => waiting(1, {}, 'waiting/one') },
    { id: 'two', row: 'W2', summary: 'two users', source: 'any textbook', expected: { unbinds: 'violated' }, system: () => waiting(2, {}, 'waiting/two') },
  ],
};
const surprising: Scenario = { ...scenario, variants: scenario.variants.map((variant) => ({ ...variant, expected: { unbinds: 'holds' as const } })) };

/** A path that waits for ever. */
const stuck = actor(
  machine({ id: 'stuck', initial: 'wait', states: { wait: { on: { step: { guard: () => false, target: 'end' } } }, end: { tags: ['rest'] } } }),
);

const system = waiting(2, {}, 'waiting/two');
const tokenOf = (of: System, ...names: string[]): string => formatToken({ name: of.id, parameters: {}, digest: of.digest, schedule: scheduleOf(of, ...names) });
const token = tokenOf(system, ...turns);
const diagram = drawn(`
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
     for ever)`);
const report = drawn(`
  The last 4 steps repeat for ever: after step 6 every actor is as it was
  after step 2, and 'an unbind that waits goes on' has not come. No one is
  held up by an unfair scheduler meanwhile. Of everything that can be bound
  to happen,
    gup0: step    happens in step 4
    gup1: step    happens in step 6
    unbind: step  cannot happen after step 2 (unbind waits in
                    'wait_for_zero')
  so nothing is owed, and the loop never has to end. What may happen and does
  not have to: gup1: again (step 3) and gup0: again (step 5).`);

describe('replay', () => {
  test('of a loop that violates an eventuality marks where it begins, and says why it never has to end', async () => {
    expect(await call(['replay', token], {}, [scenario])).toEqual({ code: 0, out: `${diagram}\n\n${report}\n`, err: '' });
    expect((await call(['replay', token], {}, [surprising])).code).toBe(1);
  });

  test('in other formats', async () => {
    const { out } = await call(['replay', token, '--format', 'steps,mermaid,json'], {}, [scenario]);
    const [steps = '', mermaid = '', json = ''] = out.split(/\n\n(?=sequenceDiagram|\{)/);
    expect(steps).toContain('\n---- from here on, for ever (steps 3 to 6) ---');
    expect(steps.endsWith(`(the last 4 steps repeat for ever)\n\n${report}`)).toBe(true);
    expect(mermaid).toContain('\n  loop for ever\n');
    expect(JSON.parse(json)).toMatchObject({ property: 'unbinds', loop: 2, cures: null, fairness: [{ why: 'disabled' }, { why: 'taken' }, { why: 'taken' }] });
  });

  test('of a schedule that does not close says what is open, and no more', async () => {
    const ending = async (...names: string[]): Promise<string> =>
      (await call(['replay', tokenOf(system, ...names)], {}, [surprising])).out.split('\n').at(-2) as string;
    expect(await ending(...turns.slice(0, 5))).toBe('=> nothing violated; not reached here: unbinds');
    expect(await ending('gup0 again', 'gup0')).toBe('=> nothing violated');
    expect(await ending('gup0 again', 'unbind', 'gup0')).toBe('=> nothing violated');
  });

  test('of one that goes on after a loop looks at its end only', async () => {
    const { out, code } = await call(['replay', tokenOf(system, ...turns, 'gup0')], {}, [surprising]);
    expect(out).not.toContain('for ever');
    expect(out).toContain('=> nothing violated\n');
    expect(code).toBe(0);
  });
});

describe('run', () => {
  test('of a recorded schedule finds the loop at its end', async () => {
    expect(await call(['run', 'waiting/two', '--schedule', token], {}, [scenario])).toEqual({
      code: 0,
      out: `${diagram}\n\n${report}\n\nshootdown replay '${token}'\n`,
      err: '',
    });
    const { out, code } = await call(['run', 'waiting/two', '--schedule', token, '--steps', '5'], {}, [surprising]);
    expect(out).toContain('=> nothing violated in 5 steps; not reached here: unbinds\n');
    expect(code).toBe(0);
  });

  test('that a scheduler ends in a loop says so, too', async () => {
    // In turn: unbind, both users take, both give back; the wait is over before it can go on for ever.
    expect((await call(['run', 'waiting/one', '--schedule', 'round-robin', '--steps', '40'], {}, [scenario])).out).toContain(
      '=> nothing violated in 40 steps\n',
    );
    const { out, code } = await call(['run', 'waiting/two', '--schedule', 'random:44', '--steps', '6'], {}, [surprising]);
    expect(out).toMatch(/\n---- from here on, for ever \(steps \d to 6\) -+\n/);
    expect(out).toMatch(
      /\n=> unbinds violated: an unbind that waits goes on \(the last \d steps repeat\n {3}for ever\)\n\nThe last \d steps repeat for ever: /,
    );
    expect(code).toBe(1);
  });
});

describe('show', () => {
  test('prints what the search found, with the assumptions that would help', async () => {
    const { code, out, err } = await call(['show', 'waiting/two'], {}, [scenario]);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(/\n---- from here on, for ever \(steps 3 to 6\) -+\n/);
    expect(out).toMatch(
      /With any one of these assumptions the property holds: if\n {2}- 'gup[01]: again' happens only so often,\n {2}- 'gup[01]: again' happens only so often\.\n$/,
    );
    const { out: document } = await call(['show', 'waiting/two', '--format', 'json'], {}, [scenario]);
    const { loop, cures, untried, token: found } = JSON.parse(document);
    expect([loop, cures.map(({ kind, actor }: { kind: string; actor: string }) => `${kind} ${actor}`), untried]).toEqual([
      2,
      ['finite gup0', 'finite gup1'],
      0,
    ]);
    // The replay of the token tells the same, but for what only the search knows.
    const told = (await call(['replay', found], {}, [scenario])).out.trimEnd();
    expect(out.startsWith(`${told}\n`)).toBe(true);
  });

  test('of the property asked for, whatever else is violated', async () => {
    const one = await call(['show', 'waiting/two', '--property', 'unbinds'], {}, [scenario]);
    expect(one).toEqual(await call(['show', 'waiting/two'], {}, [scenario]));
    expect(await call(['show', 'waiting/one', '--property', 'unbinds'], {}, [scenario])).toEqual({
      code: 0,
      out: expect.stringMatching(/^waiting\/one: unbinds holds: no counterexample in \d+ states, which are all\n$/),
      err: '',
    });
    // Interrupts that stay off for ever: the deadlock does not end the search for what was asked.
    const both: Scenario = {
      ...surprising,
      variants: surprising.variants.map((variant) => ({ ...variant, system: () => waiting(2, { stuck }, 'waiting/two') })),
    };
    const { code, out } = await call(['show', 'waiting/two', '--property', 'unbinds'], {}, [both]);
    expect([code, out.includes('=> unbinds violated: ')]).toEqual([1, true]);
  });
});

describe('check', () => {
  test('says in the table how the steps divide, and prints the lasso with --first', async () => {
    const { code, out } = await call(['check', '--first'], {}, [scenario]);
    expect(code).toBe(0);
    expect(timeless(out)).toMatch(/ {2}two +violated +as expected +\d+ states +0\.00 s {2}unbinds violated in 6 steps \(2, then 4 for ever\)\n/);
    expect(out).toContain('\nwaiting/two: unbinds is violated in 6 steps (2, then 4 for ever)\n\nCPU 0 (unbind) ');
    expect(out).toContain('\nThe last 4 steps repeat for ever: ');
    expect(out).toMatch(/happens only so often\.\n\nshootdown replay 'sd1:waiting\/two~[\w~-]+'\n$/);
  });

  test('--json has the steps before the loop', async () => {
    const { out } = await call(['check', '--json'], {}, [scenario]);
    const [one, two] = JSON.parse(out).results.map(({ properties }: { properties: { name: string }[] }) => properties.find(({ name }) => name === 'unbinds'));
    expect(one).toMatchObject({ kind: 'eventuality', verdict: 'holds', counterexample: null });
    expect(two).toMatchObject({
      kind: 'eventuality',
      verdict: 'violated',
      counterexample: { length: 6, loop: 2, token: expect.stringContaining('sd1:waiting/two~') },
    });
  });
});
