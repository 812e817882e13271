import type { Architecture } from './architectures.js';
import { isPowerOfTwo, memmapOf, reserved, type Sizes } from './memmap.js';

/** What populating the vmemmap does, and for which of the two the struct pages are initialised. */
export type Way = 'dedup' | 'full';

/** What populating the vmemmap and initialising struct pages do together, if each goes its own way. */
export interface AgreementCase {
  /** Populate, then init. */
  case: `${Way}/${Way}`;
  populate: Way;
  init: Way;
  /** Struct pages of a compound that memmap_init_compound() writes. */
  initialised: number;
  correct: boolean;
  result: string;
}

/** Whether populating and initialising agree on what is shared, in each case that can come of two predicates. */
export interface Agreement {
  /** The case of this machine: one predicate decides both. */
  case: AgreementCase['case'];
  cases: AgreementCase[];
}

export interface Machine extends Sizes {
  readonly architecture: Architecture;
  readonly altmap: boolean;
}

/** So many memmap_init_compound() writes for each compound; compound_nr_pages() says which, but of a single page nobody asks it. */
export const initialisedBy = (init: Way, { basePage, compound, structPage }: Sizes): number =>
  init === 'full' || compound === basePage ? compound / basePage : reserved * Math.floor(basePage / structPage);

const wrong = (result: string) => ({ correct: false, result });
const right = (result: string) => ({ correct: true, result });

/** Why sharing cannot go well on this machine, whatever init does; null: it can. */
function sharedWrongly({ architecture, altmap, ...sizes }: Machine): string | null {
  if (architecture.generic !== null) return architecture.generic;
  if (altmap)
    return `the frames come from system memory although there is an altmap${architecture.returnsToAltmap ? ', and are given back as if they were of the altmap' : ', which is of no use then'}`;
  if (!isPowerOfTwo(sizes.structPage) && memmapOf(sizes).vmemmapPages > reserved)
    return `struct pages straddle vmemmap pages: in a page that stands for another they begin elsewhere (${sizes.structPage - (sizes.basePage % sizes.structPage)} bytes further with each page), and their fields mix`;
  return null;
}

/** Init writes as many as are in two vmemmap pages, and there are not as many in the compound. */
const pastTheEnd = (sizes: Sizes): string =>
  `each init writes on into the compounds after its own, which is put right by their own; of the last one ${initialisedBy('dedup', sizes) - memmapOf(sizes).structPages} struct pages past the end become tails`;

const outside = 'a vmemmap page outside the range is mapped';

function bothShared(machine: Machine) {
  const { structPages, vmemmapPages } = memmapOf(machine);
  const bad = sharedWrongly(machine);
  if (bad !== null) return wrong(bad);
  if (initialisedBy('dedup', machine) > structPages) return wrong(`${pastTheEnd(machine)}, and ${outside}`);
  if (Math.ceil(vmemmapPages) < reserved) return wrong(outside);
  return right(vmemmapPages > reserved ? 'correct' : 'correct, and nothing is shared: there are two vmemmap pages');
}

function onlyPopulateShares(machine: Machine) {
  const { structPages, vmemmapPages } = memmapOf(machine);
  const bad = sharedWrongly(machine);
  if (bad !== null) return wrong(bad);
  if (Math.ceil(vmemmapPages) < reserved) return wrong(outside);
  if (vmemmapPages <= reserved) return right('correct, and nothing is shared: there are two vmemmap pages');
  return right(
    `slow but safe: ${structPages - initialisedBy('dedup', machine)} writes put the same values into the same frame again (a fault if tails were mapped read-only)`,
  );
}

function onlyInitShares(machine: Machine) {
  const { structPages } = memmapOf(machine);
  const written = initialisedBy('dedup', machine);
  if (written > structPages) return wrong(pastTheEnd(machine));
  if (written === structPages) return right('correct: the compound has no more struct pages');
  return wrong(
    `struct pages ${written} to ${structPages - 1} of each compound hold poison (DEBUG_VM) or what boot left there: a garbage head, a wrong refcount`,
  );
}

/** The four cases of agreement, on one machine. */
export function agreementOf(machine: Machine, optimises: boolean): Agreement {
  const one = (populate: Way, init: Way, outcome: { correct: boolean; result: string }): AgreementCase => ({
    case: `${populate}/${init}`,
    populate,
    init,
    initialised: initialisedBy(init, machine),
    ...outcome,
  });
  return {
    case: optimises ? 'dedup/dedup' : 'full/full',
    cases: [
      one('dedup', 'dedup', bothShared(machine)),
      one('full', 'full', right('correct')),
      one('full', 'dedup', onlyInitShares(machine)),
      one('dedup', 'full', onlyPopulateShares(machine)),
    ],
  };
}
