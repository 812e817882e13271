import { addMappingParameter } from '../../machines/algorithms/add-mapping-parameter.js';
import type { CallGraph, CallSite, GraphFunction, Slot } from '../passdown/call-graph.js';
import { passdownSystem } from './passdown-mapping-system.js';
import type { Scenario, Variant } from './scenario.js';

const format = 'shootdown.call-graph/1';
const file = { type: 'file' } as const;

const writepage: Slot = { id: 'address_space_operations.writepage', functions: ['ext2_writepage', 'blkdev_writepage'] };

/** Three functions that call each other in a circle. */
const circle: GraphFunction[] = [{ id: 'do_mpage_readpage', uses: true }, { id: 'block_read_full_page', uses: true }, { id: 'mpage_readpage' }];
const circleCalls: CallSite[] = [
  { caller: 'mpage_readpage', callee: 'do_mpage_readpage', line: 11 },
  { caller: 'do_mpage_readpage', callee: 'block_read_full_page', line: 21 },
  { caller: 'block_read_full_page', callee: 'mpage_readpage', line: 31 },
];
const reader: GraphFunction = { id: 'ext4_readpage', has: [{ name: 'file', ...file }] };
const readerCall: CallSite = { caller: 'ext4_readpage', callee: 'mpage_readpage', line: 41 };

const writers: GraphFunction[] = [{ id: 'block_write_full_page', uses: true }, { id: 'ext2_writepage' }, { id: 'blkdev_writepage' }];
const writerCalls: CallSite[] = [{ caller: 'ext2_writepage', callee: 'block_write_full_page', line: 51 }];
const selfCall: CallSite = { caller: 'block_write_full_page', callee: 'block_write_full_page', line: 61 };
/** It has the mapping, and calls through the slot. */
const pageout: GraphFunction = { id: 'pageout', fs: false, has: [{ name: 'mapping', type: 'mapping' }] };
const pageoutCall: CallSite = { caller: 'pageout', slot: writepage.id, line: 71 };

/** Reclaim has no file at all, and nobody to get one from. */
const reclaim: GraphFunction = { id: 'shrink_page_list', fs: false };

const dedupe: GraphFunction = {
  id: 'vfs_dedupe_file_range_compare',
  has: [
    { name: 'src', ...file },
    { name: 'dest', ...file },
  ],
};
const dedupeCalls: CallSite[] = [
  { caller: dedupe.id, callee: 'mpage_readpage', line: 81, mapping: 'src' },
  { caller: dedupe.id, callee: 'mpage_readpage', line: 82, mapping: 'dest' },
];

/**
 * Small call graphs. The functions' names are those of Linux 5.5; who calls whom, and with what, is made up so that there is a
 * circle, a slot, and so on.
 */
export const passdownGraphs = {
  cycle: { format, functions: [...circle, reader], calls: [...circleCalls, readerCall] },
  /** Nobody else calls any of them. */
  closed: { format, functions: circle, calls: circleCalls },
  self: {
    format,
    functions: [
      { id: 'block_write_full_page', uses: true },
      { id: 'ext2_writepage' },
      { id: 'generic_writepages', has: [{ name: 'mapping', type: 'mapping' }] },
    ],
    calls: [selfCall, ...writerCalls, { caller: 'generic_writepages', callee: 'ext2_writepage', line: 71 }],
  },
  slot: { format, functions: [...writers, pageout], slots: [writepage], calls: [...writerCalls, pageoutCall] },
  root: {
    format,
    functions: [{ id: 'try_to_free_buffers', uses: true }, { id: 'ext4_releasepage' }, reclaim],
    calls: [
      { caller: 'ext4_releasepage', callee: 'try_to_free_buffers', line: 11 },
      { caller: reclaim.id, callee: 'ext4_releasepage', line: 21 },
    ],
  },
  two: { format, functions: [{ id: 'mpage_readpage', uses: true }, dedupe], calls: dedupeCalls },
  all: {
    format,
    functions: [...circle, reader, ...writers, pageout, reclaim, dedupe],
    slots: [writepage],
    calls: [...circleCalls, readerCall, ...writerCalls, selfCall, pageoutCall, { caller: reclaim.id, slot: writepage.id, line: 91 }, ...dedupeCalls],
  },
} satisfies Record<string, CallGraph>;

type Graph = keyof typeof passdownGraphs;

/** Each of the safeguards, left out. */
export const passdownLacks: Record<'PB' | 'PC' | 'PD' | 'PE', typeof addMappingParameter> = {
  PB: addMappingParameter.provide({ guards: { marksFirst: () => false } }),
  PC: addMappingParameter.provide({ guards: { slotIsNode: () => false } }),
  PD: addMappingParameter.provide({ guards: { reportsRoots: () => false } }),
  PE: addMappingParameter.provide({ guards: { asksWhichMapping: () => false } }),
};

function variant(id: string, summary: string, graph: Graph, violated: readonly string[] = [], logic?: typeof addMappingParameter): Variant {
  const row = id.split('.')[0] as string;
  return {
    id,
    row,
    summary,
    source: `domain table, part 2, 2D, row ${row}`,
    expected: Object.fromEntries(violated.map((name) => [name, 'violated'])),
    others: 'holds',
    system: () => passdownSystem(`passdown-mapping/${id}`, { graph: passdownGraphs[graph], ...(logic ? { addMappingParameter: logic } : {}) }),
  };
}

const { PB, PC, PD, PE } = passdownLacks;

/** Rows PA to PE. */
export const passdownMappingScenario: Scenario = {
  id: 'passdown-mapping',
  title: 'passdown_mapping: what needs page->mapping gets it as a parameter',
  question: 'Does every function that needs the mapping get the right one from each caller, in whatever order functions and callers are taken?',
  parameters: {},
  variants: [
    variant('PA', 'reference: all of the following in one call graph', 'all'),
    variant('PA.cycle', 'functions that call each other in a circle', 'cycle'),
    variant('PA.self', 'a function that calls itself', 'self'),
    variant('PA.slot', 'a function that is called through a slot', 'slot'),
    variant('PA.root', 'a function that nobody calls', 'root'),
    variant('PA.two', 'a caller that has two mappings', 'two'),
    variant('PB', 'a function gets the parameter after its callers were looked at: round and round in a circle', 'cycle', ['terminates', 'a'], PB),
    variant('PB.self', 'the same with a function that calls itself', 'self', ['terminates', 'a'], PB),
    variant('PC', 'a slot is no node: who else stands in it, and who calls through it, is forgotten', 'slot', ['a', 'N', 'types'], PC),
    variant('PD', 'nobody is told of a function that nobody calls', 'root', ['c'], PD),
    variant('PD.circle', 'a circle that nobody else calls: each function in it has a caller, so none is reported', 'closed', ['c']),
    variant('PE', 'any mapping that the caller has will do', 'two', ['b'], PE),
  ],
};
