import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What SPIN is made of and is not here; null when all is. */
export function missingForSpin(): string | null {
  for (const [command, option] of [
    ['spin', '-V'],
    ['gcc', '--version'],
  ] as const)
    try {
      execFileSync(command, [option], { stdio: 'ignore' });
    } catch {
      return command;
    }
  return null;
}

/** What SPIN finds: distinct states if it is not to stop at what is violated, else whether something is, and the schedule to it. */
export interface Spun {
  states: number;
  errors: number;
  schedule: string[];
}

export function spin(model: string, options: readonly string[]): Spun {
  const place = mkdtempSync(join(tmpdir(), 'shootdown-spin-'));
  const run = (command: string, args: readonly string[]): string =>
    execFileSync(command, args, { cwd: place, encoding: 'utf8', stdio: 'pipe', maxBuffer: 2 ** 26 });
  try {
    writeFileSync(join(place, 'model.pml'), model);
    // SPIN says there what it does not understand.
    expect(run('spin', ['-a', 'model.pml'])).toBe('');
    run('gcc', ['-O0', '-w', '-DNOREDUCE', '-DSAFETY', '-o', 'pan', 'pan.c']);
    const report = run(join(place, 'pan'), ['-m100000', '-w18', ...options]);
    const number = (pattern: RegExp): number => Number(pattern.exec(report)?.[1]);
    const errors = number(/errors: (\d+)/);
    const schedule =
      errors > 0
        ? run('spin', ['-t', '-T', 'model.pml'])
            .split('\n')
            .map((line) => line.trim())
        : [];
    return { states: number(/([\d.e+]+) states, stored/), errors, schedule };
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}
