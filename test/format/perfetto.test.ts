import fc from 'fast-check';
import { perfetto } from '../../src/format/perfetto.js';
import { replay } from '../../src/schedule/replay.js';
import { defineSystem } from '../../src/system/system.js';
import { scheduleOf, turns, waiting } from '../systems/waiting.js';
import { machineRoom, play } from './machines.js';
import { wanderings } from './wander.js';

interface TraceEvent {
  ph: string;
  name: string;
  cat?: string;
  pid: number;
  tid?: number;
  ts?: number;
  dur?: number;
  id?: number;
  bp?: string;
  s?: string;
  args?: Record<string, unknown>;
}

const read = (text: string): TraceEvent[] => (JSON.parse(text) as { traceEvents: TraceEvent[] }).traceEvents;
const of = (events: readonly TraceEvent[], ...kinds: string[]): TraceEvent[] => events.filter(({ ph }) => kinds.includes(ph));
const within = ({ ts = 0, dur = 0 }: TraceEvent, time: number): boolean => ts <= time && time < ts + Math.max(dur, 1);

test('lanes are processes, actors threads, steps slices of a millisecond, messages slices with arrows', () => {
  const events = read(perfetto(play(machineRoom({ paths: { a: 'CPU 1 (a)' } }), 'a', 'a'), 'BUG: too late'));
  expect(of(events, 'M')).toEqual([
    { ph: 'M', name: 'process_name', pid: 1, args: { name: 'CPU 1 (a)' } },
    { ph: 'M', name: 'process_sort_index', pid: 1, args: { sort_index: 1 } },
    { ph: 'M', name: 'process_name', pid: 2, args: { name: 'actors without a lane' } },
    { ph: 'M', name: 'process_sort_index', pid: 2, args: { sort_index: 2 } },
    { ph: 'M', name: 'thread_name', pid: 2, tid: 3, args: { name: 'memory' } },
    { ph: 'M', name: 'thread_name', pid: 1, tid: 4, args: { name: 'a' } },
  ]);
  const [pte, choice] = ['{kind: present, pfn: 0, devmap: true, write: false}', 'a: step'];
  const [a, memory] = [
    { pid: 1, tid: 4 },
    { pid: 2, tid: 3 },
  ];
  const step = { ph: 'X', cat: 'step', ...a, dur: 1000 };
  const message = { cat: 'message', ts: expect.any(Number) };
  expect(events.filter(({ ph }) => ph !== 'M')).toEqual([
    {
      ...step,
      name: 'local_work',
      ts: 1000,
      args: { state: 'local_work', choice, changes: { a: 'local_work -> ptep_get_lockless_of_a_pmd' } },
    },
    {
      ...step,
      name: 'ptep_get_lockless_of_a_pmd: present, pfn 0, devmap',
      ts: 2000,
      args: { state: 'ptep_get_lockless_of_a_pmd', choice, changes: { a: 'ptep_get_lockless_of_a_pmd -> set_pte_at' } },
    },
    { ph: 's', ...message, name: 'read', id: 3, ...memory, ...a, ts: 2000 },
    { ph: 'X', ...message, name: 'read', ...memory, ts: 2333, dur: 333, args: { message: 'read' } },
    { ph: 'f', bp: 'e', ...message, name: 'read', id: 3, ...memory, ts: 2333 },
    { ph: 's', ...message, name: 'pte', id: 4, ...memory, ts: 2333 },
    { ph: 'X', ...message, name: 'pte present, pfn 0, devmap', ...a, ts: 2666, dur: 334, args: { message: `pte {pte: ${pte}}` } },
    { ph: 'f', bp: 'e', ...message, name: 'pte', id: 4, ...a, ts: 2666 },
    { ph: 'i', s: 'g', cat: 'ending', name: 'BUG: too late', ...a, ts: 3000 },
  ]);
});

test('what a step changes is named by the place where it stands', () => {
  const events = read(perfetto(play(machineRoom(), 'a', 'a', 'a'), null));
  expect(of(events, 'X').find(({ name }) => name === 'set_pte_at: written')?.args?.changes).toEqual({
    'memory.pte.pfn': '0 -> 7',
    'memory.pte.write': 'false -> true',
    'memory.log.0': '(absent) -> 7',
    a: 'set_pte_at -> nested.end',
  });
});

test('a lasso is marked where it begins; an empty schedule has its ending', () => {
  const system = waiting(2);
  const marks = of(read(perfetto(replay(system, scheduleOf(system, ...turns)), 'unbinds violated', 2)), 'i');
  expect(marks.map(({ name, ts, s }) => [name, ts, s])).toEqual([
    ['from here on, for ever', 3000, 'g'],
    ['unbinds violated', 7000, 'g'],
  ]);
  expect(of(read(perfetto(replay(system, scheduleOf(system, ...turns)), null, turns.length)), 'i')).toEqual([]);
  const start = read(perfetto(replay(system, []), 'bad', 0));
  expect(of(start, 'i').map(({ name, ts }) => [name, ts])).toEqual([['bad', 1000]]);
  expect(of(start, 'M').filter(({ name }) => name === 'thread_name')).toHaveLength(system.actors.length);
  expect(read(perfetto(replay(defineSystem({ id: 'nobody', actors: {} }), []), 'bad'))).toHaveLength(1);
});

test('times never go back, every arrow has both ends, and each end is in a slice of its thread', () => {
  let arrows = 0;
  fc.assert(
    fc.property(wanderings, (run) => {
      const events = read(perfetto(run, 'P violated', 2));
      const times = events.flatMap(({ ts }) => ts ?? []);
      expect(times).toEqual([...times].sort((one, other) => one - other));
      const slices = of(events, 'X');
      expect(slices.filter(({ cat }) => cat === 'step').map(({ ts, dur }) => [ts, dur])).toEqual(run.steps.map(({ number }) => [number * 1000, 1000]));
      const [starts, ends] = [of(events, 's'), of(events, 'f')];
      expect(ends.map(({ id }) => id).sort()).toEqual(starts.map(({ id }) => id).sort());
      expect(new Set(ends.map(({ id }) => id)).size).toBe(run.steps.flatMap(({ messages }) => messages.slice(1)).length);
      for (const end of ends) {
        const start = starts.find(({ id }) => id === end.id) as TraceEvent;
        expect([start.name, start.cat]).toEqual([end.name, end.cat]);
        expect(events.indexOf(start)).toBeLessThan(events.indexOf(end));
        for (const point of [start, end]) {
          const around = slices.filter((slice) => slice.tid === point.tid && slice.pid === point.pid && within(slice, point.ts as number));
          expect(around.some((slice) => events.indexOf(slice) < events.indexOf(point))).toBe(true);
        }
      }
      arrows += ends.length;
    }),
    { seed: 6, numRuns: 150 },
  );
  expect(arrows).toBeGreaterThan(200);
});

test('slices of one thread nest, and threads are of one process', () => {
  fc.assert(
    fc.property(wanderings, (run) => {
      const events = read(perfetto(run, null));
      const threads = of(events, 'M').filter(({ name }) => name === 'thread_name');
      const numbers = [...threads.map(({ tid }) => tid), ...new Set(threads.map(({ pid }) => pid))];
      expect(new Set(numbers).size).toBe(numbers.length);
      const slices = of(events, 'X') as Required<TraceEvent>[];
      for (const [at, one] of slices.entries())
        for (const other of slices.slice(at + 1)) {
          if (one.tid !== other.tid) continue;
          expect(other.ts >= one.ts + one.dur || other.ts + other.dur <= one.ts + one.dur).toBe(true);
        }
    }),
    { seed: 7, numRuns: 100 },
  );
});
