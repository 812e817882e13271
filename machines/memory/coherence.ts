import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import { asidKey } from '../hardware/cpu.js';
import type { MemoryAccess } from './folio.js';

/** What one place of a file, or of private memory, has held: its values in order. */
interface Cell {
  values: string[];
  /** The last whose write has completed: write(2) returned, or the store retired. */
  completed: number;
  /** The latest that anybody has read. */
  observed: number;
}

/** What an address stands for, and what may be done there. */
interface Place {
  cell: string;
  read: boolean;
  write: boolean;
  /** What it stood for before. */
  formerly: string[];
}

/** Invariants of the domain table, part 2, 0.3. */
export type Broken = 'I1' | 'I2' | 'I3w' | 'I3s' | 'I4';

interface Context {
  cells: Record<string, Cell>;
  /** By address space and virtual page ({@link asidKey}). */
  places: Record<string, Place>;
  /** What was violated so far, sorted. */
  broken: Broken[];
}

interface Accessed {
  access: MemoryAccess;
  cpu: Address;
  pfn: number;
  content: string | null;
  sampled: boolean;
  free: boolean;
}

interface Input {
  /** What each cell holds at first. */
  cells: Record<string, string>;
  places: Record<string, Omit<Place, 'formerly'>>;
}

type At = { mm: Address; vpn: number };
type Event =
  | Signed<{ type: 'memory.accessed' } & Accessed>
  | Signed<{ type: 'write.begin'; cell: string } | { type: 'write.complete'; cell: string; value: string }>
  | Signed<({ type: 'place.protect'; read: boolean; write: boolean } & At) | ({ type: 'place.allow'; read: boolean; write: boolean } & At)>
  | Signed<{ type: 'place.unmap'; mm: Address; vpns: number[] } | ({ type: 'place.map'; cell: string; write: boolean } & At)>
  | Signed<{ type: 'place.fork'; child: Address } & At>;

const { reply } = speaker<Context, Event>();
const keyOf = ({ mm, vpn }: MemoryAccess): string => asidKey(mm as Address, vpn as number);
const nextValue = (name: string, { values }: Cell): string => `${name}.v${values.length}`;
const appended = (name: string, cell: Cell): Cell => ({ ...cell, values: [...cell.values, nextValue(name, cell)] });
const noting = (broken: Broken[], more: readonly Broken[]): Broken[] => [...new Set([...broken, ...more])].sort();

/** What a read of this value of the cell breaks: something newer was completed, or was read. */
function staleness(cell: Cell, value: string): Broken[] {
  const at = cell.values.indexOf(value);
  return [...(at < cell.completed ? (['I3w'] as const) : []), ...(at < cell.observed ? (['I3s'] as const) : [])];
}

/** What an access through a translation breaks. */
function judge({ cells, places }: Context, { access, content, sampled, free }: Accessed): Broken[] {
  const place = places[keyOf(access)];
  if (!place || !(access.write ? place.write : place.read)) return ['I4'];
  const cell = cells[place.cell] as Cell;
  const value = content ?? '';
  if (!cell.values.includes(value)) {
    if (place.formerly.some((name) => cells[name]?.values.includes(value))) return ['I4'];
    // Nobody has it yet, and yet it is not what it was: a value that nobody wrote.
    return free ? ['I3w'] : ['I1'];
  }
  if (access.write) return sampled ? ['I2'] : [];
  return staleness(cell, value);
}

const read = (cell: Cell, value: string | null): Cell => ({ ...cell, observed: Math.max(cell.observed, cell.values.indexOf(value ?? '')) });

/** The cell that an access is about, if the page holds one of its values. */
function cellOf({ cells, places }: Context, { access, content }: Accessed): { name: string; cell: Cell } | null {
  const name = places[keyOf(access)]?.cell;
  const cell = name === undefined ? undefined : cells[name];
  return name !== undefined && cell?.values.includes(content ?? '') ? { name, cell } : null;
}

/** The cells after an access: a store is one more value, completed at once; a load has been observed. */
function after(context: Context, accessed: Accessed): Record<string, Cell> {
  const found = cellOf(context, accessed);
  if (!found) return context.cells;
  const { name, cell } = found;
  if (!accessed.access.write) return { ...context.cells, [name]: read(cell, accessed.content) };
  const longer = appended(name, cell);
  return { ...context.cells, [name]: { ...longer, completed: longer.values.length - 1 } };
}

/** What the memory holds after an access. */
function contentAfter(context: Context, accessed: Accessed): string | null {
  const found = accessed.access.write ? cellOf(context, accessed) : null;
  return found ? nextValue(found.name, found.cell) : accessed.content;
}

/**
 * What user code may see of memory: it knows what each file offset and each private page has held, what each address
 * stands for and may be used for, and judges every access through a translation, which the page reports. The order of
 * the schedule stands for causality: a read after another step may have been told of it. It observes only. Domain table,
 * part 2, 0.3: I1 (reuse), I2 (sampled), I3w, I3s (coherence), I4 (permission).
 */
export const coherence = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  actions: {
    judge: assign({ broken: ({ context, event }) => noting(context.broken, judge(context, received(event, 'memory.accessed'))) }),
    replyJudged: reply(({ context, event }) => {
      const accessed = received(event, 'memory.accessed');
      return { type: 'memory.judged', value: contentAfter(context, accessed), access: accessed.access, cpu: accessed.cpu };
    }),
    noteAccess: assign({ cells: ({ context, event }) => after(context, received(event, 'memory.accessed')) }),
    replyValue: reply(({ context, event }) => {
      const { cell } = received(event, 'write.begin');
      return { type: 'write.value', value: nextValue(cell, context.cells[cell] as Cell) };
    }),
    append: assign({
      cells: ({ context, event }) => {
        const { cell } = received(event, 'write.begin');
        return { ...context.cells, [cell]: appended(cell, context.cells[cell] as Cell) };
      },
    }),
    complete: assign({
      cells: ({ context, event }) => {
        const { cell: name, value } = received(event, 'write.complete');
        const cell = context.cells[name] as Cell;
        return { ...context.cells, [name]: { ...cell, completed: Math.max(cell.completed, cell.values.indexOf(value)) } };
      },
    }),
    protect: assign({
      places: ({ context, event }) => {
        const { mm, vpn, read, write } = received(event, 'place.protect');
        const key = asidKey(mm, vpn);
        const place = context.places[key];
        return place ? { ...context.places, [key]: { ...place, read, write } } : context.places;
      },
    }),
    allow: assign({
      places: ({ context, event }) => {
        const { mm, vpn, read, write } = received(event, 'place.allow');
        const key = asidKey(mm, vpn);
        const place = context.places[key];
        return place ? { ...context.places, [key]: { ...place, read: place.read || read, write: place.write || write } } : context.places;
      },
    }),
    unmap: assign({
      places: ({ context, event }) => {
        const { mm, vpns } = received(event, 'place.unmap');
        const gone = vpns.map((vpn) => asidKey(mm, vpn));
        return Object.fromEntries(
          Object.entries(context.places).map(([key, place]) => [key, gone.includes(key) ? { ...place, read: false, write: false } : place]),
        );
      },
    }),
    map: assign({
      places: ({ context, event }) => {
        const { mm, vpn, cell, write } = received(event, 'place.map');
        const key = asidKey(mm, vpn);
        const before = context.places[key];
        return { ...context.places, [key]: { cell, read: true, write, formerly: before ? [...before.formerly, before.cell] : [] } };
      },
    }),
    fork: assign(({ context, event }) => {
      const { mm, vpn, child } = received(event, 'place.fork');
      const place = context.places[asidKey(mm, vpn)];
      if (!place) return {};
      const key = asidKey(child, vpn);
      return {
        cells: { ...context.cells, [key]: context.cells[place.cell] as Cell },
        places: { ...context.places, [key]: { ...place, cell: key } },
      };
    }),
  },
}).createMachine({
  id: 'coherence',
  description: 'Judges what user code sees of memory',
  context: ({ input }) => ({
    cells: Object.fromEntries(Object.entries(input.cells).map(([name, value]) => [name, { values: [value], completed: 0, observed: 0 }])),
    places: Object.fromEntries(Object.entries(input.places).map(([key, place]) => [key, { ...place, formerly: [] }])),
    broken: [],
  }),
  on: {
    'memory.accessed': { actions: ['replyJudged', 'judge', 'noteAccess'], description: 'A load or store through a translation' },
    'write.begin': { actions: ['replyValue', 'append'], description: 'The kernel, or another host, begins to write a new value' },
    'write.complete': { actions: 'complete', description: 'The write has returned' },
    'place.protect': { actions: 'protect', description: 'mprotect has returned' },
    'place.allow': { actions: 'allow', description: 'mprotect gives rights: they may be used before it returns' },
    'place.unmap': { actions: 'unmap', description: 'munmap has returned' },
    'place.map': { actions: 'map', description: 'mmap has returned' },
    'place.fork': { actions: 'fork', description: 'fork: from here on the child has its own' },
  },
});
