import type { TraceEvent } from './event.js';

/** A line that is no event: empty, a comment or a header; lost events; or something that does not belong into a log. */
export type NoEvent = { line: number; text: string } & ({ kind: 'blank' } | { kind: 'lost'; events: number | null } | { kind: 'broken' });

/** A line of a log: an event, or why it is none. */
export type TraceLine = TraceEvent | NoEvent;

// /sys/kernel/tracing/trace, and trace-cmd report without -l: TASK-PID (TGID)? [CPU] FLAGS? TIME: EVENT: TEXT
const wide = /^\s*(.*\S)-(\d+)\s+(?:\(\s*[-\d]+\)\s+)?\[(\d+)\]\s+(?:([^\s:]{4,6})\s+)?(\d+(?:\.\d+)?):\s+([\w.-]+):\s*(.*)$/;
// trace-cmd report -l: the CPU and the flags in one word.
const latency = /^\s*(.*\S)-(\d+)\s+(\d+)([^\s\d][^\s]{3,5})\s+(\d+(?:\.\d+)?):\s+([\w.-]+):\s*(.*)$/;
const lost = /\[LOST\s+(\d+)?\s*EVENTS\]/;

function contextOf(flag: string | undefined): TraceEvent['context'] {
  if (flag === 'h' || flag === 'H') return 'hardirq';
  if (flag === 's') return 'softirq';
  return flag === 'z' || flag === 'Z' ? 'nmi' : 'task';
}

/** Reads a line of `/sys/kernel/tracing/trace` or of `trace-cmd report`, with or without `-l`. `line` is its number. */
export function parseLine(text: string, line: number): TraceLine {
  const found = wide.exec(text) ?? latency.exec(text);
  if (found) {
    const [, task, pid, cpu, flags = '', time, name, rest] = found as unknown as [string, string, string, string, string | undefined, string, string, string];
    return {
      line,
      task,
      pid: Number(pid),
      cpu: Number(cpu),
      irqsOff: flags[0] === 'd' || flags[0] === 'D',
      context: contextOf(flags[2]),
      time: Number(time),
      name,
      text: rest,
    };
  }
  if (text === '' || text.startsWith('#') || /^cpus=\d+|^\s*$/.test(text)) return { kind: 'blank', line, text };
  const gap = lost.exec(text);
  return gap ? { kind: 'lost', events: gap[1] === undefined ? null : Number(gap[1]), line, text } : { kind: 'broken', line, text };
}
