import type { Io } from '../../src/cli/io.js';
import { Progress } from '../../src/cli/progress.js';
import { collected } from './call.js';

const state = { states: 1234567, transitionCount: 5000, depth: 12 };
const written = (io: Partial<Io>, use: (progress: Progress) => void): string => {
  const { write, text } = collected();
  use(new Progress({ stderr: write, stderrIsTTY: true, columns: 80, ...io } as Io, 'lock/safe', 0));
  return text();
};

test('on a terminal: states, speed, depth, and what is being explored', () => {
  const text = written({}, (progress) => progress.tell(state));
  expect(text).toMatch(/1,234,567 states, [\d,]+ transitions\/s, depth 12: lock\/safe/);
});

test('no wider than the terminal', () => {
  expect(written({ columns: 22 }, (progress) => progress.tell(state))).toMatch(/ 1,234,567 states, \d?(?!\d)/);
});

test('quiet elsewhere', () => {
  expect(
    written({ stderrIsTTY: false }, (progress) => {
      progress.tell(state);
      progress.end();
    }),
  ).toBe('');
});

test('at most once in its period', () => {
  const { write, text } = collected();
  const progress = new Progress({ stderr: write, stderrIsTTY: true, columns: 80 } as Io, 'lock/safe', 60_000);
  progress.tell(state);
  progress.tell(state);
  progress.end();
  expect(text()).toBe('');
});

test('Ctrl-C stays with the program', () => {
  const before = process.listenerCount('SIGINT');
  written({}, (progress) => {
    progress.tell(state);
    expect(process.listenerCount('SIGINT')).toBe(before);
    progress.end();
  });
});
