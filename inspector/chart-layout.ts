import ELK, { type ElkExtendedEdge, type ElkNode, type LayoutOptions } from 'elkjs/lib/elk-api.js';
import ElkWorker from 'elkjs/lib/elk-worker.min.js?worker&inline';
import type { ChartNode, ChartTransition } from '../src/inspect/chart.js';

export interface Point {
  x: number;
  y: number;
}

export interface Area extends Point {
  width: number;
  height: number;
}

/** A line of text in a box or on an arrow. */
export interface Row {
  kind: 'action' | 'transition';
  text: string;
  /** What takes more than one line goes on further in. */
  continued: boolean;
  /** The transition that it is part of. */
  transition: ChartTransition | null;
}

export interface Box extends Area {
  node: ChartNode;
  parent: ChartNode | null;
  title: string;
  rows: readonly Row[];
  /** Where its rows begin. */
  top: number;
}

/** An arrow: all transitions that lead from one state to another. */
export interface Route {
  transitions: readonly ChartTransition[];
  target: string;
  points: readonly Point[];
  label: (Area & { rows: readonly Row[] }) | null;
}

export interface Picture {
  width: number;
  height: number;
  /** Those around others first. */
  boxes: readonly Box[];
  routes: readonly Route[];
  /** Whether there are arrows; else each transition is named in its state's box. */
  routed: boolean;
}

/** Texts are in a monospace font, whose characters are about 0.6 of its size wide: the picture must fit where the font is another. */
export const font = { title: 13, text: 11, line: 15, titleLine: 24, tag: 10 };
const titleChar = font.title * 0.62;
const textChar = font.text * 0.62;
const tagChar = font.tag * 0.62;
const inset = 10;
const inside = { left: 22, right: 16, top: 14, bottom: 16 };
const widestRow = 46;
const widestLabel = 30;
const widestTitle = 48;
const mostLines = 4;
const widestTag = 24;
/** What ELK cannot route in the time that it gets is not tried. */
const mostArrows = 1500;
const patience = 10_000;

const ellipsis = (text: string, most: number): string => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

/** Broken at spaces; a word too long for a line, and lines too many, are cut. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(ellipsis(word, width));
  }
  return lines.length > mostLines ? [...lines.slice(0, mostLines - 1), `${lines[mostLines - 1]} …`] : lines;
}

export const tagText = (tag: string): string => ellipsis(tag, widestTag);
export const tagWidth = (tag: string): number => tagChar * tagText(tag).length + 10;

/** What it waits for: `event [guard]`. What is tried last, after others with guards, is `[else]`; `always` says nothing beside a guard. */
export function triggerText({ event, guard, index }: ChartTransition): string {
  const condition = guard === null ? (index > 0 ? '[else]' : '') : `[${guard}]`;
  return event === 'always' && condition ? condition : [event, condition].filter(Boolean).join(' ');
}

const rowsOf = (text: string, width: number, kind: Row['kind'], transition: ChartTransition | null): Row[] =>
  wrapped(text, width).map((line, at) => ({ kind, text: line, continued: at > 0, transition }));

const within = (id: string, node: ChartNode): boolean => node.children.some((child) => child.id === id || within(id, child));

/** The states by id, with those around them. */
function parentsOf(root: ChartNode): Map<string, { node: ChartNode; parent: ChartNode | null }> {
  const all = new Map<string, { node: ChartNode; parent: ChartNode | null }>();
  const add = (node: ChartNode, parent: ChartNode | null): void => {
    all.set(node.id, { node, parent });
    for (const child of node.children) add(child, node);
  };
  add(root, null);
  return all;
}

/** Each state and what is written in its box. */
class Sheet {
  readonly states: Map<string, { node: ChartNode; parent: ChartNode | null }>;
  readonly rows = new Map<string, Row[]>();

  constructor(
    readonly root: ChartNode,
    readonly routed: boolean,
  ) {
    this.states = parentsOf(root);
    for (const { node } of this.states.values()) this.rows.set(node.id, this.contentOf(node));
  }

  /** Whether a transition is an arrow. One that stays, or leads into or out of the box that it starts at, is plainer as a line of text. */
  isArrow({ source, targets: [target] }: ChartTransition): boolean {
    if (!this.routed || target === undefined || target === source) return false;
    const [from, to] = [this.states.get(source), this.states.get(target)];
    return from !== undefined && to !== undefined && !within(target, from.node) && !within(source, to.node);
  }

  private contentOf(node: ChartNode): Row[] {
    const actions = (word: string, names: readonly string[]): Row[] =>
      names.length > 0 ? rowsOf(`${word} / ${names.join(', ')}`, widestRow, 'action', null) : [];
    const inner = node.transitions.filter((transition) => !this.isArrow(transition));
    return [...actions('entry', node.entry), ...actions('exit', node.exit), ...inner.flatMap((transition) => this.lineOf(transition))];
  }

  private lineOf(transition: ChartTransition): Row[] {
    const { actions, targets, source } = transition;
    const to = targets.map((id) => (id === source ? 'itself' : (this.states.get(id)?.node.key ?? id)));
    const text = [triggerText(transition), actions.length > 0 ? `/ ${actions.join(', ')}` : '', to.length > 0 ? `→ ${to.join(', ')}` : ''];
    return rowsOf(text.filter(Boolean).join(' '), widestRow, 'transition', transition);
  }

  titleOf({ key, type }: ChartNode): string {
    return type === 'history' ? `↺ ${ellipsis(key, widestTitle)}` : ellipsis(key, widestTitle);
  }

  rowsOf(node: ChartNode): Row[] {
    return this.rows.get(node.id) ?? [];
  }

  /** What the texts of a box need. */
  sizeOf(node: ChartNode): { width: number; height: number } {
    const tags = node.tags.reduce((width, tag) => width + tagWidth(tag) + 5, 0);
    const rows = this.rowsOf(node);
    const widths = rows.map(({ text, continued }) => textChar * (text.length + (continued ? 2 : 0)));
    return {
      width: Math.ceil(Math.max(80, titleChar * this.titleOf(node).length + tags, ...widths) + 2 * inset),
      height: Math.ceil(font.titleLine + (rows.length > 0 ? rows.length * font.line + 10 : 2)),
    };
  }

  box(id: string, area: Area): Box {
    const { node, parent } = this.states.get(id) as { node: ChartNode; parent: ChartNode | null };
    return { ...area, node, parent, title: this.titleOf(node), rows: this.rowsOf(node), top: area.y + font.titleLine + 4 };
  }
}

/** Arrows from one state to another share a line; which of them comes first is how XState tries them. */
function arrowsOf(sheet: Sheet): { source: string; target: string; transitions: ChartTransition[] }[] {
  const arrows = new Map<string, { source: string; target: string; transitions: ChartTransition[] }>();
  for (const { node } of sheet.states.values())
    for (const transition of node.transitions.filter((each) => sheet.isArrow(each)))
      for (const target of transition.targets) {
        const key = JSON.stringify([node.id, target]);
        const arrow = arrows.get(key) ?? { source: node.id, target, transitions: [] };
        arrow.transitions.push(transition);
        arrows.set(key, arrow);
      }
  return [...arrows.values()];
}

const labelRows = (transition: ChartTransition): Row[] => [
  ...rowsOf(triggerText(transition), widestLabel, 'transition', transition),
  ...(transition.actions.length > 0 ? rowsOf(`/ ${transition.actions.join(', ')}`, widestLabel, 'action', transition) : []),
];

const common: LayoutOptions = {
  'elk.algorithm': 'layered',
  'elk.direction': 'DOWN',
  'elk.json.shapeCoords': 'ROOT',
  'elk.json.edgeCoords': 'ROOT',
  'elk.edgeRouting': 'ORTHOGONAL',
  'elk.spacing.nodeNode': '36',
  'elk.spacing.edgeNode': '16',
  'elk.spacing.edgeEdge': '12',
  'elk.spacing.edgeLabel': '2',
  'elk.spacing.labelLabel': '6',
  'elk.spacing.componentComponent': '24',
  'elk.aspectRatio': '1.5',
  'elk.layered.spacing.nodeNodeBetweenLayers': '22',
  'elk.layered.spacing.edgeNodeBetweenLayers': '14',
  'elk.layered.spacing.edgeEdgeBetweenLayers': '10',
};

/** States in the order in which they are written: a path's steps run down. ELK can do that only where no arrow crosses a border. */
const ordered: LayoutOptions = {
  ...common,
  'elk.hierarchyHandling': 'SEPARATE_CHILDREN',
  'elk.layered.considerModelOrder.strategy': 'NODES_AND_EDGES',
  'elk.layered.considerModelOrder.components': 'MODEL_ORDER',
};
const crossing: LayoutOptions = { ...common, 'elk.hierarchyHandling': 'INCLUDE_CHILDREN' };
/** As many regions beside each other as fit a screen. */
const sideBySide: LayoutOptions = { 'elk.aspectRatio': '3' };
/** ELK throws for some charts; it has less to trip over here. */
const simple: LayoutOptions = { ...crossing, 'elk.edgeRouting': 'POLYLINE', 'elk.layered.nodePlacement.strategy': 'SIMPLE' };

/** What ELK is asked. It knows states and arrows by number: it is given no text. */
class Plan {
  readonly arrows: ReturnType<typeof arrowsOf>;
  private readonly numbers: Map<string, number>;
  /** By how much a state turned out too narrow for its texts: ELK minds them only where no arrow crosses a border. */
  private readonly missing = new Map<string, number>();

  constructor(readonly sheet: Sheet) {
    this.arrows = arrowsOf(sheet);
    this.numbers = new Map([...sheet.states.keys()].map((id, number) => [id, number]));
  }

  get isFlat(): boolean {
    return this.arrows.every(({ source, target }) => this.sheet.states.get(source)?.parent === this.sheet.states.get(target)?.parent);
  }

  graph(options: LayoutOptions): ElkNode {
    return {
      id: 'picture',
      layoutOptions: { ...options, 'elk.padding': '[top=8,left=8,bottom=8,right=8]' },
      children: [this.node(this.sheet.root, options)],
      edges: this.arrows.map((arrow, number) => this.edge(arrow, number)),
    };
  }

  private idOf(id: string): string {
    return `n${this.numbers.get(id)}`;
  }

  private node(node: ChartNode, options: LayoutOptions): ElkNode {
    const { width, height } = this.sheet.sizeOf(node);
    const id = this.idOf(node.id);
    if (node.children.length === 0) return { id, width, height };
    const right = inside.right + (this.missing.get(node.id) ?? 0);
    return {
      id,
      children: node.children.map((child) => this.node(child, options)),
      layoutOptions: {
        ...options,
        ...(node.type === 'parallel' ? sideBySide : {}),
        'elk.padding': `[top=${height + inside.top},left=${inside.left},bottom=${inside.bottom},right=${right}]`,
        'elk.nodeSize.constraints': 'MINIMUM_SIZE',
        'elk.nodeSize.minimum': `(${width},${height})`,
      },
    };
  }

  /** An arrow to a state further up is given the other way round: what is written first shall be on top, cycle or not. */
  private isReversed({ source, target }: { source: string; target: string }): boolean {
    return (this.numbers.get(source) ?? 0) > (this.numbers.get(target) ?? 0);
  }

  private edge(arrow: Plan['arrows'][number], number: number): ElkExtendedEdge {
    const rows = arrow.transitions.flatMap(labelRows);
    const longest = Math.max(...rows.map(({ text, continued }) => text.length + (continued ? 2 : 0)));
    const reversed = this.isReversed(arrow);
    const [from, to] = reversed ? [arrow.target, arrow.source] : [arrow.source, arrow.target];
    const label = {
      text: 'label',
      width: Math.ceil(textChar * longest + 8),
      height: rows.length * font.line + 2,
      layoutOptions: {
        'elk.edgeLabels.inline': 'true',
        // A label is read together with the state that the arrow leaves.
        'elk.layered.edgeLabels.centerLabelPlacementStrategy': reversed ? 'HEAD_LAYER' : 'TAIL_LAYER',
      },
    };
    return { id: `e${number}`, sources: [this.idOf(from)], targets: [this.idOf(to)], labels: [label] };
  }

  picture(laid: ElkNode): Picture {
    const areas = new Map<string, Area>();
    const edges = new Map<string, ElkExtendedEdge>();
    const collect = (node: ElkNode): void => {
      areas.set(node.id, areaOf(node));
      for (const edge of node.edges ?? []) edges.set(edge.id, edge);
      for (const child of node.children ?? []) collect(child);
    };
    collect(laid);
    const routes = this.arrows.map((arrow, number): Route => {
      const edge = edges.get(`e${number}`);
      const points = (edge?.sections ?? []).flatMap(({ startPoint, bendPoints = [], endPoint }) => [startPoint, ...bendPoints, endPoint]);
      const label = edge?.labels?.[0];
      return {
        target: arrow.target,
        transitions: arrow.transitions,
        points: this.isReversed(arrow) ? points.reverse() : points,
        label: label ? { ...areaOf(label), rows: arrow.transitions.flatMap(labelRows) } : null,
      };
    });
    const boxes = [...this.sheet.states.keys()].map((id) => this.sheet.box(id, areas.get(this.idOf(id)) as Area));
    return { width: Math.ceil(laid.width ?? 0), height: Math.ceil(laid.height ?? 0), boxes, routes, routed: true };
  }

  /** Makes room for texts wider than their boxes. Whether there were any. */
  widen({ boxes }: Picture): boolean {
    for (const { node, width } of boxes) {
      const missing = this.sheet.sizeOf(node).width - width;
      if (missing > 0) this.missing.set(node.id, missing);
    }
    return this.missing.size > 0;
  }
}

const areaOf = ({ x = 0, y = 0, width = 0, height = 0 }: Partial<Area>): Area => ({ x, y, width, height });

/** Boxes in boxes, row by row, each with all its transitions as text: it cannot fail and is done at once. */
export function cards(root: ChartNode): Picture {
  const sheet = new Sheet(root, false);
  const boxes: Box[] = [];
  const gap = 16;
  const widest = Math.max(1200, 260 * Math.sqrt(sheet.states.size));
  const place = (node: ChartNode, x: number, y: number): Area => {
    const own = sheet.sizeOf(node);
    const at = boxes.push(sheet.box(node.id, { x, y, ...own })) - 1;
    let [left, top, below, right] = [x + inside.left, y + own.height + inside.top, y + own.height, x + own.width];
    for (const child of node.children) {
      const first = boxes.length;
      let area = place(child, left, top);
      if (left > x + inside.left && area.x + area.width > x + widest) {
        boxes.length = first;
        [left, top] = [x + inside.left, below + gap];
        area = place(child, left, top);
      }
      left = area.x + area.width + gap;
      below = Math.max(below, area.y + area.height);
      right = Math.max(right, area.x + area.width + inside.right);
    }
    const area = { x, y, width: right - x, height: (node.children.length > 0 ? below + inside.bottom : below) - y };
    boxes[at] = sheet.box(node.id, area);
    return area;
  };
  const { width, height } = place(root, 8, 8);
  return { width: width + 16, height: height + 16, boxes, routes: [], routed: false };
}

let elk: InstanceType<typeof ELK> | null = null;

/** @throws when ELK does, or when it takes too long; then the worker is given up. */
async function laidOut(graph: ElkNode): Promise<ElkNode> {
  elk ??= new ELK({ workerFactory: () => new ElkWorker() });
  const mine = elk;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      mine.terminateWorker();
      if (elk === mine) elk = null;
      reject(new Error('the layout takes too long'));
    }, patience);
  });
  try {
    return await Promise.race([mine.layout(graph), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function draw(root: ChartNode): Promise<Picture> {
  const plan = new Plan(new Sheet(root, true));
  const until = performance.now() + patience;
  if (plan.arrows.length > mostArrows) return cards(root);
  for (const options of [plan.isFlat ? ordered : crossing, simple]) {
    if (performance.now() >= until) break;
    try {
      const picture = plan.picture(await laidOut(plan.graph(options)));
      return plan.widen(picture) ? plan.picture(await laidOut(plan.graph(options))) : picture;
    } catch {
      // The next attempt is simpler.
    }
  }
  return cards(root);
}

const pictures = new WeakMap<ChartNode, Promise<Picture>>();

/** The picture of a chart; made once. Never rejects. */
export function layOut(root: ChartNode): Promise<Picture> {
  const picture = pictures.get(root) ?? draw(root);
  pictures.set(root, picture);
  return picture;
}
