import type { FixedPoint } from './fixed-point.js';
import { listLength, type NumberedGraph } from './numbered.js';

/** There is no such call, or one that does not count. */
const none = -1;
/** A call by a function that is not converted: it has a mapping, which is a source. */
const source = -2;

/** Who gives a point that is converted its mapping: its callers, and the slots that it is called through. */
class Upwards {
  constructor(
    private readonly numbered: NumberedGraph,
    private readonly converted: FixedPoint,
  ) {}

  count(point: number): number {
    const { sites, slotsOf, functions } = this.numbered;
    return listLength(sites, point) + (point < functions ? listLength(slotsOf, point) : 0);
  }

  /** The point at place `at` of them, {@link source}, or {@link none}: a slot that nothing is called through. */
  to(point: number, at: number): number {
    const { sites, slotsOf, callers } = this.numbered;
    const first = sites.start[point] as number;
    const own = listLength(sites, point);
    if (at >= own) {
      const slot = slotsOf.items[(slotsOf.start[point] as number) + at - own] as number;
      return listLength(sites, slot) > 0 ? slot : none;
    }
    const caller = callers[sites.items[first + at] as number] as number;
    return this.converted.has(caller) ? caller : source;
  }
}

/** Per point the number of its strongly connected component: Tarjan's algorithm, with stacks of its own. */
function components(up: Upwards, converted: FixedPoint, points: number): Int32Array {
  const component = new Int32Array(points).fill(none);
  // The order in which points are met, from 1; and the earliest that each is known to lead back to.
  const met = new Int32Array(points);
  const low = new Int32Array(points);
  const next = new Int32Array(points);
  const way = new Int32Array(points);
  const left = new Int32Array(points);
  let [order, depth, open, number] = [0, 0, 0, 0];
  const enter = (point: number): void => {
    met[point] = low[point] = ++order;
    way[depth++] = left[open++] = point;
  };
  const leave = (point: number): void => {
    depth--;
    if (depth > 0) {
      const before = way[depth - 1] as number;
      low[before] = Math.min(low[before] as number, low[point] as number);
    }
    if (low[point] !== met[point]) return;
    let member: number;
    do {
      member = left[--open] as number;
      component[member] = number;
    } while (member !== point);
    number++;
  };
  for (let start = 0; start < points; start++) {
    if (met[start] !== 0 || !converted.has(start)) continue;
    enter(start);
    while (depth > 0) {
      const point = way[depth - 1] as number;
      const at = next[point] as number;
      if (at === up.count(point)) {
        leave(point);
        continue;
      }
      next[point] = at + 1;
      const to = up.to(point, at);
      if (to < 0) continue;
      if (met[to] === 0) enter(to);
      else if (component[to] === none) low[point] = Math.min(low[point] as number, met[to] as number);
    }
  }
  return component;
}

/** Converted functions that get their mapping from nobody. */
export interface Unsourced {
  /** One without any call site; or all of a circle in which each is called by another, or by itself, and by nobody else. */
  functions: number[];
  circle: boolean;
}

/** The converted functions at which chains of callers end without a function that had a mapping, in the order of the first of each. */
export function unsourced(numbered: NumberedGraph, converted: FixedPoint): Unsourced[] {
  const { functions, points } = numbered;
  const up = new Upwards(numbered, converted);
  const component = components(up, converted, points);
  const fed = new Uint8Array(points);
  const called = new Uint8Array(points);
  for (let point = 0; point < points; point++) {
    if (!converted.has(point)) continue;
    const own = component[point] as number;
    for (let at = up.count(point) - 1; at >= 0; at--) {
      const to = up.to(point, at);
      if (to === none) continue;
      called[point] = 1;
      if (to === source || component[to] !== own) fed[own] = 1;
    }
  }
  const found = new Map<number, Unsourced>();
  for (let point = 0; point < functions; point++) {
    const own = component[point] as number;
    if (!converted.has(point) || fed[own] === 1) continue;
    const known = found.get(own);
    if (known) known.functions.push(point);
    else found.set(own, { functions: [point], circle: called[point] === 1 });
  }
  return [...found.values()];
}
