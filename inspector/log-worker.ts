import { of } from 'rxjs';
import { momentText, type Whereabouts, whereabouts } from '../src/format/moment.js';
import { exploreMoment, protocols } from '../src/protocols/index.js';
import { messageOf } from '../src/system/errors.js';
import { linesIn } from '../src/trace/lines.js';
import { momentAround } from '../src/trace/moment.js';
import type { TraceLine } from '../src/trace/parse.js';
import { type Validation, Validator } from '../src/trace/validator.js';

/** What the page asks: to read a log, or where the model is before one of its lines. */
export type LogRequest = { kind: 'read'; file: Blob } | { kind: 'before'; line: number } | { kind: 'around'; line: number };

/** An event as the page shows it. */
export interface LogEvent {
  line: number;
  cpu: number;
  task: string;
  name: string;
  text: string;
  /** Some protocol has a rule for it. */
  checked: boolean;
}

/** Where the model is before a line, in the first of the states that are possible there. */
export interface Before extends Whereabouts {
  line: number;
  possible: number;
}

export type LogAnswer =
  | { kind: 'progress'; lines: number }
  | { kind: 'read'; validation: Validation; events: LogEvent[]; leftOut: number }
  | { kind: 'before'; before: Before }
  | { kind: 'around'; line: number; text: string }
  | { kind: 'failed'; message: string };

const linesAround = 20;
/** More than this are not shown; all are checked. */
const mostShown = 300_000;
const checked = new Set(protocols.flatMap(({ rules }) => Object.keys(rules)));
let lines: TraceLine[] = [];

const post = (answer: LogAnswer): void => postMessage(answer);

async function* textOf(file: Blob): AsyncGenerator<string> {
  const [first, second] = new Uint8Array(await file.slice(0, 2).arrayBuffer());
  const zipped = first === 0x1f && second === 0x8b;
  const plain = zipped ? file.stream().pipeThrough(new DecompressionStream('gzip')) : file.stream();
  const reader = plain.pipeThrough(new TextDecoderStream('latin1') as unknown as ReadableWritablePair<string, Uint8Array<ArrayBuffer>>).getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value;
}

async function read(file: Blob): Promise<void> {
  lines = [];
  const validator = new Validator(protocols);
  const events: LogEvent[] = [];
  let leftOut = 0;
  for await (const batch of linesIn(textOf(file))) {
    for (const line of batch) {
      lines.push(line);
      validator.line(line);
      if ('kind' in line) continue;
      if (events.length < mostShown)
        events.push({ line: line.line, cpu: line.cpu, task: `${line.task}-${line.pid}`, name: line.name, text: line.text, checked: checked.has(line.name) });
      else leftOut++;
    }
    post({ kind: 'progress', lines: lines.length });
  }
  const validation = validator.result();
  if (validation.read === 0) throw new Error('the file has no line of an ftrace log');
  post({ kind: 'read', validation, events, leftOut });
}

function before(number: number): void {
  const validator = new Validator(protocols);
  for (const line of lines) {
    if (line.line >= number) break;
    validator.line(line);
  }
  const states = validator.states();
  post({ kind: 'before', before: { line: number, possible: states.length, ...whereabouts(states[0]) } });
}

/** What else could have happened around a line, as text. */
async function around(line: number): Promise<void> {
  const moment = await momentAround(of(lines), protocols, { line, around: linesAround });
  const exploration = await exploreMoment(moment, protocols, { maxStates: 1_000_000, maxSeconds: 30 });
  post({ kind: 'around', line, text: momentText({ log: 'the log', line, moment, ...exploration }, true) });
}

addEventListener('message', ({ data }: MessageEvent<LogRequest>) => {
  if (data.kind === 'read') read(data.file).catch((error) => post({ kind: 'failed', message: messageOf(error) }));
  else if (data.kind === 'before') before(data.line);
  else around(data.line).catch((error) => post({ kind: 'around', line: data.line, text: messageOf(error) }));
});
