import { useVirtualizer } from '@tanstack/react-virtual';
import { type KeyboardEvent, useCallback, useEffect, useRef, useState } from 'react';
import { count, thousands } from '../src/format/text.js';
import type { Validation } from '../src/trace/validator.js';
import type { Before, LogAnswer, LogEvent, LogRequest } from './log-worker.js';
import ReadLog from './log-worker.js?worker&inline';
import './log.css';

type Read = Extract<LogAnswer, { kind: 'read' }>;
type State = { kind: 'none' } | { kind: 'reading'; lines: number } | { kind: 'failed'; message: string } | (Read & { name: string });

const rowHeight = 24;

/** Reads logs in a worker, which keeps the last one to say where the model is before any of its lines. */
function useLog() {
  const worker = useRef<Worker | null>(null);
  const [state, setState] = useState<State>({ kind: 'none' });
  const [before, setBefore] = useState<Before | null>(null);
  const [around, setAround] = useState<{ line: number; text: string | null } | null>(null);
  useEffect(() => () => worker.current?.terminate(), []);
  const ask = (request: LogRequest): void => worker.current?.postMessage(request);
  const open = useCallback((file: File): void => {
    worker.current?.terminate();
    setBefore(null);
    setAround(null);
    setState({ kind: 'reading', lines: 0 });
    const reading = new ReadLog();
    worker.current = reading;
    reading.addEventListener('message', ({ data }: MessageEvent<LogAnswer>) => {
      if (data.kind === 'progress') setState({ kind: 'reading', lines: data.lines });
      if (data.kind === 'failed') setState({ kind: 'failed', message: `${file.name}: ${data.message}` });
      if (data.kind === 'before') setBefore(data.before);
      if (data.kind === 'around') setAround({ line: data.line, text: data.text });
      if (data.kind === 'read') setState({ ...data, name: file.name });
    });
    reading.postMessage({ kind: 'read', file } satisfies LogRequest);
  }, []);
  const explore = (line: number): void => {
    setAround({ line, text: null });
    ask({ kind: 'around', line });
  };
  return { state, before, around, open, ask, explore };
}

function Verdict({ name, validation, onJump }: { name: string; validation: Validation; onJump: (line: number) => void }) {
  const { verdict, reason, rejection, properties } = validation;
  return (
    <section aria-label="Verdict">
      <h2>
        {name}: <span className={`log-${verdict}`}>{verdict}</span>
      </h2>
      {reason !== null && <p>{reason}</p>}
      <p className="muted">
        {count(validation.lines, 'line')}, {count(validation.events, 'event')} of {count(validation.cpus.length, 'CPU')} checked, at most{' '}
        {count(validation.possible, 'possible state')}
      </p>
      {rejection && (
        <div className="log-miss">
          <p>
            Line {thousands(rejection.line)} says that {rejection.says}; the model does not allow that ({rejection.property}).
          </p>
          <ul>
            {rejection.nearest.map((text) => (
              <li key={text}>{text}</li>
            ))}
          </ul>
          <button type="button" onClick={() => onJump(rejection.line)}>
            To the nearest miss
          </button>
        </div>
      )}
      <ul className="properties">
        {properties
          .filter(({ asked, verdict: each }) => asked > 0 || each === 'violated')
          .map(({ protocol, name: property, description, verdict: each, asked }) => (
            <li key={`${protocol}/${property}`} className={each}>
              <strong>{property}</strong> {each}
              <span className="muted">
                : {description} ({thousands(asked)})
              </span>
            </li>
          ))}
      </ul>
    </section>
  );
}

function Selected({ event, before, around, onExplore }: { event: LogEvent; before: Before | null; around: string | null | undefined; onExplore: () => void }) {
  return (
    <section aria-label="Line">
      <h2>Line {thousands(event.line)}</h2>
      <p className="log-text">
        CPU {event.cpu}, {event.task}: {event.name}: {event.text}
      </p>
      {before?.line === event.line && (
        <>
          <p className="muted">
            Before it, {count(before.possible, 'state')} of the model possible{before.possible > 1 ? ', the first of them' : ''}:
          </p>
          <ul className="said">
            {before.cpus.map(({ cpu, loaded, lazy }) => (
              <li key={cpu}>
                CPU {cpu} has {loaded} loaded{lazy ? ', lazily' : ''}
              </li>
            ))}
            {before.underWay.map(({ actor, place }) => (
              <li key={actor}>
                {actor} is in {place}
              </li>
            ))}
          </ul>
        </>
      )}
      {around === undefined && (
        <button type="button" onClick={onExplore}>
          What else could have happened around here?
        </button>
      )}
      {around === null && <p role="status">Exploring every other order of the 20 lines before and after it</p>}
      {typeof around === 'string' && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and must do so by keyboard
        <section className="log-around" tabIndex={0} aria-label="What else could have happened">
          <pre>{around}</pre>
        </section>
      )}
    </section>
  );
}

/** The log itself: a lane a CPU, time running down. */
function Lines({
  events,
  cpus,
  rejected,
  selected,
  onSelect,
}: {
  events: readonly LogEvent[];
  cpus: readonly number[];
  rejected: number | null;
  selected: number;
  onSelect: (at: number) => void;
}) {
  const scroller = useRef<HTMLElement>(null);
  const virtual = useVirtualizer({
    count: events.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeight,
    overscan: 20,
    scrollPaddingEnd: rowHeight,
    scrollPaddingStart: rowHeight,
  });
  useEffect(() => virtual.scrollToIndex(selected, { align: 'auto' }), [selected, virtual]);
  const pressed = (event: KeyboardEvent): void => {
    const to = new Map([
      ['ArrowDown', selected + 1],
      ['ArrowUp', selected - 1],
      ['PageDown', selected + 20],
      ['PageUp', selected - 20],
      ['Home', 0],
      ['End', events.length - 1],
    ]).get(event.key);
    if (to === undefined) return;
    event.preventDefault();
    onSelect(to);
  };
  const columns = `80px repeat(${Math.max(cpus.length, 1)}, minmax(150px, 1fr))`;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and must do so by keyboard
    <section className="log-lines" ref={scroller} tabIndex={0} aria-label="Log, a row a line, a lane a CPU" onKeyDown={pressed}>
      <div className="log-head" style={{ gridTemplateColumns: columns }}>
        <span>line</span>
        {cpus.map((cpu) => (
          <span key={cpu}>CPU {cpu}</span>
        ))}
      </div>
      <div style={{ height: virtual.getTotalSize(), position: 'relative' }}>
        {virtual.getVirtualItems().map(({ index, start }) => {
          const event = events[index] as LogEvent;
          const lane = cpus.indexOf(event.cpu) + 2;
          return (
            <div
              key={event.line}
              className={`log-row ${event.checked ? 'checked' : ''} ${index === selected ? 'current' : ''} ${event.line === rejected ? 'rejected' : ''}`}
              style={{ gridTemplateColumns: columns, height: rowHeight, transform: `translateY(${start}px)` }}
            >
              <span className="muted">{event.line}</span>
              <button
                type="button"
                style={{ gridColumn: lane }}
                aria-current={index === selected ? 'step' : undefined}
                onClick={() => onSelect(index)}
                title={`${event.task}: ${event.name}: ${event.text}`}
              >
                {event.name} <span className="muted">{event.task}</span>
              </button>
            </div>
          );
        })}
      </div>
    </section>
  );
}

/** A log of a running kernel: read, checked, and scrubbed through. */
export function LogView() {
  const { state, before, around, open, ask, explore } = useLog();
  const [selected, setSelected] = useState(0);
  const file = useRef<HTMLInputElement>(null);
  const read = state.kind === 'read' ? state : null;
  const event = read?.events[selected];
  const select = (at: number): void => {
    const to = read?.events[Math.max(0, Math.min(at, read.events.length - 1))];
    if (!to || !read) return;
    setSelected(read.events.indexOf(to));
    ask({ kind: 'before', line: to.line });
  };
  return (
    <section className="log" aria-label="Log">
      <div className="log-bar">
        <button type="button" onClick={() => file.current?.click()}>
          Open a log
        </button>
        <input
          ref={file}
          type="file"
          hidden
          aria-label="A log of ftrace"
          onChange={({ target }) => {
            const [chosen] = target.files ?? [];
            setSelected(0);
            if (chosen) open(chosen);
            target.value = '';
          }}
        />
        {read ? (
          <>
            <button type="button" onClick={() => select(selected - 1)}>
              Back
            </button>
            <button type="button" onClick={() => select(selected + 1)}>
              On
            </button>
            <input
              type="range"
              min={0}
              max={read.events.length - 1}
              value={selected}
              aria-label="Line of the log"
              onChange={({ target }) => select(Number(target.value))}
            />
            {read.leftOut > 0 && <span className="muted">{thousands(read.leftOut)} more are checked and not shown</span>}
          </>
        ) : (
          <span className="muted">the text of /sys/kernel/tracing/trace or of trace-cmd report, plain or gzip; it stays on this machine</span>
        )}
        {state.kind === 'reading' && <span role="status">{count(state.lines, 'line')} read</span>}
        {state.kind === 'failed' && <span role="alert">{state.message}</span>}
      </div>
      {read && (
        <div className="log-body">
          <Lines events={read.events} cpus={read.validation.cpus} rejected={read.validation.rejection?.line ?? null} selected={selected} onSelect={select} />
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and must do so by keyboard */}
          <section className="log-side" tabIndex={0} aria-label="What the log shows">
            {event && (
              <Selected event={event} before={before} around={around?.line === event.line ? around.text : undefined} onExplore={() => explore(event.line)} />
            )}
            <Verdict name={read.name} validation={read.validation} onJump={(line) => select(read.events.findIndex((each) => each.line === line))} />
          </section>
        </div>
      )}
    </section>
  );
}
