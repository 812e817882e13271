import { type VmemmapConfig, vmemmapCanOptimize } from '../../machines/memory/vmemmap.js';
import { type Architecture, architectures } from '../vmemmap/architectures.js';
import { isPowerOfTwo } from '../vmemmap/memmap.js';
import type { Parameters, Scenario, Variant } from './scenario.js';
import { changedVmemmap, decided, type VmemmapChanges, vmemmapSystem } from './vmemmap-system.js';

/** What becomes of a device's struct pages. */
type Outcome = 'shares' | 'plain' | 'pages' | 'faults' | 'heads' | 'frames' | 'null' | 'right';

/** Each outcome in terms of properties: what is violated; all others hold, unless the story ends in a BUG. */
const outcomes: Readonly<Record<Outcome, Pick<Variant, 'expected' | 'others'>>> = {
  /** Right, and tails share frames. */
  shares: { expected: {}, others: 'holds' },
  /** Right, and no tails share frames. */
  plain: { expected: { sharing: 'violated' }, others: 'holds' },
  /** Right, and there are no compounds. */
  pages: { expected: { compounds: 'violated', sharing: 'violated' }, others: 'holds' },
  right: { expected: {}, others: 'holds' },
  faults: { expected: { I9: 'violated' } },
  heads: { expected: { 'I9.head': 'violated' } },
  frames: { expected: { I10: 'violated', altmap: 'violated' } },
  null: { expected: { BUG: 'violated' } },
};

/** A rule for which devices tail struct pages share frames. */
export interface VmemmapPredicate {
  id: string;
  title: string;
  source: string;
  /** Whether the architecture's Kconfig selects what the rule asks for. */
  selects: (architecture: Architecture) => boolean;
  /** What __populate_section_memmap asks, and compound_nr_pages. */
  populate: (config: VmemmapConfig, selected: boolean) => boolean;
  init: (config: VmemmapConfig, selected: boolean) => boolean;
  /** The driver asks for no compounds where it does not apply (vmemmap_shift = 0). */
  dropsShift?: boolean;
}

/** Up to 6.3: whatever the architecture. */
export const unaware = ({ structPage, nr, pgmap, altmap }: VmemmapConfig): boolean => isPowerOfTwo(structPage) && pgmap && nr > 1 && !altmap;
/** compound_nr_pages, which is asked for compounds only. */
const initUnaware = ({ structPage, altmap }: VmemmapConfig): boolean => isPowerOfTwo(structPage) && !altmap;
const merged = (config: VmemmapConfig, selected: boolean): boolean => selected && unaware(config);

/** As they were proposed, one after the other. */
export const vmemmapPredicates: readonly VmemmapPredicate[] = [
  {
    id: 'unaware',
    title: 'whatever the architecture',
    source: '4917f55b4ef9 (5.19 to 6.3)',
    selects: () => true,
    populate: unaware,
    init: initUnaware,
  },
  {
    id: 'shift0',
    title: 'no compounds where the architecture does not select it',
    source: 'mail of 7 April 2023: drivers/dax/device.c, mm/sparse-vmemmap.c',
    selects: ({ selected63 }) => selected63.draft,
    populate: merged,
    init: initUnaware,
    dropsShift: true,
  },
  {
    id: 'rework',
    title: 'a predicate to populate, and the same symbol in compound_nr_pages',
    source: 'mail of 11 April 2023: mm/page_alloc.c, mm/sparse-vmemmap.c',
    selects: ({ selected63 }) => selected63.draft,
    populate: merged,
    init: (config, selected) => selected && initUnaware(config),
  },
  {
    id: 'enabled',
    title: 'the symbol of hugetlb alone decides how to populate',
    source: 'answer of 11 April 2023: IS_ENABLED(CONFIG_ARCH_WANT_OPTIMIZE_VMEMMAP)',
    selects: ({ selected63 }) => selected63.hugetlb,
    populate: (_, selected) => selected,
    init: (config, selected) => selected && initUnaware(config),
  },
  {
    id: 'merged',
    title: 'one predicate for both, by the symbol of hugetlb',
    source: '87a7ae75d738 (6.4)',
    selects: ({ selected63 }) => selected63.hugetlb,
    populate: merged,
    init: merged,
  },
  {
    id: 'override',
    title: 'one predicate for both, by a symbol of its own, with a word of the architecture, for more than two pages',
    source: 'c1a6c536fb08 and later; 7.3',
    selects: ({ devdax: { selected, override } }) => selected && override?.holds !== false,
    populate: (config, selected) => selected && vmemmapCanOptimize(config),
    init: (config, selected) => selected && vmemmapCanOptimize(config),
  },
];

/** In the order of {@link vmemmapPredicates}. */
const onArchitectures: Readonly<Record<string, readonly Outcome[]>> = {
  x86_64: ['shares', 'shares', 'shares', 'shares', 'shares', 'shares'],
  'powerpc-radix': ['shares', 'pages', 'plain', 'plain', 'plain', 'shares'],
  'powerpc-hash': ['faults', 'pages', 'plain', 'plain', 'plain', 'plain'],
  riscv64: ['shares', 'pages', 'plain', 'shares', 'shares', 'shares'],
  arm64: ['shares', 'shares', 'shares', 'plain', 'plain', 'plain'],
  loongarch: ['shares', 'shares', 'shares', 'shares', 'shares', 'plain'],
  s390: ['faults', 'faults', 'faults', 'faults', 'faults', 'plain'],
  sparc64: ['shares', 'pages', 'plain', 'plain', 'plain', 'plain'],
};

interface SpecialCase {
  id: string;
  title: string;
  changes: VmemmapChanges;
  /** In the order of {@link vmemmapPredicates}. */
  outcomes: readonly Outcome[];
}

/** What the rules say of other memory, on an architecture that selects all that they ask for. */
const specialCases: readonly SpecialCase[] = [
  {
    id: 'small',
    title: 'compounds that fill half a page of the vmemmap (2M on 64K: a 32nd); memory in use comes after',
    changes: { boot: 'neighbour', config: { structPage: 2, nr: 2 } },
    outcomes: ['heads', 'heads', 'heads', 'heads', 'heads', 'right'],
  },
  {
    id: 'altmap',
    title: 'an altmap',
    changes: { config: { altmap: true } },
    outcomes: ['right', 'right', 'right', 'frames', 'right', 'right'],
  },
  {
    id: 'odd',
    title: 'a struct page whose size is no power of two',
    changes: { config: { structPage: 3 } },
    outcomes: ['plain', 'plain', 'plain', 'faults', 'plain', 'plain'],
  },
  {
    id: 'system',
    title: 'memory of the system is added, which has no pagemap',
    changes: { nr: 8, section: 8, subsection: 8, config: { pgmap: false, nr: 1 }, work: ['add', 'walk', 'offline'] },
    outcomes: ['right', 'right', 'right', 'null', 'right', 'right'],
  },
];

const all: VmemmapChanges = { work: ['probe', 'walk', 'remove'] };

function ruled({ populate, init, dropsShift = false }: VmemmapPredicate, selected: boolean, changes: VmemmapChanges): VmemmapChanges[] {
  const rule = decided(
    (config) => populate(config, selected),
    (config) => init(config, selected),
  );
  return [all, changes, rule, dropsShift && !selected ? { config: { nr: 1 } } : {}];
}

function variant(id: string, predicate: VmemmapPredicate, title: string, outcome: Outcome, changes: VmemmapChanges[]): Variant {
  return {
    id,
    row: predicate.id,
    summary: `${predicate.title}; ${title}`,
    source: `${predicate.id}: ${predicate.source}`,
    ...outcomes[outcome],
    system: ({ debug_vm: debugVm }: Parameters) => vmemmapSystem(`vmemmap-predicates/${id}`, { ...changedVmemmap(...changes), debugVm: debugVm === 1 }),
  };
}

/** What the mails about the crash that 87a7ae75d738 mended propose, on every architecture; rows E0 to E7 of the domain table are what can become of it. */
export const vmemmapPredicatesScenario: Scenario = {
  id: 'vmemmap-predicates',
  title: 'Rules that were proposed for which devices tail struct pages share frames',
  question: 'On which architecture is each rule right, and what does it give up?',
  parameters: {
    debug_vm: { description: '1: fresh struct pages are poisoned (CONFIG_DEBUG_VM)', default: 0, min: 0, max: 1 },
  },
  variants: vmemmapPredicates.flatMap((predicate, index) => [
    ...architectures.map((architecture) => {
      const selected = predicate.selects(architecture);
      const changes = ruled(predicate, selected, { translation: architecture.translation });
      return variant(`${predicate.id}.${architecture.id}`, predicate, architecture.title, onArchitectures[architecture.id]?.[index] as Outcome, changes);
    }),
    ...specialCases.map(({ id, title, changes, outcomes: expected }) =>
      variant(`${predicate.id}.${id}`, predicate, title, expected[index] as Outcome, ruled(predicate, true, changes)),
    ),
  ]),
};
