import type { TraceEvent } from '../trace/event.js';
import type { Validation } from '../trace/validator.js';
import type { Palette } from './table.js';
import { count, thousands } from './text.js';
import { row } from './wrap.js';

const width = 100;
const gap = 2;

/** Events of one name that a CPU has in a row, as one. */
function runs(events: readonly TraceEvent[]): { event: TraceEvent; times: number }[] {
  const found: { event: TraceEvent; times: number }[] = [];
  for (const event of events) {
    const last = found.at(-1);
    if (last && last.event.name === event.name && last.event.cpu === event.cpu) last.times++;
    else found.push({ event, times: 1 });
  }
  return found;
}

/** The last lines before a rejection, a column per CPU, time running down. */
function lastLines(events: readonly TraceEvent[]): string {
  const cpus = [...new Set(events.map(({ cpu }) => cpu))].sort((a, b) => a - b);
  const each = Math.max(Math.floor((width - gap * (cpus.length - 1)) / cpus.length), 12);
  return [
    ...row(
      cpus.map((cpu) => `CPU ${cpu}`),
      each,
      gap,
    ),
    cpus.map(() => '-'.repeat(each)).join(' '.repeat(gap)),
    ...runs(events).flatMap(({ event, times }) =>
      row(
        cpus.map((cpu) => (cpu === event.cpu ? `${event.line}: ${event.name}${times > 1 ? ` (${times} times)` : ''}` : '')),
        each,
        gap,
      ),
    ),
  ].join('\n');
}

function rejection(validation: Validation): string[] {
  const { rejection: found } = validation;
  if (!found) return [];
  const { event } = found;
  const property = validation.properties.find(({ protocol, name }) => protocol === found.protocol && name === found.property);
  return [
    '',
    `line ${found.line}: ${event.task}-${event.pid} [${String(event.cpu).padStart(3, '0')}] ${event.name}: ${event.text}`,
    `  says that ${found.says}; the model does not allow that`,
    `  ${found.property}: ${property?.description ?? 'time stamps do not go back'}`,
    ...(found.nearest.length > 0 ? ['  nearest miss:', ...found.nearest.map((text) => `    ${text}`)] : []),
    ...(found.before.length > 0 ? ['', lastLines(found.before)] : []),
  ];
}

/** What came out of reading a log, for people. */
export function validationText(name: string, validation: Validation, palette: Palette, verbose: boolean): string {
  const { verdict, reason, rejection: found, properties } = validation;
  const colour = { accepted: palette.green, rejected: palette.red, inconclusive: palette.yellow }[verdict];
  const names = Math.max(...properties.map((property) => property.name.length));
  const where = found ? ` at line ${thousands(found.line)}` : reason ? `: ${reason}` : '';
  return [
    `${name}: ${colour(verdict)}${where}`,
    `  ${count(validation.lines, 'line')}, ${count(validation.events, 'event')} of ${count(validation.cpus.length, 'CPU')} checked; ${count(validation.actors, 'actor')}, at most ${count(validation.possible, 'possible state')}`,
    ...(validation.broken.count > 0
      ? [
          `  ${count(validation.broken.count, 'line')} not understood, the first is line ${validation.broken.first[0]?.line}: ${validation.broken.first[0]?.text}`,
        ]
      : []),
    ...(validation.lost > 0 ? [`  events were lost in ${count(validation.lost, 'place')}`] : []),
    ...validation.imprecise.map((text) => `  ${text}`),
    ...properties.map(
      (property) =>
        `  ${property.name.padEnd(names)}  ${property.verdict.padEnd(9)}  ${property.description}${property.asked > 0 ? ` (${thousands(property.asked)} times)` : ''}`,
    ),
    `  ${thousands(validation.coverage.reached.length)} of the machines' ${thousands(validation.coverage.transitions)} transitions taken`,
    ...rejection(validation),
    ...(verbose
      ? [
          '',
          '  events without a rule:',
          ...Object.entries(validation.unmapped).map(([event, times]) => `    ${event} ${thousands(times)}`),
          '  of the machines, taken:',
          ...validation.coverage.reached.map((what) => `    ${what}`),
          '  never taken:',
          ...validation.coverage.unreached.map((what) => `    ${what}`),
        ]
      : []),
    '',
  ].join('\n');
}

/** The same for scripts: `shootdown.trace/1`. */
export function validationDocument(name: string, { rejection: found, ...rest }: Validation): unknown {
  const { event, before, ...said } = found ?? { event: null, before: [] };
  return {
    format: 'shootdown.trace/1',
    log: name,
    ...rest,
    rejection:
      found && event
        ? { ...said, event: { name: event.name, task: event.task, pid: event.pid, cpu: event.cpu, text: event.text }, before: before.map(({ line }) => line) }
        : null,
  };
}
