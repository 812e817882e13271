import { among, must } from './family.js';
import { name, type Schema, table, whole } from './json-schema.js';
import type { Path } from './problem.js';

// What the files of several families say in the same way: pages of address spaces, frames, cells.

export const vpn = whole(0, 7, 'virtual page');
export const pfn = whole(0, 15, 'page frame');
export const cellName = name('cell', '^[a-z][a-z0-9]*$', 'small letters and digits');

/** Where a cell is mapped. */
export const placesAt = (spaces: Schema): Schema =>
  table(spaces, { type: 'array', items: vpn, uniqueItems: true }, 'where a VMA maps it: address space to virtual pages');

type Cells = Readonly<Record<string, { at: Readonly<Record<string, readonly number[]>>; pfn: number | null }>>;

/** The places of some cells: `p 0`. */
const placesIn = (cells: Cells): [name: string, place: string][] =>
  Object.entries(cells).flatMap(([cell, { at }]) => Object.entries(at).flatMap(([mm, vpns]) => vpns.map((page): [string, string] => [cell, `${mm} ${page}`])));

/** Two cells at one place would be one. */
export function refuseTwice(cells: Cells): void {
  const seen = new Map<string, string>();
  for (const [cell, place] of placesIn(cells)) {
    const other = seen.get(place);
    must(other === undefined, ['cells', cell, 'at'], `'${other}' is at ${place} already`);
    seen.set(place, cell);
  }
}

export function mustBeCell(cells: Cells, cell: string, path: Path): void {
  must(Object.hasOwn(cells, cell), path, () => `there is no cell '${cell}' (there are ${among(Object.keys(cells))})`);
}

/** @returns the cell that is mapped there. */
export function mustBeMapped(cells: Cells, mm: string, page: number, path: Path): string {
  const found = placesIn(cells).find(([, place]) => place === `${mm} ${page}`);
  must(found !== undefined, path, () => `no cell is at page ${page} of ${mm} (cells are at ${among(placesIn(cells).map(([, place]) => place))})`);
  return found[0];
}

/** Calls of a process need its address space. */
export function mustHaveSpace(mm: string | null, call: string, path: Path): asserts mm is string {
  must(mm !== null, path, `'${call}' is a call of a process; this thread has 'mm' null`);
}
