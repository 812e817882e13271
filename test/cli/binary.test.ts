import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';

/** The real program, as built by `npm test`: what only a process of its own can show. */
interface Run {
  code: number | null;
  out: string;
  err: string;
}

interface Options {
  /** Called with all output so far, whenever there is more. */
  watch?: (child: ReturnType<typeof spawn>, out: string) => void;
  stdout?: 'pipe' | number;
}

function shootdown(words: readonly string[], { watch, stdout = 'pipe' }: Options = {}): Promise<Run> {
  const child = spawn(process.execPath, ['bin/shootdown.js', ...words], { stdio: ['ignore', stdout, 'pipe'] });
  const run: Run = { code: null, out: '', err: '' };
  child.stdout?.on('data', (data) => {
    run.out += data;
    watch?.(child, run.out);
  });
  child.stderr?.on('data', (data) => (run.err += data));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ ...run, code }));
  });
}

const fixture = (name: string): string => `test/fixtures/${name}`;

test('an ES module with a system that is violated: 1, with its counterexample', async () => {
  const { code, out, err } = await shootdown(['check', fixture('flag.mjs'), '--first']);
  expect(out).toContain('alone violated in 4 steps\n\n1 checked: 1 violated\n');
  expect(out).toContain('raise\n                                       raise\n=> alone violated: at most one path is inside\n');
  expect({ code, err }).toEqual({ code: 1, err: '' });
});

test('a CommonJS module with a system that holds: 0', async () => {
  const { code, out, err } = await shootdown(['check', `./${fixture('common.cjs')}`]);
  expect(out).toMatch(/^\.\/test\/fixtures\/common\.cjs\n {2}counting {2}holds /);
  expect({ code, err }).toEqual({ code: 0, err: '' });
});

test('several systems, and a function that returns one', async () => {
  const { code, out } = await shootdown(['check', fixture('several.mjs'), fixture('factory.mjs')]);
  for (const name of ['flag/one', 'flag/two', 'flag/three', 'made']) expect(out).toContain(`\n  ${name} `);
  expect(out).toMatch(/4 checked: 4 hold\n$/);
  expect(code).toBe(0);
});

test('a limit: 3', async () => {
  const { code, out } = await shootdown(['check', `${fixture('endless.mjs')}#endless`, '--max-states', '10000']);
  expect(out).toContain('limit reached: 10000 states');
  expect(code).toBe(3);
});

test.each([
  [
    ['check', fixture('impure.mjs')],
    `${fixture('impure.mjs')}: machine 'logger' (actor 'logger'), state 'idle': action 'shout' is custom code, whose effects cannot be explored; use assign, sendTo, raise or enqueueActions, or let the outside world be a choice`,
  ],
  [['check', fixture('throws.mjs')], `importing '${fixture('throws.mjs')}' failed: TypeError: no such thing as this`],
  [['check', fixture('factory-throws.mjs')], `${fixture('factory-throws.mjs')}: its export 'makeSystem' was called for a system and threw: not today`],
  [['check', fixture('no-system.mjs')], `'${fixture('no-system.mjs')}' exports no system (export what defineSystem returns, or a function that returns it)`],
  [['check', fixture('twice.mjs')], `'${fixture('twice.mjs')}' exports two systems with the id 'same'; give each its own`],
  [['chek'], "unknown command 'chek'; did you mean 'check'?"],
])('%j: 2 and one line', async (words, line) => {
  expect(await shootdown(words)).toEqual({ code: 2, out: '', err: `shootdown: ${line}\n` });
});

const typescriptRuns = process.features as { typescript?: unknown };
(typescriptRuns.typescript ? test.skip : test)('TypeScript: 2 and one line', async () => {
  expect(await shootdown(['check', fixture('typed.ts')])).toEqual({
    code: 2,
    out: '',
    err: `shootdown: '${fixture('typed.ts')}' is TypeScript, which this Node.js cannot import; compile it, or run with a loader (NODE_OPTIONS='--import tsx')\n`,
  });
});

test('an impure machine found while exploring: what came before it is printed', async () => {
  const { code, out, err } = await shootdown(['check', fixture('impure-later.mjs')]);
  expect(out).toContain('\n1 checked: 1 holds, 1 not checked\n');
  expect(err).toMatch(/^shootdown: test\/fixtures\/impure-later\.mjs#second: machine 'dice' \(actor 'dice'\), state 'idle'.*\n$/);
  expect(code).toBe(2);
});

test('Ctrl-C: the results so far, what was interrupted, and how much is missing: 3', async () => {
  let interrupted = false;
  const watch = (child: ReturnType<typeof spawn>, out: string): void => {
    if (interrupted || !out.includes('  after ')) return;
    interrupted = true;
    setTimeout(() => child.kill('SIGINT'), 200);
  };
  const { code, out, err } = await shootdown(['check', fixture('endless.mjs')], { watch });
  expect(out).toMatch(/\n {2}after +holds .*\n {2}endless +inconclusive .* interrupted\n\n2 checked: 1 holds, 1 inconclusive, 1 not checked\n$/);
  expect({ code, err }).toEqual({ code: 3, err: 'shootdown: interrupted; 1 variant not checked\n' });
});

test('a reader that goes away is no error, and ends the work at the next thing to say', async () => {
  const watch = (child: ReturnType<typeof spawn>): void => void child.stdout?.destroy();
  const { code, err } = await shootdown(['check', fixture('endless.mjs'), '--max-seconds', '1'], { watch });
  expect({ code, err }).toEqual({ code: 3, err: '' });
});

test('a full disk under standard output: one line, 2', async () => {
  const full = openSync('/dev/full', 'w');
  const { code, err } = await shootdown(['check', fixture('flag.mjs')], { stdout: full });
  closeSync(full);
  expect({ code, err }).toEqual({ code: 2, err: 'shootdown: cannot write to standard output: no space left on device\n' });
});

test('is not kept waiting by what a module leaves open', async () => {
  expect((await shootdown(['check', fixture('leaves-timer.mjs')])).code).toBe(1);
}, 5000);
