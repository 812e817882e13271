import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatToken } from '../../src/schedule/token.js';
import { drawn } from '../format/drawn.js';
import { call } from './call.js';
import { lockScenario, lockSystem } from './lock.js';

const token = 'sd1:lock/broken,rounds=1~f754da1b~AAEAAQ~984f';
const diagram = `${drawn(`
  CPU 0 (a)                              CPU 1 (b)
  -----------------------------------    -----------------------------------
  read_lock: word 0
                                         read_lock: word 0
  write_lock
                                         write_lock
  => mutex violated: one path at a time is in the critical section`)}\n`;

describe('show', () => {
  test('prints the shortest counterexample as columns', async () => {
    expect(await call(['show', 'lock/broken'])).toEqual({ code: 0, out: diagram, err: '' });
  });

  test('in several formats, one below the other', async () => {
    const { out } = await call(['show', 'lock/broken', '--format', 'columns, steps,mermaid,json']);
    const blocks = out.split(/\n\n(?=CPU|1\. |sequenceDiagram|\{)/);
    expect(blocks.map((block) => block.split('\n')[0])).toEqual(['CPU 0 (a)                              CPU 1 (b)', '1. a: step', 'sequenceDiagram', '{']);
    expect(JSON.parse(blocks[3] as string)).toMatchObject({
      format: 'shootdown.schedule/1',
      id: 'lock/broken',
      parameters: { how: 'write', rounds: 1 },
      token,
      property: 'mutex',
      message: 'one path at a time is in the critical section',
    });
  });

  test('of the property asked for', async () => {
    const { code, out } = await call(['show', 'lock/broken', '--property', 'BUG']);
    expect(out.endsWith('critical\n                                       critical\n=> BUG: unlock of a lock that is not held\n')).toBe(true);
    expect(code).toBe(0);
  });

  test('says so when there is none', async () => {
    expect(await call(['show', 'lock/safe'])).toEqual({ code: 0, out: 'lock/safe holds: no counterexample in 8 states, which are all\n', err: '' });
    expect(await call(['show', 'lock/broken', '--property', 'deadlock'])).toEqual({
      code: 0,
      out: 'lock/broken: deadlock holds: no counterexample in 19 states, which are all\n',
      err: '',
    });
    expect(await call(['show', 'lock/safe', '--max-states', '2'])).toEqual({
      code: 3,
      out: 'lock/safe: no counterexample in 3 states, inconclusive (limit: 2 states)\n',
      err: '',
    });
  });

  test('exits with 1 when the counterexample is not one that is expected', async () => {
    const surprising = { ...lockScenario, variants: lockScenario.variants.map((variant) => ({ ...variant, expected: { mutex: 'holds' as const } })) };
    expect(await call(['show', 'lock/broken'], {}, [surprising])).toEqual({ code: 1, out: diagram, err: '' });
    expect((await call(['show', 'lock/broken', '--property', 'mutex'], {}, [surprising])).code).toBe(1);
  });
});

describe('run', () => {
  test('takes the choices in turn until something is violated', async () => {
    expect(await call(['run', 'lock/broken'])).toEqual({ code: 0, out: `${diagram}\nshootdown replay '${token}'\n`, err: '' });
  });

  test('at random, the same seed giving the same run', async () => {
    const run = await call(['run', 'lock/safe', '--schedule', 'random:7']);
    expect(run).toEqual(await call(['run', 'lock/safe', '--schedule', 'random:7']));
    expect(run).toEqual({
      code: 0,
      out: `${drawn(`
        CPU 0 (a)                              CPU 1 (b)
        -----------------------------------    -----------------------------------
        xchg_lock: word 0
        critical
                                               xchg_lock: word 0
                                               critical
        => nothing violated in 4 steps, after which nothing more can happen

        shootdown replay 'sd1:lock/safe,rounds=1~1e704507~AAABAQ~de82'`)}\n`,
      err: '',
    });
  });

  test('no further than told', async () => {
    expect((await call(['run', 'lock/broken', '--steps', '3'])).out).toContain('\nwrite_lock\n=> nothing violated in 3 steps\n');
    expect((await call(['run', 'lock/broken', '--steps', '2', '--schedule', token])).out).toContain('=> nothing violated in 2 steps\n');
  });

  test('a recorded schedule, of another variant too', async () => {
    expect((await call(['run', 'lock/broken', '--schedule', token])).out).toContain('=> mutex violated: one path');
    const { code, out, err } = await call(['run', 'lock/safe', '--schedule', token]);
    expect(out).toContain('=> nothing violated in 4 steps\n');
    expect({ code, err }).toEqual({ code: 0, err: '' });
  });

  test('one that does not fit is run as far as it does', async () => {
    const longer = formatToken({ name: 'lock/broken', parameters: {}, digest: '00000000', schedule: [0, 0, 0, 0] });
    const { code, out, err } = await call(['run', 'lock/safe', '--schedule', longer]);
    expect(out).toContain('xchg_lock: word 0\ncritical\n=> nothing violated in 2 steps\n');
    expect({ code, err }).toEqual({ code: 2, err: "shootdown: step 3: 'a: step' is not possible, a is in 'done'\n" });
  });

  test('exits with 1 when a property that is expected to hold is violated', async () => {
    const surprising = { ...lockScenario, variants: lockScenario.variants.map((variant) => ({ ...variant, expected: { mutex: 'holds' as const } })) };
    expect((await call(['run', 'lock/broken'], {}, [surprising])).code).toBe(1);
  });

  test('finds a deadlock at the end', async () => {
    // Without the step that leaves the critical section nobody can go on.
    const system = lockSystem('stuck', true);
    const stuck = { ...system, choices: system.choices.slice(0, 1) };
    const scenario = { ...lockScenario, variants: lockScenario.variants.slice(0, 1).map((variant) => ({ ...variant, system: () => stuck })) };
    const { code, out } = await call(['run', 'lock/safe'], {}, [scenario]);
    expect(out).toContain('xchg_lock: word 0\ncritical\n=> deadlock: b cannot go on\n');
    expect(code).toBe(1);
  });
});

describe('replay', () => {
  const directory = mkdtempSync(join(tmpdir(), 'shootdown-'));
  afterAll(() => rmSync(directory, { recursive: true }));
  const file = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  };

  test('a token', async () => {
    expect(await call(['replay', token])).toEqual({ code: 0, out: diagram, err: '' });
    expect((await call(['replay', token, '--format', 'steps'])).out).toMatch(/^1\. a: step\n {3}a -> lock: read\n/);
  });

  test('a file with a token, or with the document that show prints', async () => {
    expect(await call(['replay', file('token.txt', `${token}\n`)])).toEqual({ code: 0, out: diagram, err: '' });
    const { out: document } = await call(['show', 'lock/broken', '--format', 'json']);
    expect(await call(['replay', file('schedule.json', document)])).toEqual({ code: 0, out: diagram, err: '' });
    expect((await call(['replay', file('schedule.json', document), '--format', 'json'])).out).toBe(document);
  });

  test('a file with something else', async () => {
    const bad = file('bad.json', '{ "format": ');
    expect((await call(['replay', bad])).err).toMatch(/^shootdown: '.*bad\.json' is not valid JSON: .*\n$/);
  });

  test('notes that the model has changed, and runs it all the same', async () => {
    const old = formatToken({ name: 'lock/broken', parameters: {}, digest: '00000000', schedule: [0, 1, 0, 1] });
    expect(await call(['replay', old])).toEqual({
      code: 0,
      out: diagram,
      err: 'shootdown: lock/broken has changed since this schedule was recorded (model 00000000, now f754da1b); running it all the same\n',
    });
  });

  test('says at which step it does not fit any more, and prints the steps that do', async () => {
    const old = formatToken({ name: 'lock/broken', parameters: {}, digest: '00000000', schedule: [0, 1, 0, 0, 0, 0] });
    const { code, out, err } = await call(['replay', old]);
    expect(out).toBe(`${diagram.split('\n').slice(0, 5).join('\n')}\ncritical\n`);
    expect(code).toBe(2);
    expect(err.split('\n')[1]).toBe("shootdown: the schedule does not fit lock/broken any more: step 5: 'a: step' is not possible, a is in 'done'");
    const foreign = formatToken({ name: 'lock/safe', parameters: {}, digest: '1e704507', schedule: [7] });
    expect((await call(['replay', foreign])).err).toBe("shootdown: the schedule does not fit lock/safe: step 1: choice 7 is not one of this system's 2\n");
  });

  test('says where a violation was when the schedule goes on after it', async () => {
    const longer = formatToken({ name: 'lock/broken', parameters: {}, digest: 'f754da1b', schedule: [0, 1, 0, 1, 0] });
    expect((await call(['replay', longer])).out).toContain('\ncritical\n=> after step 4: mutex violated: one path at a time is in the critical\n   section\n');
    const shorter = formatToken({ name: 'lock/broken', parameters: {}, digest: 'f754da1b', schedule: [0, 1] });
    expect((await call(['replay', shorter])).out).toContain('=> nothing violated\n');
  });

  test('of what is not there', async () => {
    const gone = formatToken({ name: 'lock/gone', parameters: { rounds: '1' }, digest: '00000000', schedule: [0] });
    expect(await call(['replay', gone])).toEqual({ code: 2, out: '', err: "shootdown: scenario 'lock' has no variant 'gone'\n" });
  });
});
