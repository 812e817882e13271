import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Scenario, Variant } from '../../src/scenarios/scenario.js';
import { drawn } from '../format/drawn.js';
import { call, timeless } from './call.js';
import { lockScenario, lockSystem } from './lock.js';

const [safe, broken] = lockScenario.variants as [Variant, Variant];
/** The scenario with other expectations of the broken lock. */
const expecting = (changes: Partial<Variant>): Scenario[] => [{ ...lockScenario, variants: [safe, { ...broken, ...changes }] }];

describe('the table', () => {
  test('has the question, a line for each variant, and a summary', async () => {
    const { code, out, err } = await call(['check']);
    expect(timeless(out)).toBe(
      `${drawn(`
        lock: Can both paths be in the critical section?
          safe    holds         as expected              8 states   0.00 s
          broken  violated      as expected             13 states   0.00 s  mutex violated in 4 steps

        2 checked: 2 as expected`)}\n`,
    );
    expect({ code, err }).toEqual({ code: 0, err: '' });
  });

  test('says what is unexpected, and why', async () => {
    const { code, out } = await call(['check'], {}, expecting({ expected: { mutex: 'holds' } }));
    expect(timeless(out)).toContain(
      '  broken  violated      UNEXPECTED              13 states   0.00 s  mutex violated in 4 steps, expected to hold\n\n2 checked: 1 as expected, 1 UNEXPECTED\n',
    );
    expect(code).toBe(1);
  });

  test('says what should have been violated and is not', async () => {
    const { code, out } = await call(['check', 'lock/safe'], {}, [{ ...lockScenario, variants: [{ ...safe, expected: { mutex: 'violated' } }] }]);
    expect(timeless(out)).toContain(
      '  safe  holds         UNEXPECTED               8 states   0.00 s  mutex holds, expected to be violated\n\n1 checked: 1 UNEXPECTED\n',
    );
    expect(code).toBe(1);
  });

  test('an open question is a finding, never a failure', async () => {
    const { code, out } = await call(['check', 'lock/broken'], {}, expecting({ expected: { mutex: null } }));
    expect(timeless(out)).toContain(
      '  broken  violated      open question           13 states   0.00 s  mutex violated in 4 steps\n\n1 checked: 1 open question\n',
    );
    expect(code).toBe(0);
  });

  test('a limit that was hit is inconclusive', async () => {
    const { code, out } = await call(['check', 'lock/safe', '--max-states', '2']);
    expect(timeless(out)).toContain('  safe  inconclusive  undecided                3 states   0.00 s  limit reached: 2 states\n\n1 checked: 1 inconclusive\n');
    expect(code).toBe(3);
  });

  test('an unexpected verdict outweighs an inconclusive one', async () => {
    const { code } = await call(['check', '--max-states', '13'], {}, [
      ...expecting({ expected: { mutex: 'holds' } }),
      { ...lockScenario, id: 'other', variants: [{ ...broken, expected: { deadlock: 'holds' } }] },
    ]);
    expect(code).toBe(1);
  });
});

test('--continue finds the shortest counterexample of each property', async () => {
  const { out } = await call(['check', 'lock/broken', '--continue']);
  expect(out).toContain('BUG violated in 6 steps; mutex violated in 4 steps\n');
});

test('--first prints the first counterexample in full', async () => {
  const { out } = await call(['check', '--first']);
  expect(timeless(out).split('2 as expected\n')[1]).toBe(
    drawn(`

      lock/broken: mutex is violated in 4 steps, and in no fewer

      CPU 0 (a)                              CPU 1 (b)
      -----------------------------------    -----------------------------------
      read_lock: word 0
                                             read_lock: word 0
      write_lock
                                             write_lock
      => mutex violated: one path at a time is in the critical section

      shootdown replay 'sd1:lock/broken,rounds=1~f754da1b~AAEAAQ~984f'`).concat('\n'),
  );
});

test('--verbose prints the receipt', async () => {
  const { out } = await call(['check', 'lock/safe', '--verbose']);
  expect(timeless(out).replace(/[\d,.]+ bytes a state/, 'N bytes a state')).toBe(
    `${drawn(`
      lock: Can both paths be in the critical section?
        safe  holds         as expected              8 states   0.00 s
            8 states, 10 transitions, depth 4, N bytes a state, every state seen
            XState asked 17 times; decision trees: 10 nodes, 6 leaves
            local states: lock 2, a 3, b 3
            properties (3)
              BUG (bug): holds, tested 10 times
              mutex (invariant): holds, tested 8 times
              deadlock (deadlock): holds, tested 8 times
            unreached (4)
              lock: free --read-->
              lock: free --set-->
              lock: held --read-->
              lock: held --set-->
            ignored messages (2)
              a: lock in xchg_lock
              b: lock in xchg_lock

      1 checked: 1 as expected`)}\n`,
  );
});

test('--json prints exactly the document of the contract', async () => {
  const { code, out, err } = await call(['check', '--json']);
  const document = JSON.parse(out);
  for (const result of document.results) {
    expect([result.seconds, result.bytesPerState].every((value) => value >= 0 && value === Number(value.toFixed(3)))).toBe(true);
    Object.assign(result, { seconds: 0, bytesPerState: 0 });
  }
  const property = (name: string, kind: string, verdict: string, expected: string | null, evaluations: number) => ({
    name,
    kind,
    verdict,
    expected,
    evaluations,
    counterexample: null,
  });
  expect(document).toEqual({
    format: 'shootdown.check/1',
    results: [
      {
        id: 'lock/safe',
        scenario: 'lock',
        variant: 'safe',
        row: 'L1',
        parameters: { how: 'exchange', rounds: 1 },
        verdict: 'holds',
        expected: 'holds',
        asExpected: true,
        properties: [
          property('BUG', 'bug', 'holds', 'holds', 10),
          property('mutex', 'invariant', 'holds', 'holds', 8),
          property('deadlock', 'deadlock', 'holds', 'holds', 8),
        ],
        states: 8,
        transitions: 10,
        depth: 4,
        seconds: 0,
        bytesPerState: 0,
        unreached: ['lock: free --read-->', 'lock: free --set-->', 'lock: held --read-->', 'lock: held --set-->'],
      },
      {
        id: 'lock/broken',
        scenario: 'lock',
        variant: 'broken',
        row: 'L2',
        parameters: { how: 'write', rounds: 1 },
        verdict: 'violated',
        expected: 'violated',
        asExpected: true,
        properties: [
          property('BUG', 'bug', 'inconclusive', null, 18),
          {
            ...property('mutex', 'invariant', 'violated', 'violated', 13),
            counterexample: { length: 4, loop: null, token: 'sd1:lock/broken,rounds=1~f754da1b~AAEAAQ~984f' },
          },
          property('deadlock', 'deadlock', 'inconclusive', null, 10),
        ],
        states: 13,
        transitions: 18,
        depth: 3,
        seconds: 0,
        bytesPerState: 0,
        unreached: ['lock: free --exchange-->', 'lock: held --exchange-->'],
      },
    ],
    summary: { checked: 2, asExpected: 2, unexpected: 0, inconclusive: 0 },
  });
  expect({ code, err }).toEqual({ code: 0, err: '' });
});

describe('parameters', () => {
  test('choose among the variants of a scenario; those left out are named', async () => {
    const { code, out, err } = await call(['check', 'lock', '--param', 'how=write', '--param', 'rounds=2', '--json']);
    expect(JSON.parse(out).results.map(({ id, parameters }: { id: string; parameters: object }) => [id, parameters])).toEqual([
      ['lock/broken', { how: 'write', rounds: 2 }],
    ]);
    expect({ code, err }).toEqual({ code: 0, err: 'shootdown: left out, since the parameters do not go with them: lock/safe\n' });
  });

  test('leave out variants that need more; named by itself, such a variant is refused', async () => {
    const needsTwo = {
      ...lockScenario,
      variants: lockScenario.variants.map((variant) => (variant.id === 'safe' ? { ...variant, least: { rounds: 2 } } : variant)),
    };
    const { code, err } = await call(['check', 'lock', '--param', 'rounds=1'], {}, [needsTwo]);
    expect({ code, err }).toEqual({ code: 0, err: 'shootdown: left out, since the parameters do not go with them: lock/safe\n' });
    expect(await call(['check', 'lock/safe', '--param', 'rounds=1'], {}, [needsTwo])).toEqual({
      code: 2,
      out: '',
      err: "shootdown: lock/safe: parameter 'rounds' is at least 2 in this variant, not '1'\n",
    });
    expect((await call(['list'], {}, [needsTwo])).out.replace(/\s+/g, ' ')).toContain('[how=exchange, rounds>=2]');
  });

  test('are part of the token', async () => {
    const { out } = await call(['check', 'lock/broken', '--param', 'rounds=3', '--json']);
    expect(out).toContain('"sd1:lock/broken,rounds=3~');
  });
});

test('what is named twice is checked once, in the order of naming', async () => {
  const { out } = await call(['check', 'lock/broken', 'lock', 'l*', 'lock/s?fe', '--json']);
  expect(JSON.parse(out).results.map(({ id }: { id: string }) => id)).toEqual(['lock/broken', 'lock/safe']);
});

test('colours on a terminal only, and not with NO_COLOR', async () => {
  const colour = '\u001b[';
  expect((await call(['check'], { stdoutIsTTY: true })).out).toContain(`${colour}32mholds`);
  expect((await call(['check'], { stdoutIsTTY: true, env: { NO_COLOR: '1' } })).out).not.toContain(colour);
  expect((await call(['check'])).out).not.toContain(colour);
});

describe('interrupted', () => {
  /** Aborts once the first verdict has been printed. */
  const interrupting = () => {
    const controller = new AbortController();
    let out = '';
    const stdout = (text: string): void => {
      out += text;
      if (text.includes('safe')) controller.abort();
    };
    return { io: { stdout, signal: controller.signal }, text: () => out };
  };

  test('it prints what it has, says how many variants are missing, and is inconclusive', async () => {
    const { io, text } = interrupting();
    expect(await call(['check'], io)).toEqual({ code: 3, out: '', err: 'shootdown: interrupted; 1 variant not checked\n' });
    expect(timeless(text()).split('\n').slice(1).join('\n')).toBe(
      '  safe    holds         as expected              8 states   0.00 s\n\n1 checked: 1 as expected, 1 not checked\n',
    );
  });

  test('as JSON, it prints the document of what it has', async () => {
    const controller = new AbortController();
    controller.abort();
    const { code, out, err } = await call(['check', '--json'], { signal: controller.signal });
    expect(JSON.parse(out)).toEqual({ format: 'shootdown.check/1', results: [], summary: { checked: 0, asExpected: 0, unexpected: 0, inconclusive: 0 } });
    expect({ code, err }).toEqual({ code: 3, err: 'shootdown: interrupted; 2 variants not checked\n' });
  });
});

describe('--junit', () => {
  const directory = mkdtempSync(join(tmpdir(), 'shootdown-'));
  const file = join(directory, 'results.xml');
  afterAll(() => rmSync(directory, { recursive: true }));

  test('replaces what is in the file, at the end', async () => {
    writeFileSync(file, 'what was there before, and is longer than nothing'.repeat(100));
    let then = '';
    const stdout = (): void => {
      then ||= readFileSync(file, 'utf8').slice(0, 8);
    };
    expect(await call(['check', '--junit', file], { stdout })).toMatchObject({ code: 0, err: '' });
    expect(then).toBe('what was');
    expect(readFileSync(file, 'utf8').replace(/time="[\d.]+"/g, 'time="0"')).toBe(
      `${drawn(`
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="shootdown" tests="2" failures="0" errors="0" skipped="0" time="0">
          <testsuite name="lock" tests="2" failures="0" errors="0" skipped="0" time="0">
            <testcase name="safe" classname="shootdown.lock" time="0"/>
            <testcase name="broken" classname="shootdown.lock" time="0"/>
          </testsuite>
        </testsuites>`)}\n`,
    );
  });

  test('on a full disk the results are printed all the same', async () => {
    const { code, out, err } = await call(['check', '--junit', '/dev/full']);
    expect(out).toContain('2 checked: 2 as expected\n');
    expect({ code, err }).toEqual({ code: 2, err: "shootdown: cannot write '/dev/full': no space left on device\n" });
  });

  test('is not touched when the call is wrong', async () => {
    const untouched = join(directory, 'untouched.xml');
    await call(['check', 'lok', '--junit', untouched]);
    expect(() => readFileSync(untouched)).toThrow('ENOENT');
  });
});

test('a model that turns out impure ends the run with one line; what was found before is printed', async () => {
  const impure = {
    ...broken,
    id: 'impure',
    system: () => {
      const system = lockSystem('lock/impure', true);
      return { ...system, limits: { ...system.limits, cascade: 1 } };
    },
  };
  const { code, out, err } = await call(['check'], {}, [{ ...lockScenario, variants: [safe, impure] }]);
  expect(out).toContain('1 checked: 1 as expected, 1 not checked\n');
  expect(code).toBe(2);
  expect(err).toMatch(/^shootdown: lock\/impure: a step does not end: .*\n$/);
});
