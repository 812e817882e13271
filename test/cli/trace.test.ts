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

test('--as takes a scenario too', async () => {
  const { code, out } = await call(['trace', path, '--as', 'gup-unbind', '--json']);
  expect(code).toBe(0);
  const { properties } = JSON.parse(out) as { properties: { protocol: string }[] };
  expect([...new Set(properties.map(({ protocol }) => protocol))]).toEqual(['tlb-shootdown', 'gup-fast', 'mmap-lock', 'percpu-ref']);
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
    "there is no protocol or scenario 'tlb-shotdown'; did you mean 'tlb-shootdown'? (there are tlb-shootdown, gup-unbind, gup-fast, mmap-lock, percpu-ref)",
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

const shootdown = join(__dirname, '../logs/01-shootdown.trace.txt.gz');

test('--around shows a moment, and with --explore what else could have happened', async () => {
  const { code, out, err } = await call(['trace', shootdown, '--around', '320', '--lines', '25', '--explore']);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out).toContain('lines 295 to 345, around line 320');
  expect(out).toContain("    flush:168@0/ff239ab5ff498580 is in 'csd_lock_wait'");
  expect(out).toContain('    line 314  CPU 1  change-1-169  mmap_lock:ff239ab5ff498580: down_write');
  expect(out).toMatch(/every other order of these: [\d,]+ states/);
  expect(out).toMatch(/what else could have happened:\n {4}the flush of change-1-169 at line 322 is sent to CPU 2 \(12 steps\)/);
  expect(out).toMatch(/what could not have:\n {4}the flush of change-1-169 at line 322 leaves CPU 0 out/);
  expect(out).toMatch(/in 12 steps and in no fewer:\n\nCPU 0 +CPU 1\n[\s\S]*line 322: flush call/);
});

test('--around alone explores nothing; --json is one document', async () => {
  const { code, out } = await call(['trace', shootdown, '--around', '320', '--json']);
  expect(code).toBe(0);
  expect(JSON.parse(out)).toMatchObject({ format: 'shootdown.moment/1', line: 320, from: 300, to: 340, explored: null });
  const explored = JSON.parse((await call(['trace', shootdown, '--around', '320', '--lines', '25', '--explore', '--json'])).out).explored;
  expect(explored).toMatchObject({
    exhausted: true,
    properties: expect.arrayContaining([expect.objectContaining({ name: 'deadlock', verdict: 'not violated' })]),
  });
  expect(explored.possibilities).toContainEqual(expect.objectContaining({ name: 'line 322 with CPU 2', possible: true, steps: 12 }));
});

test('a search that a limit ends is inconclusive', async () => {
  const { code, out } = await call(['trace', shootdown, '--around', '320', '--explore', '--max-states', '10']);
  expect(code).toBe(3);
  expect(out).toMatch(/\(inconclusive: .*10/);
});

test("--cpus checks some CPUs' lines; the others' move the model only", async () => {
  const other = lines.findIndex((line) => line.includes('mmap_lock_released') && line.includes('write=false'));
  const cpu = /\[(\d+)\]/.exec(lines[other] as string)?.[1];
  const edited = [...lines.slice(0, other + 1), (lines[other] as string).replace('write=false', 'write=true'), ...lines.slice(other + 1)].join('\n');
  const others = ['0', '1', '2', '3'].filter((number) => Number(number) !== Number(cpu)).join();
  const unchecked = await call(['trace', '-', '--as', 'mmap-lock', '--cpus', others], piped(edited));
  expect(unchecked.code).toBe(0);
  expect(unchecked.out).toContain(`line ${other + 2}: the model does not allow what this line of CPU ${Number(cpu)} says, which is not checked`);
  const checked = await call(['trace', '-', '--as', 'mmap-lock', '--cpus', `${Number(cpu)}`], piped(edited));
  expect(checked.out).toContain(`rejected at line ${other + 2}`);
});

test('a log of another architecture is told that its TLBs are not looked at', async () => {
  const arm = [
    '  a-1 [000] ..... 1: ipi_raise: target_mask=00000000,00000002 (Function call interrupts)',
    '  a-1 [000] ..... 2: mmap_lock_released: mm=ff10 write=false',
  ].join('\n');
  const { code, out } = await call(['trace', '-'], piped(arm));
  expect(code).toBe(0);
  expect(out).toContain("'ipi_raise' does not fire on x86, whose TLB code the machines are; nothing can be said of tlb-shootdown");
});

test.each([
  [['trace', shootdown, '--explore'], "option '--explore' needs '--around'"],
  [['trace', shootdown, '--lines', '3'], "option '--lines' needs '--around'"],
  [['trace', shootdown, '--around', '3', '--from', '1'], "option '--from' cannot be combined with '--around'"],
  [['trace', shootdown, '--around', '99999'], 'there is no line 99999: the log ends with line'],
  [['trace', shootdown, '--cpus', '3-1'], "option '--cpus' takes a list of numbers such as '0,2-3', not '3-1'"],
])('%j is refused', async (argv, message) => {
  const { code, out, err } = await call(argv);
  expect({ code, out, err: err.split('\n').length }).toEqual({ code: 2, out: '', err: 2 });
  expect(err).toContain(message);
});
