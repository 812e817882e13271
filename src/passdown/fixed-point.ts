import type { NumberedGraph } from './numbered.js';

/** Why a point is not converted, or that it is where the need begins: no number of a reason. */
const never = -1;
const begins = -2;

/**
 * The least set of functions and slots that need the parameter. Breadth first from the functions that need it themselves; every point is
 * taken once, marked before its callers are looked at, and every call once.
 */
export class FixedPoint {
  /** How many points were converted. */
  readonly size: number;
  /** Per point, and twice the point that it is converted for, and 1 more where it calls that; or one of the marks above. */
  private readonly reasons: Int32Array;

  /**
   * @param starts Per function: whether it needs the mapping itself.
   * @param fixed Per function: whether it is never converted.
   */
  constructor(numbered: NumberedGraph, starts: Uint8Array, fixed: Uint8Array) {
    const { functions, points, sites, slotsOf, members, callers } = numbered;
    const reasons = new Int32Array(points).fill(never);
    const queue = new Int32Array(points);
    let end = 0;
    const take = (point: number, reason: number): void => {
      if (reasons[point] !== never || (point < functions && fixed[point] === 1)) return;
      reasons[point] = reason;
      queue[end++] = point;
    };
    for (let start = 0; start < functions; start++) if (starts[start] === 1) take(start, begins);
    for (let head = 0; head < end; head++) {
      const point = queue[head] as number;
      for (let at = sites.start[point] as number; at < (sites.start[point + 1] as number); at++)
        take(callers[sites.items[at] as number] as number, 2 * point + 1);
      const [lists, group] = point < functions ? [slotsOf, point] : [members, point - functions];
      for (let at = lists.start[group] as number; at < (lists.start[group + 1] as number); at++) take(lists.items[at] as number, 2 * point);
    }
    this.reasons = reasons;
    this.size = end;
  }

  has(point: number): boolean {
    return this.reasons[point] !== never;
  }

  /** For which point this one is converted, and whether it calls that; null: it needs the parameter itself. */
  reason(point: number): { point: number; calls: boolean } | null {
    const reason = this.reasons[point] as number;
    return reason < 0 ? null : { point: reason >> 1, calls: (reason & 1) === 1 };
  }
}
