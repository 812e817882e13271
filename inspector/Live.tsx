import { useCallback, useMemo, useState, useSyncExternalStore } from 'react';
import { brief, count } from '../src/format/text.js';
import type { LiveActor, LiveEntry, LiveLog } from '../src/inspect/live-log.js';
import { ActorView, type Send, stateText, textOf } from './LiveActor.js';
import { Lines } from './LiveLines.js';
import { LiveList } from './LiveList.js';
import './live.css';

/** Draws at most once a frame: apps may send thousands of events in one. */
function useVersion(log: LiveLog): number {
  const subscribe = useCallback(
    (listener: () => void) => {
      let frame: number | null = null;
      const unsubscribe = log.subscribe(() => {
        frame ??= requestAnimationFrame(() => {
          frame = null;
          listener();
        });
      });
      return () => {
        unsubscribe();
        if (frame !== null) cancelAnimationFrame(frame);
      };
    },
    [log],
  );
  return useSyncExternalStore(subscribe, () => log.version);
}

interface Relative {
  actor: LiveActor;
  depth: number;
}

/** Children after their parents. Apps may tell nonsense, such as two that are each other's parents. */
function inFamilies(actors: readonly LiveActor[]): Relative[] {
  const known = new Set(actors.map(({ id }) => id));
  const children = new Map<string | null, LiveActor[]>();
  for (const actor of actors) {
    const parent = actor.parent !== null && known.has(actor.parent) ? actor.parent : null;
    children.set(parent, [...(children.get(parent) ?? []), actor]);
  }
  const found = new Map<string, Relative>();
  const open = (children.get(null) ?? []).map((actor) => ({ actor, depth: 0 })).reverse();
  for (let next = open.pop(); next; next = open.pop()) {
    const { actor, depth } = next;
    found.set(actor.id, next);
    open.push(...(children.get(actor.id) ?? []).map((child) => ({ actor: child, depth: depth + 1 })).reverse());
  }
  return [...found.values(), ...actors.flatMap((actor) => (found.has(actor.id) ? [] : [{ actor, depth: 0 }]))];
}

/** Other apps' actors as they tell of them: who there is, where each of them is, and what was said. */
export function Live({ log, endpoint, onSend }: { log: LiveLog; endpoint: string | null; onSend: Send | null }) {
  const version = useVersion(log);
  const [chosen, setChosen] = useState<string | null>(null);
  const [onlyChosen, setOnlyChosen] = useState(false);
  const [entry, setEntry] = useState<LiveEntry | null>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the log changes with its version
  const families = useMemo(() => inFamilies(log.actors), [log, version]);
  const actor = (chosen === null ? null : log.actor(chosen)) ?? families[0]?.actor ?? null;
  const filter = onlyChosen && actor ? actor.id : null;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the log changes with its version
  const entries = useMemo(() => log.entries(filter), [log, version, filter]);
  const { connections } = log;
  const open = connections.filter((connection) => connection.open).map(({ name }) => name);
  const from = (connection: string): string => (connections.length > 1 ? `${connection}: ` : '');
  const nameOf = (id: string): string => log.actor(id)?.name ?? id;

  return (
    <section className="live" aria-label="Live apps">
      <details className="live-lines" open={connections.length === 0 || undefined}>
        <summary>Lines to add to an app</summary>
        <Lines endpoint={endpoint} />
      </details>
      <Counts log={log} open={open.length} />
      <div className="live-middle">
        <section aria-labelledby="live-actors">
          <h2 id="live-actors">Actors</h2>
          <LiveList
            label="Actors"
            items={families}
            keyOf={({ actor: { id } }) => id}
            selected={actor?.id ?? null}
            onSelect={({ actor: { id } }) => setChosen(id)}
            empty="None so far."
            render={({ actor: each, depth }) => (
              <span className={`live-name ${open.includes(each.connection) ? '' : 'gone'}`} style={{ paddingLeft: Math.min(depth, 8) * 14 }}>
                {from(each.connection)}
                {each.name} <code>{stateText(each.snapshot?.value)}</code> <span className="muted">{each.status}</span>
                {each.parent !== null && <span className="visually-hidden">, child of {nameOf(each.parent)}</span>}
              </span>
            )}
          />
        </section>
        {actor ? (
          <ActorView actor={actor} send={open.includes(actor.connection) ? onSend : null} />
        ) : (
          <p className="muted live-nobody">No app has connected so far.</p>
        )}
      </div>
      <div className="live-bottom">
        <section aria-labelledby="live-log">
          <h2 id="live-log">Log</h2>
          <label>
            <input type="checkbox" checked={onlyChosen} onChange={({ target }) => setOnlyChosen(target.checked)} /> only what {actor ? actor.name : 'the actor'}{' '}
            sends, gets and does
          </label>
          <LiveList
            key={filter}
            label="Log, oldest first"
            items={entries}
            keyOf={({ number }) => number}
            selected={entry?.number ?? null}
            onSelect={setEntry}
            follows
            empty="Nothing so far."
            render={(each) => <Entry entry={each} from={from(each.connection)} nameOf={nameOf} />}
          />
        </section>
        <section className="live-entry" aria-label="The entry selected">
          {entry ? (
            // biome-ignore lint/a11y/noNoninteractiveTabindex: it may have to be scrolled
            <pre tabIndex={0}>{textOf(entry.event)}</pre>
          ) : (
            <p className="muted">Select an entry to see all of it.</p>
          )}
        </section>
      </div>
    </section>
  );
}

function Counts({ log, open }: { log: LiveLog; open: number }) {
  const { malformed, oversized, foreign } = log.refused;
  const notes = [
    [log.forgotten, `older than the last ${count(log.entries().length, 'entry').replace('entrys', 'entries')}, forgotten`],
    [log.duplicates, 'sent again, left out'],
    [malformed, 'not understood, dropped'],
    [oversized, 'too large, dropped'],
    [foreign, 'from other windows, ignored'],
  ] as const;
  return (
    <p className="live-counts">
      {count(open, 'app')} connected
      {notes.map(([number, what]) => number > 0 && <span key={what}>{`; ${number} ${what}`}</span>)}
    </p>
  );
}

const marks = { actor: '+', sent: '→', snapshot: '=', stopped: '×' } as const;

function Entry({ entry: { number, event }, from, nameOf }: { entry: LiveEntry; from: string; nameOf: (id: string) => string }) {
  return (
    <>
      <span className="live-number">{number}</span> <span aria-hidden="true">{marks[event.kind]}</span>{' '}
      <span className="live-said">
        {from}
        {event.kind === 'actor' && `${event.name} starts`}
        {event.kind === 'stopped' && `${nameOf(event.actor)} stops`}
        {event.kind === 'sent' && (
          <>
            {event.from === null ? 'outside' : nameOf(event.from)} to {nameOf(event.to)}: <code>{event.event.type}</code>{' '}
            <span className="muted">{brief(event.event).slice(0, 300)}</span>
          </>
        )}
        {event.kind === 'snapshot' && (
          <>
            {nameOf(event.actor)} is <code>{stateText(event.snapshot.value) || event.snapshot.status}</code>{' '}
            <span className="muted">{event.event ? `after ${event.event.type}` : ''}</span>
          </>
        )}
      </span>
    </>
  );
}
