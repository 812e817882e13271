import { violationText } from '../../src/format/violation.js';
import { lockSystem } from '../cli/lock.js';

const system = lockSystem('lock', true);
test.each([
  ['BUG', 'lock: unlock of a lock that is not held', 'BUG: unlock of a lock that is not held'],
  ['BUG', 'lock: WARNING: at mm/gup.c', 'WARNING: at mm/gup.c'],
  ['mutex', 'one path at a time is in the critical section', 'mutex violated: one path at a time is in the critical section'],
  ['mutex', 'a: both are in', 'BUG: both are in'],
  ['deadlock', 'deadlock: a, b cannot go on', 'deadlock: a, b cannot go on'],
])('%s, %s', (property, message, text) => {
  expect(violationText(system, { property, message })).toBe(text);
});
