// SPIN on the same state graph: the model is compiled with the options that explore all of it and store it exactly.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const model = fileURLToPath(new URL('tlb_shootdown.pml', import.meta.url));

/** Says which of SPIN and gcc is missing; null when both are there. */
export function missingForSpin() {
  for (const [command, option] of [
    ['spin', '-V'],
    ['gcc', '--version'],
  ])
    try {
      execFileSync(command, [option], { stdio: 'ignore' });
    } catch {
      return command;
    }
  return null;
}

/** Runs pan on a size, with a hash table for about `expected` states: states, transitions, seconds, bytes a state (states and hash table). */
export function spin({ N, P, K, T }, expected) {
  const place = mkdtempSync(join(tmpdir(), 'spin-'));
  try {
    const run = (command, args) => execFileSync(command, args, { cwd: place, encoding: 'utf8', maxBuffer: 1 << 26 });
    run('spin', ['-a', `-DN=${N}`, `-DP=${P}`, `-DK=${K}`, `-DT=${T}`, model]);
    run('gcc', ['-O2', '-DNOREDUCE', '-DSAFETY', '-DMEMLIM=16000', '-o', 'pan', 'pan.c']);
    const report = run(join(place, 'pan'), [`-m${Math.max(1e7, expected)}`, `-w${Math.ceil(Math.log2(expected)) + 1}`]);
    const number = (pattern) => Number(pattern.exec(report)?.[1]);
    // Above 10^8 pan prints eight digits.
    const transitions = number(/([\d.e+]+) transitions/);
    const states = number(/([\d.e+]+) states, stored/);
    return {
      states,
      transitions: transitions < 1e8 ? transitions - 1 : transitions,
      exact: transitions < 1e8,
      seconds: number(/elapsed time ([\d.e+]+) seconds/) || 0.01,
      bytesPerState: Math.round(((number(/([\d.]+)\s+actual memory usage for states/) + number(/([\d.]+)\s+memory used for hash table/)) * 2 ** 20) / states),
    };
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}
