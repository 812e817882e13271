import { type FormEvent, useId, useMemo, useState } from 'react';
import { activeIds, type ChartNode, chartOfDefinition } from '../src/inspect/chart.js';
import type { LiveActor } from '../src/inspect/live-log.js';
import { Chart } from './Chart.js';

export type Send = (actor: string, event: { type: string }) => void;

/** More than anybody reads. */
const mostCharacters = 50_000;

/** Data of an app as text. */
export function textOf(value: unknown): string {
  const text = JSON.stringify(value, null, 2) ?? 'nothing';
  return text.length > mostCharacters ? `${text.slice(0, mostCharacters)}\n… (${text.length - mostCharacters} more characters)` : text;
}

/** A state value in a line: `lit.bright`, `(door.open, light.off)`. */
export function stateText(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value !== 'object') return String(value);
  const parts = Object.entries(value).map(([key, inner]) => {
    const below = stateText(inner);
    return below === '' ? key : `${key}.${below}`;
  });
  return parts.length === 1 ? (parts[0] ?? '') : `(${parts.join(', ')})`;
}

/** The actor selected: its statechart, what it knows, and for those that listen, a way to speak to them. */
export function ActorView({ actor, send }: { actor: LiveActor; send: Send | null }) {
  const chart = useMemo(() => chartOfDefinition(actor.definition), [actor.definition]);
  const { snapshot } = actor;
  const active = useMemo(() => (chart ? activeIds(snapshot?.value, chart) : new Set<string>()), [chart, snapshot]);
  return (
    <section className="live-actor" aria-label={`Actor ${actor.name}`}>
      <div className="live-chart">
        <h2>{actor.name}</h2>
        {!actor.announced && <p className="muted">Not announced so far: it was only mentioned.</p>}
        {actor.truncated && (
          <p className="live-note">
            The app cut the definition where it is nested deeply: states and transitions may be missing. Its <code>serializationDepthLimit</code> says how deep
            it looks.
          </p>
        )}
        {chart ? (
          <Chart chart={chart} active={active} taken={null} title={actor.name} />
        ) : (
          <p className="live-black-box">
            A black box: the app sent no statechart for it, as is the case for promises, callbacks, observables and transition functions.
          </p>
        )}
      </div>
      <div className="live-knows">
        {actor.accepts && send && <SendForm key={actor.id} actor={actor} chart={chart} active={active} send={send} />}
        <h3>State</h3>
        <p>
          <code>{stateText(snapshot?.value) || 'none'}</code> <span className="muted">({actor.status})</span>
        </p>
        <Data title="Context" value={snapshot?.context ?? null} />
        {snapshot?.output !== undefined && <Data title="Output" value={snapshot.output} />}
        {snapshot?.error !== undefined && <Data title="Error" value={snapshot.error} />}
      </div>
    </section>
  );
}

function Data({ title, value }: { title: string; value: unknown }) {
  return (
    <>
      <h3>{title}</h3>
      {value === null ? (
        <p className="muted">none</p>
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it may have to be scrolled
        <pre tabIndex={0}>{textOf(value)}</pre>
      )}
    </>
  );
}

/** Events that come from outside, of the active states. */
function eventsOf(chart: ChartNode, active: ReadonlySet<string>): string[] {
  const found = new Set<string>();
  const visit = (node: ChartNode): void => {
    if (!active.has(node.id)) return;
    for (const { event } of node.transitions) if (!/^(always|default|\*|after .*|on(Done|Error|Snapshot)(\(.*\))?|xstate\..*)$/.test(event)) found.add(event);
    for (const child of node.children) visit(child);
  };
  visit(chart);
  return [...found];
}

/** `PRESS`, or `{"type": "PRESS", "by": "me"}`. @throws {Error} when it is neither. */
function eventIn(text: string): { type: string } {
  if (!text.startsWith('{')) return { type: text };
  const event: unknown = JSON.parse(text);
  if (typeof event === 'object' && event !== null && 'type' in event && typeof event.type === 'string') return { ...event, type: event.type };
  throw new Error('an event needs a "type" that is a text');
}

function SendForm({ actor, chart, active, send }: { actor: LiveActor; chart: ChartNode | null; active: ReadonlySet<string>; send: Send }) {
  const [problem, setProblem] = useState<string | null>(null);
  const id = useId();
  const submit = (form: FormEvent<HTMLFormElement>): void => {
    form.preventDefault();
    const text = String(new FormData(form.currentTarget).get('event') ?? '').trim();
    try {
      if (text !== '') send(actor.id, eventIn(text));
      setProblem(null);
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <form onSubmit={submit}>
      <label htmlFor={`${id}-event`}>Send an event</label>
      <div className="live-send">
        <input
          id={`${id}-event`}
          name="event"
          type="text"
          list={`${id}-events`}
          autoComplete="off"
          spellCheck={false}
          placeholder={'PRESS or {"type": "PRESS"}'}
        />
        <button type="submit">Send</button>
      </div>
      <datalist id={`${id}-events`}>{chart && eventsOf(chart, active).map((event) => <option key={event} value={event} />)}</datalist>
      {problem !== null && <p role="alert">{problem}</p>}
    </form>
  );
}
