import { join } from 'node:path';
import { Readable } from 'node:stream';
import { linesOf } from '../trace/logs.js';
import { call } from './call.js';

const path = join(__dirname, '../logs/02-dontneed.trace.txt.gz');
const lines = linesOf('02-dontneed.trace.txt.gz');
const piped = (text: string) => ({ stdin: () => Readable.from([Buffer.from(text)]) });

test('a log that the model allows', async () => {
  const { code, out, err } = await call(['trace', path]);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out).toMatch(/: accepted\n {2}8,393 lines, [\d,]+ events of 4 CPUs checked/);
  expect(out).toContain('P13   held       mmap_lock: a writer is alone, and who releases it holds it (160 times)');
});

test('one that it does not: the line, what it says, the property, the nearest miss and the last lines of each CPU', async () => {
  const released = lines.findIndex((line) => line.includes('mmap_lock_released') && line.includes('write=false'));
  const edited = [...lines.slice(0, released + 1), (lines[released] as string).replace('write=false', 'write=true'), ...lines.slice(released + 1)];
  const { code, out, err } = await call(['trace', '-', '--as', 'mmap-lock'], piped(edited.join('\n')));
  expect({ code, err }).toEqual({ code: 1, err: '' });
  expect(out).toContain(`-: rejected at line ${released + 2}`);
  expect(out).toMatch(/says that \S+ releases mmap_lock, held for writing; the model does not allow that\n {2}P13: mmap_lock: a writer is alone/);
  expect(out).toContain('BUG: semaphore released by a path that does not hold it');
  expect(out).toMatch(/CPU \d+\n-+\n[\s\S]*mmap_lock_released/);
});

test('--json prints one document', async () => {
  const { code, out } = await call(['trace', path, '--as', 'mmap-lock', '--json']);
  expect(code).toBe(0);
  expect(JSON.parse(out)).toMatchObject({
    format: 'shootdown.trace/1',
    verdict: 'accepted',
    reason: null,
    lines: 8393,
    events: 160,
    cpus: [0, 1, 2, 3],
    rejection: null,
    properties: [{ protocol: 'mmap-lock', name: 'P13', verdict: 'held', asked: 160 }],
  });
});

test('--verbose lists what no rule looks at, and what no line made the machines do', async () => {
  const { out } = await call(['trace', path, '--verbose']);
  expect(out).toMatch(/events without a rule:\n {4}\w+ \d+/);
  expect(out).toContain('never taken:');
});

test('--from and --to say which lines count', async () => {
  const { out } = await call(['trace', path, '--from', '1000', '--to', '2000', '--json']);
  const { verdict, lines, read } = JSON.parse(out);
  expect([verdict, lines > 2000, read]).toEqual(['accepted', true, 1001]);
});

test.each([
  [['trace', 'none'], "there is no file 'none'"],
  [
    ['trace', path, '--as', 'tlb-shotdown'],
    "there is no protocol 'tlb-shotdown'; did you mean 'tlb-shootdown'? (there are tlb-shootdown, gup-fast, mmap-lock, percpu-ref)",
  ],
  [['trace', path, '--from', '9', '--to', '3'], "option '--to' is before '--from'"],
  [['trace', path, '--from', 'x'], "option '--from' takes a whole number from 1, not 'x'"],
])('%j is refused in one line', async (argv, message) => {
  const { code, out, err } = await call(argv);
  expect({ code, out, err: err.split('\n').length }).toEqual({ code: 2, out: '', err: 2 });
  expect(err).toContain(message);
});

test('what is no log is told how to record one', async () => {
  const { code, err } = await call(['trace', '-'], piped('hello\nworld\n'));
  expect(code).toBe(2);
  expect(err).toMatch(/^shootdown: '-' has no line of an ftrace log; record one with: trace-cmd record -e csd -e tlb -e ipi .*; trace-cmd report$/m);
});

test('so is a log without an event that is looked at: it decides nothing', async () => {
  const { code, out, err } = await call(['trace', '-'], piped('  a-1 [000] ..... 1: kfree: ptr=1\n'));
  expect(code).toBe(3);
  expect(out).toContain('inconclusive: the log has no event that a protocol could be checked with');
  expect(err).toContain('record some with: trace-cmd record');
});
