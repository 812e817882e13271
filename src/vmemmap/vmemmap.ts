import { UsageError } from '../system/errors.js';
import { didYouMean } from '../system/nearest.js';
import { type Agreement, agreementOf, initialisedBy, type Machine } from './agreement.js';
import { type Architecture, architectures } from './architectures.js';
import { partsText, sizeText } from './bytes.js';
import { type Dedup, isLargeEnough, isPowerOfTwo, type Memmap, memmapOf, possibleDedup, reserved, type Saving, savingOf, tebibyte } from './memmap.js';

/** An architecture, and the sizes to ask about. */
export interface VmemmapQuestion {
  /** Such as `x86_64` or `powerpc-hash`. */
  architecture: string;
  /** PAGE_SIZE in bytes. */
  basePage: number;
  /** What one compound page of the pagemap spans, in bytes: the alignment of a devdax device. */
  compound: number;
  /** sizeof(struct page) in bytes; 64. */
  structPage?: number;
  /** The device's own memory holds the struct pages. */
  altmap?: boolean;
  /** The size of the device, in bytes. */
  deviceBytes?: number;
}

/** One of the conditions that all have to hold. */
export interface VmemmapCondition {
  condition: string;
  holds: boolean;
  text: string;
}

export interface VmemmapAnswer extends Memmap {
  architecture: string;
  /** The version of Linux that this is about. */
  kernel: string;
  basePage: number;
  compound: number;
  structPage: number;
  altmap: boolean;
  /** vmemmap_can_optimize(): devdax shares the frames of tail struct pages. */
  optimises: boolean;
  why: VmemmapCondition[];
  /** What the sizes allow, whatever the architecture, and without an altmap. */
  possible: Dedup;
  /** What is done here. */
  applies: Dedup;
  /** Of the device that was asked about. */
  device: (Saving & { bytes: number }) | null;
  /** Struct pages of a compound that memmap_init_compound() writes. */
  initialised: number;
  agreement: Agreement;
}

function architectureOf(id: string): Architecture {
  const ids = architectures.map((known) => known.id);
  const known = architectures.find((one) => one.id === id);
  if (known) return known;
  throw new UsageError(`there is no architecture '${id}'${didYouMean(id, ids)} (the architectures are ${ids.join(', ')})`);
}

function powerOfTwo(what: string, value: number): void {
  if (!Number.isSafeInteger(value) || !isPowerOfTwo(value))
    throw new UsageError(`${what} is a power of two, such as 4K or 2M, not ${Number.isSafeInteger(value) && value > 0 ? sizeText(value) : value}`);
}

/** Refuses what no machine can be. */
function validated({ architecture, basePage, compound, structPage = 64, altmap = false }: VmemmapQuestion): Machine {
  const known = architectureOf(architecture);
  powerOfTwo('a base page', basePage);
  if (!known.basePages.includes(basePage))
    throw new UsageError(`${known.id} has no base pages of ${sizeText(basePage)}; it has ${known.basePages.map(sizeText).join(', ')}`);
  powerOfTwo('a compound', compound);
  if (compound < basePage)
    throw new UsageError(`a compound of ${sizeText(compound)} is smaller than a base page of ${sizeText(basePage)}; take ${sizeText(basePage)} or more`);
  if (compound > tebibyte) throw new UsageError(`a compound of ${sizeText(compound)} is larger than any; take 1T or less`);
  if (!Number.isInteger(structPage) || structPage < 1 || structPage > basePage)
    throw new UsageError(`a struct page has a whole number of bytes, from 1 to those of a base page (${basePage}), not ${structPage}`);
  return { architecture: known, basePage, compound, structPage, altmap };
}

/** vmemmap_can_optimize() of 7.3, a condition at a time. There is always a pagemap. */
function conditions({ architecture, altmap, ...sizes }: Machine): VmemmapCondition[] {
  const { devdax } = architecture;
  const { vmemmapPages } = memmapOf(sizes);
  const { structPage } = sizes;
  return [
    { condition: 'the architecture opts in', holds: devdax.selected, text: devdax.why },
    ...(devdax.override === null ? [] : [{ condition: 'its own vmemmap_can_optimize() agrees', ...devdax.override }]),
    {
      condition: 'the size of struct page is a power of two',
      holds: isPowerOfTwo(structPage),
      text: `${structPage} bytes${isPowerOfTwo(structPage) ? '' : ', so that struct pages straddle vmemmap pages'}`,
    },
    { condition: 'no altmap', holds: !altmap, text: `the struct pages are in ${altmap ? "the device's own memory" : 'system memory'}` },
    {
      condition: `more than ${reserved} vmemmap pages for a compound`,
      holds: isLargeEnough(sizes),
      text: partsText(vmemmapPages),
    },
  ];
}

function deviceOf(machine: Machine, { devdax }: Dedup, bytes: number | undefined): VmemmapAnswer['device'] {
  if (bytes === undefined) return null;
  if (!Number.isSafeInteger(bytes) || bytes < 1 || bytes % machine.compound !== 0)
    throw new UsageError(
      `a device is a number of whole compounds of ${sizeText(machine.compound)}, not ${Number.isSafeInteger(bytes) && bytes > 0 ? sizeText(bytes) : bytes}`,
    );
  return { bytes, ...savingOf(machine, devdax, bytes) };
}

/** Are the frames of tail struct pages shared on this machine, why, and what does it save? */
export function vmemmap(question: VmemmapQuestion): VmemmapAnswer {
  const machine = validated(question);
  const { architecture, basePage, compound, structPage, altmap } = machine;
  const why = conditions(machine);
  const optimises = why.every(({ holds }) => holds);
  const possible = possibleDedup(machine);
  const devdax = optimises ? possible.devdax : null;
  const applies: Dedup = {
    devdax,
    hugetlb: architecture.hugetlb.selected ? possible.hugetlb : null,
    savingPerTiB: savingOf(machine, devdax, tebibyte),
  };
  return {
    architecture: architecture.id,
    kernel: architecture.kernel,
    basePage,
    compound,
    structPage,
    altmap,
    optimises,
    why,
    ...memmapOf(machine),
    possible,
    applies,
    device: deviceOf(machine, applies, question.deviceBytes),
    initialised: initialisedBy(optimises ? 'dedup' : 'full', machine),
    agreement: agreementOf(machine, optimises),
  };
}
