const K = 2 ** 10;
const M = 2 ** 20;
const G = 2 ** 30;

/** How an architecture maps and populates its vmemmap, and whether it shares the frames of tail struct pages. */
export interface Architecture {
  readonly id: string;
  readonly title: string;
  /** PAGE_SIZE in bytes: those that a 64-bit kernel can be built with, the usual one first. */
  readonly basePages: readonly number[];
  /** Size of a section of sparse memory in bytes (SECTION_SIZE_BITS), for each of these. */
  readonly sections: readonly number[];
  /** Which tables translate addresses of the vmemmap. */
  readonly mapped: string;
  readonly populated: string;
  /** What the MMU finds of what generic code maps: all; nothing, since it looks elsewhere; or wrong frames, since an entry of zeros is valid. */
  readonly translation: 'init_mm' | 'hash' | 'zero-valid';
  /** With an altmap every frame behind the vmemmap is given back to it, wherever it came from. */
  readonly returnsToAltmap: boolean;
  /** Versions of Linux, of these two, in which there can be ZONE_DEVICE at all. */
  readonly zoneDevice: readonly ('6.3' | '6.12')[];
  readonly devdax: {
    /** ARCH_WANT_OPTIMIZE_DAX_VMEMMAP. */
    readonly selected: boolean;
    /** What a vmemmap_can_optimize() of its own adds; null: there is none. */
    readonly override: { readonly holds: boolean; readonly text: string } | null;
    readonly why: string;
  };
  /** ARCH_WANT_OPTIMIZE_HUGETLB_VMEMMAP. */
  readonly hugetlb: { readonly selected: boolean; readonly why: string };
  /** In 6.3: ARCH_WANT_HUGETLB_PAGE_OPTIMIZE_VMEMMAP; and what the draft of 87a7ae75d738 made select its ARCH_WANT_OPTIMIZE_VMEMMAP. */
  readonly selected63: { readonly hugetlb: boolean; readonly draft: boolean };
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
    sections: [128 * M],
    mapped: 'init_mm; new top-level entries are copied to every mm',
    populated: 'huge pmds or base ptes; vmemmap_populate() ends with sync_global_pgds(), and since 6659d0279980 generic code sees to the other mms by itself',
    translation: 'init_mm',
    returnsToAltmap: false,
    zoneDevice: ['6.3', '6.12'],
    devdax: { selected: true, override: null, why: daxYes },
    hugetlb: hugetlbYes,
    selected63: { hugetlb: true, draft: true },
    generic: null,
    kernel,
    source: 'arch/x86/Kconfig, arch/x86/mm/init_64.c, include/linux/pgalloc.h',
  },
  {
    id: 'powerpc-radix',
    title: 'powerpc Book3S 64, radix MMU',
    basePages: [64 * K, 4 * K],
    sections: [16 * M, 16 * M],
    mapped: 'init_mm',
    populated: 'its own vmemmap_populate_compound_pages(), which does not share where a pmd leaf is in the way; init goes by the sizes alone',
    translation: 'init_mm',
    returnsToAltmap: false,
    zoneDevice: ['6.3', '6.12'],
    devdax: { selected: true, override: { holds: true, text: 'radix_enabled()' }, why: `${daxYes} if PPC_RADIX_MMU` },
    hugetlb: hugetlbNo,
    selected63: { hugetlb: false, draft: false },
    generic: null,
    kernel,
    source: 'arch/powerpc/Kconfig, arch/powerpc/mm/book3s64/radix_pgtable.c',
  },
  {
    id: 'powerpc-hash',
    title: 'powerpc Book3S 64, hash MMU',
    basePages: [64 * K, 4 * K],
    sections: [16 * M, 16 * M],
    mapped: 'bolted hash entries (hash__vmemmap_create_mapping), not init_mm',
    populated: '__vmemmap_populate(), with a linked list of the blocks behind it',
    translation: 'hash',
    returnsToAltmap: false,
    zoneDevice: ['6.3', '6.12'],
    devdax: { selected: true, override: { holds: false, text: 'only if radix_enabled()' }, why: `${daxYes} if PPC_RADIX_MMU, in a kernel for both MMUs` },
    hugetlb: hugetlbNo,
    selected63: { hugetlb: false, draft: false },
    generic:
      'no struct page is mapped, unless a block of 16M that is bolted for RAM covers it: ptes in init_mm are filled, which the hash MMU never looks at; the first store faults, in the head struct page (0x38 bytes into one of 64)',
    kernel,
    source: 'arch/powerpc/Kconfig, arch/powerpc/mm/init_64.c; the crash: 87a7ae75d738',
  },
  {
    id: 'riscv64',
    title: 'RISC-V, 64 bit',
    basePages: [4 * K],
    sections: [128 * M],
    mapped: 'init_mm; the top level is allocated beforehand',
    populated: 'huge pmds or base ptes',
    translation: 'init_mm',
    returnsToAltmap: true,
    zoneDevice: ['6.12'],
    devdax: { selected: true, override: null, why: daxYes },
    hugetlb: hugetlbYes,
    selected63: { hugetlb: true, draft: false },
    generic: null,
    kernel,
    source: 'arch/riscv/Kconfig',
  },
  {
    id: 'arm64',
    title: 'arm64',
    basePages: [4 * K, 16 * K, 64 * K],
    sections: [128 * M, 128 * M, 512 * M],
    mapped: 'init_mm',
    populated: 'base ptes; with 4K pages huge pmds for whole sections',
    translation: 'init_mm',
    returnsToAltmap: true,
    zoneDevice: ['6.3', '6.12'],
    devdax: { selected: false, override: null, why: daxNo },
    hugetlb: { selected: false, why: 'disabled: to map the struct pages anew is not safe with break-before-make' },
    selected63: { hugetlb: false, draft: true },
    generic: null,
    kernel,
    source: 'arch/arm64/Kconfig',
  },
  {
    id: 'loongarch',
    title: 'LoongArch, 64 bit',
    basePages: [16 * K, 4 * K, 64 * K],
    sections: [512 * M, 512 * M, 512 * M],
    mapped: 'init_mm; vmemmap_free() is empty',
    populated: 'huge pmds or base ptes',
    translation: 'init_mm',
    returnsToAltmap: false,
    zoneDevice: [],
    devdax: { selected: false, override: null, why: daxNo },
    hugetlb: hugetlbYes,
    selected63: { hugetlb: true, draft: true },
    generic: null,
    kernel,
    source: 'arch/loongarch/Kconfig',
  },
  {
    id: 's390',
    title: 's390',
    basePages: [4 * K],
    sections: [256 * M],
    mapped: 'init_mm, whose region and segment tables are 16K, and in which an entry of zeros is valid',
    populated: 'its own, in arch/s390/mm/vmem.c',
    translation: 'zero-valid',
    returnsToAltmap: true,
    zoneDevice: [],
    devdax: { selected: false, override: null, why: daxNo },
    hugetlb: { selected: false, why: 'not since 64e2f60f355e (6.18): a valid entry may not be replaced by another without ipte' },
    selected63: { hugetlb: true, draft: true },
    generic:
      'generic code makes tables of 4K zeros, where the MMU reads 16K, and a pte of zeros is valid here and names the first frame of memory: it takes the struct pages for mapped, and stores to them go to the lowcore',
    kernel,
    source: 'arch/s390/Kconfig, arch/s390/mm/vmem.c',
  },
  {
    id: 'sparc64',
    title: 'SPARC, 64 bit',
    basePages: [8 * K],
    sections: [G],
    mapped: 'init_mm',
    populated: 'huge pmds',
    translation: 'init_mm',
    returnsToAltmap: false,
    zoneDevice: [],
    devdax: { selected: false, override: null, why: daxNo },
    hugetlb: hugetlbNo,
    selected63: { hugetlb: false, draft: false },
    generic: null,
    kernel,
    source: 'arch/sparc/Kconfig',
  },
];
