import { type JSX, type KeyboardEvent, memo, type PointerEvent, type RefObject, useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from 'react';
import { type ChartNode, type ChartTransition, eventName } from '../src/inspect/chart.js';
import { type Box, font, layOut, type Picture, type Point, type Route, type Row, tagText, tagWidth, triggerText } from './chart-layout.js';
import './chart.css';

interface Taken {
  source: string;
  event: string;
  index: number;
}

const inset = 10;
const corner = 7;
const smallest = 0.1;
const largest = 3;
/** Smaller than this, texts cannot be read: a large chart starts at this scale, not as a whole. */
const readable = 0.8;

const same = (transition: ChartTransition, taken: Taken | null): boolean =>
  taken !== null && transition.source === taken.source && transition.index === taken.index && transition.event === eventName(taken.event, taken.source);

function sentenceOf(transition: ChartTransition): string {
  const { event, actions, targets } = transition;
  const trigger = triggerText(transition);
  const parts = [actions.length > 0 ? `does ${actions.join(', ')}` : '', targets.length > 0 ? `goes to ${targets.join(', ')}` : ''].filter(Boolean);
  const when = event !== 'always' ? `On ${trigger}` : trigger === 'always' ? 'Always' : `Always ${trigger}`;
  return `${when} ${parts.join(' and ') || 'does nothing'}.`;
}

const ended = (text: string): string => (text === '' || /[.!?]$/.test(text) ? text : `${text}.`);

/** All that the picture says of a state, for who cannot see it. */
function sayState({ node }: Box, active: boolean, initial: boolean): string {
  const traits = [
    node.type === 'atomic' ? '' : node.type,
    initial ? 'initial' : '',
    active ? 'active' : '',
    node.tags.length > 0 ? `tagged ${node.tags.join(', ')}` : '',
  ].filter(Boolean);
  const actions = [
    node.entry.length > 0 ? `On entry does ${node.entry.join(', ')}.` : '',
    node.exit.length > 0 ? `On exit does ${node.exit.join(', ')}.` : '',
  ].filter(Boolean);
  return [`${node.key}${traits.length > 0 ? ` (${traits.join('; ')})` : ''}.`, ended(node.description), ...actions, ...node.transitions.map(sentenceOf)]
    .filter(Boolean)
    .join(' ');
}

/** A line with round corners. */
function pathOf(points: readonly Point[]): string {
  const parts: string[] = [];
  for (const [at, { x, y }] of points.entries()) {
    const [before, after] = [points[at - 1], points[at + 1]];
    if (!before || !after) {
      parts.push(`${at === 0 ? 'M' : 'L'}${x} ${y}`);
      continue;
    }
    const towards = (other: Point): string => {
      const length = Math.hypot(other.x - x, other.y - y) || 1;
      const part = Math.min(corner, length / 2) / length;
      return `${x + (other.x - x) * part} ${y + (other.y - y) * part}`;
    };
    parts.push(`L${towards(before)}Q${x} ${y} ${towards(after)}`);
  }
  return parts.join('');
}

function Arrowhead({ points }: { points: readonly Point[] }): JSX.Element | null {
  const [from, to] = [points.at(-2), points.at(-1)];
  if (!from || !to) return null;
  const degrees = (Math.atan2(to.y - from.y, to.x - from.x) * 180) / Math.PI;
  return <path className="chart-head" d="M0 0L-9 -4.5L-9 4.5Z" transform={`translate(${to.x} ${to.y}) rotate(${degrees})`} />;
}

function Rows({ rows, x, y, taken }: { rows: readonly Row[]; x: number; y: number; taken: Taken | null }): JSX.Element {
  return (
    <>
      {rows.map((row, at) => (
        <text
          // biome-ignore lint/suspicious/noArrayIndexKey: the lines of a box never change
          key={at}
          className={`chart-row chart-${row.kind}${row.transition && same(row.transition, taken) ? ' chart-taken' : ''}`}
          x={x + (row.continued ? 13 : 0)}
          y={y + at * font.line + 11}
        >
          {row.text}
        </text>
      ))}
    </>
  );
}

function Tags({ box }: { box: Box }): JSX.Element {
  let right = box.x + box.width - inset + 4;
  return (
    <>
      {[...box.node.tags].reverse().map((tag) => {
        const width = tagWidth(tag);
        right -= width + 4;
        const bug = tag === 'BUG' ? ' chart-bug' : '';
        return (
          <g key={tag}>
            <rect className={`chart-tag${bug}`} x={right} y={box.y + 5} width={width} height={14} rx={7} />
            <text className={`chart-tag-text${bug}`} x={right + 5} y={box.y + 15.5}>
              {tagText(tag)}
            </text>
          </g>
        );
      })}
    </>
  );
}

/** A dot with an arrow into the box's corner. */
function InitialMarker({ box }: { box: Box }): JSX.Element {
  const end = { x: box.x, y: box.y + 13 };
  return (
    <g>
      <circle className="chart-dot" cx={box.x - 13} cy={box.y - 5} r={4.5} />
      <path className="chart-line" d={`M${box.x - 13} ${box.y - 2}Q${box.x - 13} ${end.y} ${end.x - 6} ${end.y}`} />
      <Arrowhead points={[{ x: end.x - 6, y: end.y }, end]} />
    </g>
  );
}

interface StateProps {
  box: Box;
  active: boolean;
  region: boolean;
  initial: boolean;
  level: number;
  focusable: boolean;
  taken: Taken | null;
  onPoint: (id: string | null) => void;
  onFocus: (id: string) => void;
}

const State = memo(function State({ box, active, region, initial, level, focusable, taken, onPoint, onFocus }: StateProps): JSX.Element {
  const { x, y, width, height, node } = box;
  const classes = [
    'chart-state',
    `chart-${node.type}`,
    region ? 'chart-region' : '',
    active ? 'chart-active' : '',
    active && node.children.length === 0 ? 'chart-innermost' : '',
    node.tags.includes('BUG') ? 'chart-bug' : '',
  ];
  return (
    <g className={classes.filter(Boolean).join(' ')} onPointerEnter={() => onPoint(node.id)} onPointerLeave={() => onPoint(null)}>
      {node.description && <title>{node.description}</title>}
      <rect className="chart-box" x={x} y={y} width={width} height={height} rx={6} />
      {node.type === 'final' && <rect className="chart-inner" x={x + 3.5} y={y + 3.5} width={width - 7} height={height - 7} rx={4} />}
      <text className="chart-title" x={x + inset} y={y + 17}>
        {box.title}
      </text>
      {node.children.length > 0 && <path className="chart-rule" d={`M${x} ${y + font.titleLine}h${width}`} />}
      <Tags box={box} />
      <Rows rows={box.rows} x={x + inset} y={box.top} taken={taken} />
      {initial && <InitialMarker box={box} />}
      {/* What is said of a state is not what is written in it: so it is said of a frame around it. */}
      <rect
        className="chart-frame"
        x={x}
        y={y}
        width={width}
        height={height}
        rx={6}
        role="treeitem"
        aria-label={sayState(box, active, initial)}
        aria-level={level}
        aria-selected={active}
        tabIndex={focusable ? 0 : -1}
        data-id={node.id}
        onFocus={() => onFocus(node.id)}
      />
    </g>
  );
});

const Arrow = memo(function Arrow({ route, taken, hot }: { route: Route; taken: Taken | null; hot: boolean }): JSX.Element {
  const isTaken = route.transitions.some((transition) => same(transition, taken));
  return (
    <g className={`chart-arrow${isTaken ? ' chart-taken' : ''}${hot ? ' chart-hot' : ''}`}>
      <path className="chart-line" d={pathOf(route.points)} />
      <Arrowhead points={route.points} />
    </g>
  );
});

const Label = memo(function Label({ route, taken, hot }: { route: Route; taken: Taken | null; hot: boolean }): JSX.Element | null {
  if (!route.label) return null;
  const { x, y, width, height, rows } = route.label;
  const isTaken = route.transitions.some((transition) => same(transition, taken));
  return (
    <g className={`chart-label${isTaken ? ' chart-taken' : ''}${hot ? ' chart-hot' : ''}`}>
      <title>{route.transitions.map(sentenceOf).join('\n')}</title>
      <rect className="chart-plate" x={x} y={y} width={width} height={height} rx={3} />
      <Rows rows={rows} x={x + 4} y={y + 1} taken={taken} />
    </g>
  );
});

/** Properties that make a picture look the same where the page's styles are not. */
const styled = {
  text: ['fill', 'font-family', 'font-size', 'font-weight'],
  shape: ['fill', 'stroke', 'stroke-width', 'stroke-dasharray'],
};

/** Characters that a name may have and an XML file may not. */
const notXml = /[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu;

/** The SVG as a file of its own: its styles are in its elements, and nothing in it refers to the page. */
function standalone(svg: SVGSVGElement, { width, height }: Picture, title: string): string {
  const copy = svg.cloneNode(true) as SVGSVGElement;
  const originals = svg.querySelectorAll('*');
  for (const [at, element] of [...copy.querySelectorAll('*')].entries()) {
    const style = getComputedStyle(originals[at] as Element);
    for (const { name } of [...element.attributes])
      if (name === 'class' || name === 'tabindex' || name === 'role' || /^(aria|data)-/.test(name)) element.removeAttribute(name);
    const names = element.tagName === 'text' ? styled.text : /^(rect|path|circle)$/.test(element.tagName) ? styled.shape : [];
    for (const name of names) element.setAttribute(name, style.getPropertyValue(name));
  }
  for (const { name } of [...copy.attributes]) copy.removeAttribute(name);
  copy.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  copy.setAttribute('viewBox', `0 0 ${width} ${height}`);
  copy.setAttribute('width', String(width));
  copy.setAttribute('height', String(height));
  const name = document.createElementNS('http://www.w3.org/2000/svg', 'title');
  name.textContent = title;
  copy.prepend(name);
  return `<?xml version="1.0" encoding="UTF-8"?>\n${new XMLSerializer().serializeToString(copy).replace(notXml, '\uFFFD')}\n`;
}

function download(text: string, name: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: 'image/svg+xml' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** The picture of a chart, and the chart that it is of: while the next one is made, the previous one stays. */
function usePicture(chart: ChartNode): { picture: Picture | null; of: ChartNode | null } {
  const [shown, setShown] = useState<{ picture: Picture | null; of: ChartNode | null }>({ picture: null, of: null });
  useEffect(() => {
    let current = true;
    void layOut(chart).then((picture) => {
      if (current) setShown({ picture, of: chart });
    });
    return () => {
      current = false;
    };
  }, [chart]);
  return shown;
}

/** Dragging scrolls. */
function useDrag(view: RefObject<HTMLElement | null>): { onPointerDown: (event: PointerEvent) => void } {
  return {
    onPointerDown: ({ button, pointerType, clientX, clientY, pointerId }) => {
      const element = view.current;
      if (!element || button !== 0 || pointerType === 'touch') return;
      const [left, top] = [element.scrollLeft, element.scrollTop];
      const move = (event: globalThis.PointerEvent): void => {
        if (event.pointerId !== pointerId) return;
        element.classList.add('chart-dragged');
        element.scrollTo({ left: left + clientX - event.clientX, top: top + clientY - event.clientY, behavior: 'instant' });
      };
      const end = (): void => {
        element.classList.remove('chart-dragged');
        removeEventListener('pointermove', move);
        removeEventListener('pointerup', end);
        removeEventListener('pointercancel', end);
      };
      addEventListener('pointermove', move);
      addEventListener('pointerup', end);
      addEventListener('pointercancel', end);
    },
  };
}

const clamp = (scale: number): number => Math.min(largest, Math.max(smallest, scale));

const whole = ({ clientWidth, clientHeight }: Element, { width, height }: Picture): number =>
  clamp(Math.min((clientWidth - 2) / width, (clientHeight - 2) / height, 1));

/** Scrolls only if it is out of sight. */
function reveal(element: Element, { x, y, width, height }: Box, scale: number): void {
  const margin = 24;
  const into = (at: number, size: number, from: number, room: number): number => {
    const [start, end] = [at * scale - margin, (at + size) * scale + margin];
    return start < from || end > from + room ? (end - start > room ? start : (start + end - room) / 2) : from;
  };
  element.scrollTo({
    left: into(x, width, element.scrollLeft, element.clientWidth),
    top: into(y, height, element.scrollTop, element.clientHeight),
    behavior: 'instant',
  });
}

interface Zoom {
  scale: number;
  /** The picture that it was chosen for. */
  scaled: Picture | null;
  zoom: (to: (scale: number) => number) => void;
  fit: () => void;
}

/** The scale of a picture in its view: changed around the middle of what is seen. */
function useZoom(view: RefObject<HTMLElement | null>, picture: Picture | null): Zoom {
  const [{ scale, scaled }, setScale] = useState<Pick<Zoom, 'scale' | 'scaled'>>({ scale: 1, scaled: null });
  const middle = useRef<Point | null>(null);
  const zoom = (to: (scale: number) => number): void => {
    const element = view.current;
    if (!element) return;
    middle.current = { x: (element.scrollLeft + element.clientWidth / 2) / scale, y: (element.scrollTop + element.clientHeight / 2) / scale };
    setScale({ scale: clamp(to(scale)), scaled });
  };
  useLayoutEffect(() => {
    const element = view.current;
    if (element && middle.current)
      element.scrollTo({
        left: middle.current.x * scale - element.clientWidth / 2,
        top: middle.current.y * scale - element.clientHeight / 2,
        behavior: 'instant',
      });
    middle.current = null;
  }, [scale, view]);
  useLayoutEffect(() => {
    if (view.current && picture) setScale({ scale: Math.max(readable, whole(view.current, picture)), scaled: picture });
  }, [picture, view]);
  return { scale, scaled, zoom, fit: () => zoom(() => (view.current && picture ? whole(view.current, picture) : 1)) };
}

/** The tree in the order in which it is written, as arrow keys go through it. */
function neighbour(boxes: readonly Box[], id: string, key: string): string | undefined {
  const at = boxes.findIndex(({ node }) => node.id === id);
  const box = boxes[at];
  switch (key) {
    case 'ArrowDown':
      return boxes[at + 1]?.node.id;
    case 'ArrowUp':
      return boxes[at - 1]?.node.id;
    case 'ArrowLeft':
      return box?.parent?.id;
    case 'ArrowRight':
      return box?.node.children[0]?.id;
    case 'Home':
      return boxes[0]?.node.id;
    case 'End':
      return boxes.at(-1)?.node.id;
    default:
      return undefined;
  }
}

/** States by id: how deep they are, and which are initial or regions. */
function rolesOf(boxes: readonly Box[]): Map<string, { level: number; region: boolean; initial: boolean }> {
  const roles = new Map<string, { level: number; region: boolean; initial: boolean }>();
  for (const { node, parent } of boxes)
    roles.set(node.id, {
      level: parent ? (roles.get(parent.id)?.level ?? 0) + 1 : 1,
      region: parent?.type === 'parallel',
      initial: parent?.initial === node.id,
    });
  return roles;
}

/** The statechart of an actor: its states, which of them are active, and the transition just taken. */
export function Chart({ chart, active, taken, title }: { chart: ChartNode; active: ReadonlySet<string>; taken: Taken | null; title: string }): JSX.Element {
  const { picture, of } = usePicture(chart);
  const view = useRef<HTMLDivElement>(null);
  const svg = useRef<SVGSVGElement>(null);
  const help = useId();
  const drag = useDrag(view);
  const { scale, scaled, zoom, fit } = useZoom(view, picture);
  const [pointed, setPointed] = useState<string | null>(null);
  const [inside, setInside] = useState(false);
  const [focused, setFocused] = useState<string | null>(null);
  const roles = useMemo(() => rolesOf(picture?.boxes ?? []), [picture]);
  const boxes = picture?.boxes ?? [];
  const innermost = boxes.filter(({ node }) => active.has(node.id) && !node.children.some(({ id }) => active.has(id)));
  const entry = focused !== null && roles.has(focused) ? focused : (innermost[0] ?? boxes[0])?.node.id;
  const hot = pointed ?? (inside ? focused : null);
  const described = boxes.find(({ node }) => node.id === hot)?.node;

  const places = innermost.map(({ node }) => node.id).join('\n');
  // biome-ignore lint/correctness/useExhaustiveDependencies: only a change of place or picture may scroll, not the next render
  useLayoutEffect(() => {
    const changed = innermost.find(
      ({ node }) => taken && (node.id === taken.source || boxes.some((box) => box.node.id === node.id && box.parent?.id === taken.source)),
    );
    const target = changed ?? innermost[0];
    if (view.current && target) reveal(view.current, target, scale);
  }, [places, scaled]);

  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const zooms: Record<string, () => void> = {
      '+': () => zoom((now) => now * 1.25),
      '=': () => zoom((now) => now * 1.25),
      '-': () => zoom((now) => now / 1.25),
      '0': fit,
    };
    const zooming = zooms[event.key];
    const id = (event.target as Element).getAttribute('data-id');
    const next = id === null ? undefined : neighbour(boxes, id, event.key);
    if (zooming) zooming();
    else if (next !== undefined) {
      const box = boxes.find(({ node }) => node.id === next);
      [...(svg.current?.querySelectorAll<SVGElement>('[role=treeitem]') ?? [])]
        .find((element) => element.getAttribute('data-id') === next)
        ?.focus({ preventScroll: true });
      if (view.current && box) reveal(view.current, box, scale);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <section className="chart" aria-label={title} aria-busy={of !== chart}>
      <div className="chart-bar">
        <button type="button" aria-label="Zoom out" disabled={!picture} onClick={() => zoom((now) => now / 1.25)}>
          −
        </button>
        <button type="button" aria-label="Zoom in" disabled={!picture} onClick={() => zoom((now) => now * 1.25)}>
          +
        </button>
        <button type="button" disabled={!picture} onClick={fit}>
          Fit
        </button>
        <button
          type="button"
          disabled={!picture}
          onClick={() =>
            svg.current && picture && download(standalone(svg.current, picture, title), `${(of?.id ?? 'chart').replace(/[^\w.-]+/g, '_').slice(0, 60)}.svg`)
          }
        >
          Save SVG
        </button>
        <span id={help} className="chart-help">
          Drag or scroll to move; + − 0 zoom; arrow keys go from state to state
        </span>
        <span role="status" className="chart-help">
          {of === chart ? (picture?.routed === false ? 'Shown without arrows: too large to route' : '') : 'Laying out …'}
        </span>
      </div>
      <div
        ref={view}
        className="chart-view"
        role="tree"
        aria-label={`States of ${title}`}
        aria-describedby={help}
        aria-multiselectable
        tabIndex={-1}
        onKeyDown={onKeyDown}
        onFocus={() => setInside(true)}
        onBlur={() => setInside(false)}
        {...drag}
      >
        {picture && (
          <svg
            ref={svg}
            className="chart-svg"
            role="presentation"
            viewBox={`0 0 ${picture.width} ${picture.height}`}
            width={picture.width * scale}
            height={picture.height * scale}
          >
            <rect className="chart-ground" aria-hidden width={picture.width} height={picture.height} />
            {picture.boxes.map((box) => {
              const { level = 1, region = false, initial = false } = roles.get(box.node.id) ?? {};
              const isOwn = taken !== null && taken.source === box.node.id;
              return (
                <State
                  key={box.node.id}
                  box={box}
                  active={active.has(box.node.id)}
                  region={region}
                  initial={initial}
                  level={level}
                  focusable={entry === box.node.id}
                  taken={isOwn ? taken : null}
                  onPoint={setPointed}
                  onFocus={setFocused}
                />
              );
            })}
            <g aria-hidden>
              {picture.routes.map((route) => (
                <Arrow key={`${route.transitions[0]?.source}\n${route.target}`} route={route} taken={taken} hot={isHot(route, hot)} />
              ))}
              {picture.routes.map((route) => (
                <Label key={`${route.transitions[0]?.source}\n${route.target}`} route={route} taken={taken} hot={isHot(route, hot)} />
              ))}
            </g>
          </svg>
        )}
      </div>
      <p className="chart-detail" aria-hidden>
        {described ? (
          <>
            <span className="chart-key">{described.key}</span> {described.description}
          </>
        ) : (
          ' '
        )}
      </p>
    </section>
  );
}

const isHot = ({ transitions, target }: Route, id: string | null): boolean => id !== null && (target === id || transitions[0]?.source === id);
