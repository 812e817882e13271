import { from } from 'rxjs';
import { check } from '../../src/check/check.js';
import { protocols } from '../../src/protocols/index.js';
import { momentSystem } from '../../src/protocols/moment.js';
import { momentAround } from '../../src/trace/moment.js';
import { parseLine } from '../../src/trace/parse.js';
import { linesOf, logs } from './logs.js';

const descriptions = Object.assign({}, ...protocols.map(({ properties }) => properties));

/** Every other order of what a log shows around a line: what is violated, and what else was possible. */
async function around(lines: readonly string[], line: number, lines_around: number) {
  const moment = await momentAround(from([lines.map((text, at) => parseLine(text, at + 1))]), protocols, { line, around: lines_around });
  const [first] = moment.states;
  if (!first) throw new Error('no state');
  const { system, possibilities } = momentSystem(moment, first, descriptions);
  const { properties, exploration } = await check(system, { all: true, maxStates: 100_000 });
  const probes = new Set(possibilities.map(({ property }) => property));
  const violated = properties.filter(({ counterexample }) => counterexample !== null).map(({ name }) => name);
  return {
    moment,
    states: exploration.states,
    violated: violated.filter((name) => !probes.has(name)),
    possible: violated.filter((name) => probes.has(name)),
    names: properties.map(({ name }) => name),
  };
}

// The kernel's code is right in any order, if the model has it right and the moment is taken as it was.
test.each(logs)('%s: whatever the order, nothing is violated', async (log) => {
  const lines = linesOf(log);
  for (const part of [0.13, 0.29, 0.41, 0.57, 0.71, 0.88]) {
    const line = Math.floor(lines.length * part);
    const { violated } = await around(lines, line, 15);
    expect({ line, violated }).toEqual({ line, violated: [] });
  }
});

test('a CPU that was lazy when it was left out could as well have been sent the flush', async () => {
  const { violated, possible, names } = await around(linesOf('01-shootdown.trace.txt.gz'), 320, 25);
  expect(violated).toEqual([]);
  expect(possible).toEqual(['line 322 with CPU 2', 'line 322 with CPU 3']);
  expect(names).toContain('line 322 without CPU 0');
});

test('where the log goes wrong, an order is shown in which it does harm', async () => {
  const log = linesOf('05-ksm.trace.txt.gz');
  const cleared = log.findIndex((line, at) => at > 800 && line.includes('ptep_clear_flush: '));
  const isProtected = log.findIndex((line, at) => at > cleared && line.includes('ksm_write_protect_page_ret: '));
  // Write protection returns before its flush.
  const edited = [...log.slice(0, cleared + 1), log[isProtected] as string, ...log.slice(cleared + 1).filter((_, at) => at !== isProtected - cleared - 1)];
  const { moment, violated } = await around(edited, cleared + 1, 30);
  expect(moment.to).toBe(cleared + 2);
  expect(violated).toEqual(['P20']);
});

test.each([
  [20_000, /^there is no line 20000: the log ends with line 8394$/],
  [4000, /^line 4000 cannot be reached: the log is rejected at line \d+$/],
])('around line %i: %s', async (line, message) => {
  const log = linesOf('02-dontneed.trace.txt.gz');
  const released = log.findIndex((text) => text.includes('mmap_lock_released') && text.includes('write=false'));
  const edited =
    line === 4000 ? [...log.slice(0, released + 1), (log[released] as string).replace('write=false', 'write=true'), ...log.slice(released + 1)] : log;
  await expect(around(edited, line, 10)).rejects.toThrow(message);
});
