import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AnyStateMachine } from 'xstate';
import * as library from '../../machines/index.js';
import { safeguards } from '../../machines/safeguards.js';
import { isMachine } from '../../src/system/logic.js';

const script = join(__dirname, '../../scripts/safeguards.mjs');

test("machines/safeguards.ts is what the machines' comments say", () => {
  expect(spawnSync(process.execPath, [script, '--check'], { encoding: 'utf8' })).toMatchObject({ status: 0, stderr: '' });
});

test('each is a guard or an action of a machine of the library', () => {
  const machines = (Object.values(library) as unknown[]).filter(
    (value): value is AnyStateMachine => typeof value === 'object' && value !== null && isMachine(value as never),
  );
  for (const [id, own] of Object.entries(safeguards)) {
    const { guards = {}, actions = {} } = machines.find((machine) => machine.id === id)?.implementations ?? {};
    const known = [...Object.keys(guards), ...Object.keys(actions)];
    expect([id, Object.keys(own).filter((name) => !known.includes(name))]).toEqual([id, []]);
  }
  expect(Object.values(safeguards).flatMap(Object.values)).not.toContain('');
});

describe('the script', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'safeguards-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const machine = (body: string, more = ''): void =>
    writeFileSync(
      join(folder, 'gate.ts'),
      `const shape = setup({ guards: {\n${body}\n } });\nexport const gate = shape.createMachine({ id: 'gate' });\nexport const door = shape.createMachine({ id: 'door' });\n${more}`,
    );
  const run = (...words: string[]) => spawnSync(process.execPath, [script, ...words, folder], { encoding: 'utf8' });
  const written = (): string => readFileSync(join(folder, 'safeguards.ts'), 'utf8');

  test('takes text and source of every form, for each machine of a setup', () => {
    machine(`
      /** Safeguard (row X1): nobody's late. */
      a: () => true,
      /** No safeguard, and no comment that begins so. */
      b: () => true,
      /**
       * Safeguard of two lines: the first: and the
       * second.
       */
      c: ({ event }) => event.type === 'x',
      /** Safeguard (row X2). */
      d() { return true; },`);
    expect(run().status).toBe(0);
    const own = `{\n    a: "nobody's late (row X1)",\n    c: 'of two lines: the first: and the second',\n    d: 'row X2',\n  },`;
    expect(written()).toContain(`= {\n  door: ${own}\n  gate: ${own}\n};\n`);
    expect(run('--check').status).toBe(0);
  });

  test('says when the file is out of date', () => {
    machine('/** Safeguard: one. */\na: () => true,');
    run();
    machine('/** Safeguard: another. */\na: () => true,');
    expect(run('--check')).toMatchObject({ status: 1, stderr: expect.stringContaining("is not what the machines' comments say") });
    expect(written()).toContain('one');
  });

  test.each([
    ['a comment over nothing of the setup', '/** Safeguard: lost. */\nconst: 1 };\nconst x = {', "'const', below a comment"],
    ['a comment without an end', '/** Safeguard: no full stop */\na: () => true,', 'is not of the form'],
  ])('refuses %s', (_, body, message) => {
    writeFileSync(join(folder, 'gate.ts'), `const x = { ${body} };\nsetup({ guards: { a: () => true } }).createMachine({ id: 'gate' });`);
    expect(run()).toMatchObject({ status: 1, stderr: expect.stringContaining(message) });
  });

  test('refuses two setups in a file with safeguards, and two machines of one name', () => {
    machine('/** Safeguard: one. */\na: () => true,', 'const other = setup({});');
    expect(run()).toMatchObject({ status: 1, stderr: expect.stringContaining('gate.ts has 2 setups') });
    machine('/** Safeguard: one. */\na: () => true,');
    execFileSync('cp', [join(folder, 'gate.ts'), join(folder, 'more.ts')]);
    expect(run()).toMatchObject({ status: 1, stderr: expect.stringContaining("two machines with safeguards have the id 'door'") });
  });
});
