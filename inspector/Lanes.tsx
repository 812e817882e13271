import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useMemo, useRef, useState } from 'react';
import { brief } from '../src/format/text.js';
import { type Row, rowsOf } from '../src/inspect/rows.js';
import { actionOf, sentenceOf } from '../src/inspect/sentence.js';
import type { WalkMessage } from '../src/inspect/walk.js';
import type { SystemActor } from '../src/system/system.js';
import { bugNodes, placeOf, rests } from '../src/system/view.js';
import type { Store } from './store.js';

const line = 22;
const gutter = 96;
const narrowest = 112;

interface Lane {
  actor: SystemActor;
  x: number;
}

/** Messages that a row draws: those between lanes that are shown. */
const arrows = (store: Store, number: number, lanes: ReadonlyMap<number, Lane>): WalkMessage[] =>
  store.walk.stepAt(number).messages.filter(({ from, to }) => from !== null && lanes.has(from.index) && lanes.has(to.index));

const heightOf = (store: Store, row: Row, lanes: ReadonlyMap<number, Lane>): number =>
  row.kind === 'fold' ? line + 4 : line + 8 + arrows(store, row.number, lanes).length * line;

/** One step: what is done in which lane, the messages that follow, and where the actors are then. */
function Step({
  store,
  number,
  lanes,
  width,
  isCurrent,
  beginsLoop,
  onOpen,
}: {
  store: Store;
  number: number;
  lanes: ReadonlyMap<number, Lane>;
  width: number;
  isCurrent: boolean;
  /** From this step on the schedule can be repeated for ever. */
  beginsLoop: boolean;
  onOpen: () => void;
}) {
  const step = store.walk.stepAt(number);
  const { actor } = step.choice;
  const action = actionOf(step, store.walk.snapshot(actor, number - 1));
  const messages = arrows(store, number, lanes);
  const height = line + 8 + messages.length * line;
  const own = lanes.get(actor.index);
  const moved = step.changed.filter(({ before, after }) => placeOf(before) !== placeOf(after));
  const isTaken = number <= store.at;
  return (
    <div className={`step ${isCurrent ? 'current' : ''} ${isTaken ? '' : 'ahead'} ${beginsLoop ? 'loop' : ''}`} style={{ height, width }}>
      <svg width={width} height={height} aria-hidden="true">
        <text x={8} y={17} className="number">
          {number}
        </text>
        <text x={36} y={17} className="lane-name">
          {clip((actor.lane ?? '').replace(/ ?\(.*\)$/, ''), 8)}
        </text>
        {[...lanes.values()].map(({ actor: { address }, x }) => (
          <line key={address} x1={x} y1={0} x2={x} y2={height} className="lifeline" />
        ))}
        {own && (
          <g>
            <rect x={own.x - 54} y={3} width={108} height={line - 2} rx={4} className={step.choice.fair ? 'action' : 'action environment'} />
            <title>{action}</title>
            <text x={own.x} y={18} className="label">
              {clip(action, 16)}
            </text>
          </g>
        )}
        {!own && (
          <text x={gutter} y={18} className="away">
            {clip(`${actor.address}: ${action}`, 60)}
          </text>
        )}
        {messages.map((message, at) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: the messages of a step stay as they are
          <Arrow key={at} message={message} y={line + 4 + (at + 0.7) * line} lanes={lanes} />
        ))}
        {moved.map(({ actor: { index, address }, after }) => {
          const lane = lanes.get(index);
          const isBug = bugNodes(after).length > 0;
          return lane && (isBug || index !== actor.index) ? (
            <g key={address}>
              <circle cx={lane.x} cy={height - 5} r={4} className={isBug ? 'moved bug' : 'moved'} />
            </g>
          ) : null;
        })}
      </svg>
      <button
        type="button"
        className="cover"
        onClick={onOpen}
        aria-current={isCurrent ? 'step' : undefined}
        aria-label={`${beginsLoop ? 'From here on, for ever. ' : ''}${sentenceOf(store.walk, number)}`}
      />
    </div>
  );
}

const clip = (text: string, length: number): string => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

function Arrow({ message: { from, to, event }, y, lanes }: { message: WalkMessage; y: number; lanes: ReadonlyMap<number, Lane> }) {
  const [one, other] = [lanes.get((from as SystemActor).index)?.x ?? 0, lanes.get(to.index)?.x ?? 0];
  const text = [event.type, brief(event)].filter((part) => part !== '').join(' ');
  const forward = other >= one;
  const room = Math.max(Math.abs(other - one) / 6.4 - 3, 18);
  if (one === other)
    return (
      <text x={one + 8} y={y - 4} className="message">
        ↻ {clip(text, 24)}
      </text>
    );
  const end = forward ? other - 2 : other + 2;
  return (
    <g>
      <line x1={one} y1={y} x2={end} y2={y} className="arrow" />
      <path
        d={forward ? `M${end - 7},${y - 4} L${end},${y} L${end - 7},${y + 4}` : `M${end + 7},${y - 4} L${end},${y} L${end + 7},${y + 4}`}
        className="head"
      />
      <text x={(one + other) / 2} y={y - 4} className="message" textAnchor="middle">
        {clip(text, room)}
      </text>
    </g>
  );
}

/** The schedule as a sequence diagram: a lane an actor, time running down. */
export function Lanes({ store, order, onActor }: { store: Store; order: readonly SystemActor[]; onActor: (actor: SystemActor) => void }) {
  const scroller = useRef<HTMLElement>(null);
  const [fold, setFold] = useState(true);
  const [open, setOpen] = useState<ReadonlySet<number>>(new Set());
  const [room, setRoom] = useState(900);
  useEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const observer = new ResizeObserver(() => setRoom(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const each = Math.max((room - gutter - 16) / Math.max(order.length, 1), narrowest);
  const width = gutter + each * order.length;
  const lanes = useMemo(() => new Map(order.map((actor, at) => [actor.index, { actor, x: gutter + each * (at + 0.5) }])), [order, each]);
  const length = store.walk.length;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the revision says when it is another schedule
  const loop = useMemo(() => store.walk.loop(), [store.walk, store.walk.revision]);
  const rows = useMemo(() => rowsOf(store.walk, { fold, open, loop }), [store.walk, store.walk.revision, fold, open, loop]);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: (at) => heightOf(store, rows[at] as Row, lanes),
    overscan: 12,
  });
  const currentRow = rows.findIndex((row) => (row.kind === 'step' ? row.number === store.at : row.from <= store.at && store.at <= row.to));
  // biome-ignore lint/correctness/useExhaustiveDependencies: sizes follow from the rows and lanes
  useEffect(() => virtual.measure(), [rows, lanes]);
  useEffect(() => {
    if (currentRow >= 0) virtual.scrollToIndex(currentRow, { align: 'auto' });
    else scroller.current?.scrollTo({ top: 0 });
  }, [currentRow, virtual]);
  return (
    <section className="lanes" aria-label="Lanes">
      <div className="lanes-bar">
        <label>
          <input type="checkbox" checked={fold} onChange={(event) => setFold(event.target.checked)} /> fold idle stretches
        </label>
        <span className="muted">
          {store.at} of {length} steps
        </span>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and must do so by keyboard */}
      <section className="lanes-scroll" ref={scroller} tabIndex={0} aria-label="Schedule, a row a step">
        <div className="lanes-head" style={{ width }}>
          {order.map((actor, at) => {
            const snapshot = store.walk.snapshot(actor, store.at);
            const isBug = bugNodes(snapshot).length > 0;
            return (
              <button
                type="button"
                key={actor.address}
                className={`lane-head ${isBug ? 'bug' : ''} ${rests(snapshot) ? 'rests' : ''}`}
                style={{ left: gutter + each * at, width: each }}
                title={`${actor.address}${actor.lane === null ? '' : ` (${actor.lane})`}: ${placeOf(snapshot)}. Show its statechart`}
                onClick={() => onActor(actor)}
              >
                <strong>{actor.address}</strong>
                <span>{placeOf(snapshot)}</span>
              </button>
            );
          })}
        </div>
        <div className="lanes-rows" style={{ height: virtual.getTotalSize(), width }}>
          {virtual.getVirtualItems().map((item) => {
            const row = rows[item.index] as Row;
            return (
              <div key={item.key} className="lanes-row" style={{ transform: `translateY(${item.start}px)` }}>
                {row.kind === 'fold' ? (
                  <button type="button" className="fold" style={{ width }} onClick={() => setOpen(new Set([...open, row.from]))}>
                    {`steps ${row.from} to ${row.to} concern nobody else: show them`}
                  </button>
                ) : (
                  <Step
                    store={store}
                    number={row.number}
                    lanes={lanes}
                    width={width}
                    isCurrent={row.number === store.at}
                    beginsLoop={row.number - 1 === loop}
                    onOpen={() => store.jump(row.number)}
                  />
                )}
              </div>
            );
          })}
          {length === 0 && <p className="empty">No step yet. Choose one on the right (keys 1 to 9), or let the explorer find a violation (f).</p>}
        </div>
      </section>
    </section>
  );
}
