import { fieldsOf, pointer, type TraceEvent } from '../../src/trace/event.js';
import { parseLine } from '../../src/trace/parse.js';

const event = (text: string): TraceEvent => {
  const line = parseLine(text, 7);
  if ('kind' in line) throw new Error(`${line.kind}: ${text}`);
  return line;
};

test.each<[string, string, Partial<TraceEvent>]>([
  [
    '/sys/kernel/tracing/trace',
    '        change-1-169     [001] d..3.          318: flush_tlb_func: (flush_tlb_func+0x4/0x220) mm=0xff23 new_tlb_gen=9',
    { task: 'change-1', pid: 169, cpu: 1, irqsOff: true, context: 'task', time: 318, name: 'flush_tlb_func' },
  ],
  [
    'with the thread group',
    '  kworker/u16:1-43      (     43) [003] ...2.   6312: sched_switch: prev_pid=43',
    { task: 'kworker/u16:1', pid: 43, cpu: 3, time: 6312 },
  ],
  [
    'in a hard interrupt',
    '          <idle>-0       [002] d.h1.          349: call_function_single_entry: vector=251',
    { task: '<idle>', pid: 0, context: 'hardirq' },
  ],
  ['in a hard interrupt within a soft one', '   kworker/u16:2-44      [002] d.H4.          901: block_rq_complete: 254,32', { context: 'hardirq' }],
  ['in a soft interrupt', '        dax-drop-202     [003] ..s2.          894: note_gp_changes: (x)', { context: 'softirq', irqsOff: false }],
  ['in an NMI', '            bash-1       [000] d.z1.          3: kill: (x)', { context: 'nmi' }],
  ['bottom halves off too', '            bash-1       [000] D..1.          3: kill: (x)', { irqsOff: true }],
  ['with a clock of seconds', '            bash-4242    [000] .....  1234.567890: mmap_lock_released: mm=ff23', { time: 1234.56789, pid: 4242 }],
  [
    'trace-cmd report -l',
    ' touch-2-172     2dNh..           4: reschedule_entry:     vector=253',
    { task: 'touch-2', pid: 172, cpu: 2, irqsOff: true, context: 'hardirq', time: 4, text: 'vector=253' },
  ],
  [
    'trace-cmd report',
    '          bash-1234  [001]   100.000001: csd_queue_cpu:        cpu=2 func=flush_tlb_func',
    { cpu: 1, time: 100.000001, name: 'csd_queue_cpu' },
  ],
])('a line of %s', (_, text, expected) => {
  expect(event(text)).toMatchObject({ line: 7, ...expected });
});

test('fields are what stands as key=value; what follows a comma is another', () => {
  expect(fieldsOf(event('  a-1 [000] ..... 1: csd_function_entry: func=flush_tlb_func, csd=ff23 (x <- y) mm=0x10'))).toEqual({
    func: 'flush_tlb_func',
    csd: 'ff23',
    mm: '0x10',
  });
});

test('pointers are written alike', () => {
  expect(['0xFF23', 'ff23', undefined].map(pointer)).toEqual(['ff23', 'ff23', '']);
});

test.each([
  ['', 'blank'],
  ['# tracer: nop', 'blank'],
  ['cpus=4', 'blank'],
  ['CPU:2 [LOST 123 EVENTS]', 'lost'],
  ['[   12.345] usb 1-1: new device', 'broken'],
  ['  a-1 [000] ..... no time: x', 'broken'],
  ['\u0000\u0001', 'broken'],
])('%j is no event: %s', (text, kind) => {
  expect(parseLine(text, 1)).toMatchObject({ kind });
});

test('a marker of lost events says how many', () => {
  expect(parseLine('CPU:2 [LOST 123 EVENTS]', 1)).toMatchObject({ kind: 'lost', events: 123, line: 1 });
});
