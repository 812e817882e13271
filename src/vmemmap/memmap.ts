/** VMEMMAP_RESERVE_NR: so many vmemmap pages of a devdax compound have a frame of their own. */
export const reserved = 2;
export const tebibyte = 2 ** 40;

export const isPowerOfTwo = (value: number): boolean => value > 0 && 2 ** Math.round(Math.log2(value)) === value;

/** All in bytes. */
export interface Sizes {
  readonly basePage: number;
  /** What one compound page spans. */
  readonly compound: number;
  /** sizeof(struct page). */
  readonly structPage: number;
}

/** What becomes of the frames behind the struct pages of one compound. */
export interface Frames {
  kept: number;
  freed: number;
}

/** Bytes of memmap. */
export interface Saving {
  saved: number;
  of: number;
}

/** null: nothing can be shared. */
export interface Dedup {
  devdax: Frames | null;
  hugetlb: Frames | null;
  /** Of devdax, for each TiB of the device. */
  savingPerTiB: Saving;
}

/** The struct pages of one compound. */
export interface Memmap {
  structPages: number;
  memmapBytes: number;
  /** A fraction where several compounds share one. */
  vmemmapPages: number;
}

export function memmapOf({ basePage, compound, structPage }: Sizes): Memmap {
  const structPages = compound / basePage;
  const memmapBytes = structPages * structPage;
  return { structPages, memmapBytes, vmemmapPages: memmapBytes / basePage };
}

/** The last condition of __vmemmap_can_optimize(), which counts whole pages. */
export const isLargeEnough = (sizes: Sizes): boolean => Math.floor(memmapOf(sizes).vmemmapPages) > reserved;

const frames = (vmemmapPages: number, kept: number): Frames => ({ kept, freed: vmemmapPages - kept });

/** Of devdax, for a device of so many bytes. */
export function savingOf({ basePage, compound, structPage }: Sizes, devdax: Frames | null, deviceBytes: number): Saving {
  return { saved: devdax === null ? 0 : (deviceBytes / compound) * devdax.freed * basePage, of: (deviceBytes / basePage) * structPage };
}

/** What the sizes alone allow, whatever the architecture: hugetlb keeps one vmemmap page (its tails are in a frame that others use too), devdax two. */
export function possibleDedup(sizes: Sizes): Dedup {
  const { vmemmapPages } = memmapOf(sizes);
  const whole = isPowerOfTwo(sizes.structPage);
  const devdax = whole && isLargeEnough(sizes) ? frames(vmemmapPages, reserved) : null;
  return { devdax, hugetlb: whole && vmemmapPages > 1 ? frames(vmemmapPages, 1) : null, savingPerTiB: savingOf(sizes, devdax, tebibyte) };
}

const K = 2 ** 10;
const M = 2 ** 20;
const G = 2 ** 30;

/** The rows of the overview: base page and compound, with struct pages of 64 bytes. */
export const overview: readonly Sizes[] = [
  [4 * K, 2 * M],
  [4 * K, G],
  [16 * K, 2 * M],
  [16 * K, 32 * M],
  [64 * K, 2 * M],
  [64 * K, 512 * M],
  [64 * K, G],
  [64 * K, 16 * G],
].map(([basePage, compound]) => ({ basePage: basePage as number, compound: compound as number, structPage: 64 }));
