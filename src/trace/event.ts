/** What a line of an ftrace log says. */
export interface TraceEvent {
  /** Counted from 1. */
  line: number;
  task: string;
  pid: number;
  cpu: number;
  /** Interrupts off; and where the code ran: a task, a softirq, a hardirq or an NMI. */
  irqsOff: boolean;
  context: 'task' | 'softirq' | 'hardirq' | 'nmi';
  /** In the unit of the log's clock: a count, or seconds. */
  time: number;
  name: string;
  /** What stands after the name. */
  text: string;
}

const field = /(\w+)=([^\s,]+(?:,[^\s,=]+(?=[\s,]|$))*)/g;

/** The `key=value` pairs of an event; a value may be a list: `0,2-3`. */
export function fieldsOf({ text }: TraceEvent): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const [, key, value] of text.matchAll(field)) fields[key as string] = value as string;
  return fields;
}

/** A kernel pointer as it is written everywhere: lower-case hexadecimal without `0x`. */
export const pointer = (text: string | undefined): string => (text ?? '').toLowerCase().replace(/^0x/, '');
