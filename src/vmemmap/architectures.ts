const K = 2 ** 10;
const M = 2 ** 20;

/** How an architecture maps and populates its vmemmap, and whether it shares the frames of tail struct pages. */
export interface Architecture {
  readonly id: string;
  readonly title: string;
  /** PAGE_SIZE in bytes: those that a 64-bit kernel can be built with, the usual one first. */
  readonly basePages: readonly number[];
  /** Size of a section of sparse memory in bytes; null: not known here. */
  readonly section: number | null;
  /** Which tables translate addresses of the vmemmap. */
  readonly mapped: string;
  readonly populated: string;
  readonly devdax: {
    /** ARCH_WANT_OPTIMIZE_DAX_VMEMMAP. */
    readonly selected: boolean;
    /** What a vmemmap_can_optimize() of its own adds; null: there is none. */
    readonly override: { readonly holds: boolean; readonly text: string } | null;
    readonly why: string;
  };
  /** ARCH_WANT_OPTIMIZE_HUGETLB_VMEMMAP. */
  readonly hugetlb: { readonly selected: boolean; readonly why: string };
  /** What becomes of struct pages that generic code populates here all the same; null: they are mapped. */
  readonly generic: string | null;
  /** The version of Linux that this is about. */
  readonly kernel: string;
  readonly source: string;
}

const kernel = '7.3';
const daxNo = 'ARCH_WANT_OPTIMIZE_DAX_VMEMMAP is not selected';
const daxYes = 'ARCH_WANT_OPTIMIZE_DAX_VMEMMAP is selected';
const hugetlbNo = { selected: false, why: 'ARCH_WANT_OPTIMIZE_HUGETLB_VMEMMAP is not selected' };
const hugetlbYes = { selected: true, why: 'ARCH_WANT_OPTIMIZE_HUGETLB_VMEMMAP is selected' };

/** Another architecture is another entry; nothing else has to change. */
export const architectures: readonly Architecture[] = [
  {
    id: 'x86_64',
    title: 'x86, 64 bit',
    basePages: [4 * K],
    section: 128 * M,
    mapped: 'init_mm; new top-level entries are copied to every mm',
    populated: 'huge pmds or base ptes; vmemmap_populate() ends with sync_global_pgds()',
    devdax: { selected: true, override: null, why: daxYes },
    hugetlb: hugetlbYes,
    generic: null,
    kernel,
    source: 'arch/x86/Kconfig, arch/x86/mm/init_64.c',
  },
  {
    id: 'powerpc-radix',
    title: 'powerpc Book3S 64, radix MMU',
    basePages: [64 * K, 4 * K],
    section: null,
    mapped: 'init_mm',
    populated: 'its own vmemmap_populate_compound_pages(), which does not share where a pmd leaf is in the way',
    devdax: { selected: true, override: { holds: true, text: 'radix_enabled()' }, why: `${daxYes} if PPC_RADIX_MMU` },
    hugetlb: hugetlbNo,
    generic: null,
    kernel,
    source: 'arch/powerpc/Kconfig, arch/powerpc/mm/book3s64/radix_pgtable.c',
  },
  {
    id: 'powerpc-hash',
    title: 'powerpc Book3S 64, hash MMU',
    basePages: [64 * K, 4 * K],
    section: null,
    mapped: 'bolted hash entries (hash__vmemmap_create_mapping), not init_mm',
    populated: '__vmemmap_populate(), with a linked list of the blocks behind it',
    devdax: { selected: true, override: { holds: false, text: 'only if radix_enabled()' }, why: `${daxYes} if PPC_RADIX_MMU, in a kernel for both MMUs` },
    hugetlb: hugetlbNo,
    generic:
      'no struct page is mapped: ptes in init_mm are filled, which the hash MMU never looks at; the first store faults, in the head struct page (0x38 bytes into one of 64)',
    kernel,
    source: 'arch/powerpc/Kconfig, arch/powerpc/mm/init_64.c; the crash: 87a7ae75d738',
  },
  {
    id: 'riscv64',
    title: 'RISC-V, 64 bit',
    basePages: [4 * K],
    section: null,
    mapped: 'init_mm; the top level is allocated beforehand',
    populated: 'huge pmds or base ptes',
    devdax: { selected: true, override: null, why: daxYes },
    hugetlb: hugetlbYes,
    generic: null,
    kernel,
    source: 'arch/riscv/Kconfig',
  },
  {
    id: 'arm64',
    title: 'arm64',
    basePages: [4 * K, 16 * K, 64 * K],
    section: null,
    mapped: 'init_mm',
    populated: 'base ptes; with 4K pages huge pmds for whole sections',
    devdax: { selected: false, override: null, why: daxNo },
    hugetlb: { selected: false, why: 'disabled: to map the struct pages anew is not safe with break-before-make' },
    generic: null,
    kernel,
    source: 'arch/arm64/Kconfig',
  },
  {
    id: 'loongarch',
    title: 'LoongArch, 64 bit',
    basePages: [16 * K, 4 * K, 64 * K],
    section: null,
    mapped: 'init_mm; vmemmap_free() is empty',
    populated: 'huge pmds or base ptes',
    devdax: { selected: false, override: null, why: daxNo },
    hugetlb: hugetlbYes,
    generic: null,
    kernel,
    source: 'arch/loongarch/Kconfig',
  },
  {
    id: 's390',
    title: 's390',
    basePages: [4 * K],
    section: null,
    mapped: 'kernel tables, by code of its own',
    populated: 'its own, in arch/s390/mm/vmem.c',
    devdax: { selected: false, override: null, why: daxNo },
    hugetlb: hugetlbNo,
    generic: null,
    kernel,
    source: 'arch/s390/Kconfig, arch/s390/mm/vmem.c',
  },
  {
    id: 'sparc64',
    title: 'SPARC, 64 bit',
    basePages: [8 * K],
    section: null,
    mapped: 'init_mm',
    populated: 'huge pmds',
    devdax: { selected: false, override: null, why: daxNo },
    hugetlb: hugetlbNo,
    generic: null,
    kernel,
    source: 'arch/sparc/Kconfig',
  },
];
