import { migratePages } from '../../machines/paths/migrate-pages.js';
import { flushesBeforeRemoval, kernel, paysAtEnd, user } from './luf.js';
import { type LufCell, type LufSetup, type LufThread, lufSystem, strictLuf } from './luf-system.js';
import type { Parameters, Scenario, Variant } from './scenario.js';

const loads = (...vpns: number[]): LufThread => ({ mm: 'p', program: vpns.map((vpn) => ({ do: 'load', vpn })), repeats: true });

/** Pages, who reads them, and what may run against each other over them. */
export interface FreeGround {
  what: string;
  cells: Readonly<Record<string, LufCell>>;
  reader: LufThread;
  paths: Readonly<Record<string, LufThread>>;
  free: readonly number[];
}

export const grounds: Readonly<Record<string, FreeGround>> = {
  file: {
    what: 'a page of a file',
    cells: { f: { kind: 'file', pfn: 0, at: { p: [0] } } },
    reader: loads(0),
    paths: {
      reclaim: kernel({ do: 'reclaim', cell: 'f' }),
      store: user({ do: 'store', vpn: 0 }),
      migrate: kernel({ do: 'migrate', cell: 'f' }),
      write: user({ do: 'write', cell: 'f' }),
      slab: kernel({ do: 'slab' }),
      'store again': user({ do: 'store', vpn: 0 }),
      'reclaim again': kernel({ do: 'reclaim', cell: 'f' }),
      revalidate: user({ do: 'lock_file', cell: 'f' }),
      munmap: user({ do: 'munmap', vpn: 0 }),
      mprotect: user({ do: 'mprotect', vpn: 0, read: false }),
    },
    free: [1, 2],
  },
  private: {
    what: 'a private page',
    cells: { x: { kind: 'anonymous', pfn: 0, at: { p: [0] }, exclusive: true } },
    reader: loads(0),
    paths: {
      reclaim: kernel({ do: 'reclaim', cell: 'x' }),
      fork: user({ do: 'fork', vpn: 0 }),
      store: user({ do: 'store', vpn: 0 }),
      migrate: kernel({ do: 'migrate', cell: 'x' }),
      mprotect: user({ do: 'mprotect', vpn: 0, read: true }),
      slab: kernel({ do: 'slab' }),
      'reclaim again': kernel({ do: 'reclaim', cell: 'x' }),
      munmap: user({ do: 'munmap', vpn: 0 }),
    },
    free: [1, 2],
  },
  twice: {
    what: 'a page of a file that a first pass of reclaim unmaps and a second one frees',
    cells: { f: { kind: 'file', pfn: 0, at: { p: [0] } } },
    reader: loads(0),
    paths: { reclaim: kernel({ do: 'reclaim', cell: 'f' }), 'reclaim again': kernel({ do: 'reclaim', cell: 'f' }), slab: kernel({ do: 'slab' }) },
    free: [],
  },
  invalidated: {
    what: 'a page of a file that reclaim unmaps and an invalidation frees',
    cells: { f: { kind: 'file', pfn: 0, at: { p: [0] } } },
    reader: loads(0),
    paths: { reclaim: kernel({ do: 'reclaim', cell: 'f' }), revalidate: user({ do: 'lock_file', cell: 'f' }), slab: kernel({ do: 'slab' }) },
    free: [],
  },
  pages: {
    what: 'two pages of a file',
    cells: { f: { kind: 'file', pfn: 0, at: { p: [0] } }, h: { kind: 'file', pfn: 1, at: { p: [1] }, file: 'file_f', index: 1 } },
    reader: loads(0, 1),
    paths: {
      reclaim: kernel({ do: 'reclaim', cell: 'f', more: ['h'] }),
      write: user({ do: 'write', cell: 'f' }),
      migrate: kernel({ do: 'migrate', cell: 'h' }),
      munmap: user({ do: 'munmap', vpn: 0 }),
      store: user({ do: 'store', vpn: 1 }),
      slab: kernel({ do: 'slab' }),
    },
    free: [2],
  },
};

const frozen = (event: { type: string }): boolean => 'result' in event && event.result === 'frozen';

/** Whose rules. `v12`: as the domain text has version 12: a fault pays at its end, and a frame has a key only where the pass that frees it has put its flush off. */
export const rules: Readonly<Record<'strict' | 'v12', { who: string; setup: Partial<LufSetup> }>> = {
  // What reclaim does not put off has row L0's window between slot and flush. Here it is shut, so that what is found is LUF's.
  strict: { who: 'strict LUF', setup: flushesBeforeRemoval },
  v12: {
    who: 'version 12',
    setup: {
      ...paysAtEnd,
      keysOnPut: false,
      shrinkFolioList: flushesBeforeRemoval.shrinkFolioList.provide({ guards: { takesKey: ({ context, event }) => context.lazy && frozen(event) } }),
      migratePages: migratePages.provide({ guards: { takesKey: ({ context }) => context.lazy && context.moved } }),
    },
  },
};

/** Some of a ground's paths, each on a CPU of its own, against its reader. */
export const freeSetup = (ground: FreeGround, whose: keyof typeof rules, paths: readonly string[]): LufSetup => ({
  ...strictLuf,
  ...rules[whose].setup,
  cells: ground.cells,
  threads: [ground.reader, ...paths.map((name) => ground.paths[name] as LufThread)],
  free: ground.free,
});

function variant(name: string, ground: FreeGround, whose: keyof typeof rules): Variant {
  const id = `${name}.${whose}`;
  const paths = Object.keys(ground.paths);
  return {
    id,
    row: 'free',
    summary: `${rules[whose].who}, ${ground.what}: ${paths.slice(0, -1).join(', ')} and ${paths.at(-1)}, as many of them as the parameter says`,
    source: 'free configuration: no row of the domain table says what must come out',
    expected: { I1: null, I2: null, I3w: null, I3s: null, I4: null },
    others: null,
    // Three are explored in no time where there are no more.
    defaults: { paths: paths.length === 3 ? 3 : 2 },
    system: (parameters: Parameters) => lufSystem(`luf-free/${id}`, freeSetup(ground, whose, paths.slice(0, Number(parameters.paths)))),
  };
}

export const lufFreeScenario: Scenario = {
  id: 'luf-free',
  title: 'lazy unmap flush, every path against every other',
  question: 'Is anything violated that no row of the table covers?',
  parameters: {
    paths: { description: 'how many of the paths run, each at any time, besides a reader', default: 2, min: 1, max: 10 },
  },
  variants: Object.entries(grounds).flatMap(([name, ground]) => (['strict', 'v12'] as const).map((whose) => variant(name, ground, whose))),
};
