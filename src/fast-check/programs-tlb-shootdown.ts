import { type Arbitrary, array, constantFrom, integer, record } from 'fast-check';

type Call =
  | { do: 'store'; page: number }
  | { do: 'gup' | 'munmap' | 'mremap' | 'truncate' }
  | { do: 'madvise'; pages: number[] }
  | { do: 'switch'; next: 'mm' | 'init_mm' | 'kthread' };

/** What `tlbShootdownSystem` takes, beside the machines: `{ ...shootdownReference, ...program }`. */
export interface TlbShootdownProgram {
  flush: 'ipi' | 'broadcast';
  pages: number;
  backing: 'anonymous' | 'file' | 'pfnmap';
  tables: 'kept' | 'rcu' | 'sync' | 'direct';
  threads: { program: Call[]; switchedAway?: boolean }[];
}

interface Plan {
  flush: TlbShootdownProgram['flush'];
  pages: number;
  backing: TlbShootdownProgram['backing'];
  tables: TlbShootdownProgram['tables'];
  threads: { does: Word[]; page: number; arrives: boolean; leaves: 'init_mm' | 'kthread' | null }[];
}

/** `away`: another thread of the kernel runs on the CPU for a while. */
const words = ['store', 'gup', 'madvise', 'munmap', 'away', 'mremap', 'truncate'] as const;
type Word = (typeof words)[number];

/** What the model has no answer for is left out: there is one munmap, and truncate is of what has a file. */
function fits({ backing, tables, pages, flush }: Plan, word: Word, before: readonly Word[]): boolean {
  // A page that has moved is no more in the range that others unmap.
  const excluded: Partial<Record<Word, readonly Word[]>> = {
    munmap: ['munmap', 'mremap'],
    mremap: ['munmap', 'madvise', 'mremap'],
    madvise: ['mremap'],
    truncate: ['truncate'],
  };
  if (excluded[word]?.some((other) => before.includes(other))) return false;
  switch (word) {
    case 'truncate':
      return backing !== 'anonymous' && pages === 1;
    case 'mremap':
      // Dirt that is on its way with the pte is of no page, and of no pte.
      return backing !== 'file' && pages === 1 && tables === 'kept';
    case 'gup':
      return backing !== 'pfnmap';
    case 'madvise':
      return backing === 'anonymous';
    case 'away':
      return flush === 'ipi';
    default:
      return true;
  }
}

function callsOf(word: Word, page: number): Call[] {
  switch (word) {
    case 'store':
      return [{ do: 'store', page }];
    case 'madvise':
      return [{ do: 'madvise', pages: [page] }];
    case 'away':
      return [
        { do: 'switch', next: 'kthread' },
        { do: 'switch', next: 'mm' },
      ];
    default:
      return [{ do: word }];
  }
}

function programOf(plan: Plan): TlbShootdownProgram {
  const before: Word[] = [];
  const switches = plan.flush === 'ipi';
  const threads = plan.threads.map(({ does, page, arrives, leaves }) => {
    const said = does.filter((word) => fits(plan, word, before) && before.push(word));
    const calls = (said.length > 0 ? said : (['store'] as const)).flatMap((word) => callsOf(word, page % plan.pages));
    const program: Call[] = [
      ...(arrives && switches ? [{ do: 'switch', next: 'mm' } as const] : []),
      ...calls,
      ...(leaves && switches ? [{ do: 'switch', next: leaves } as const] : []),
    ];
    return { program, ...(arrives && switches ? { switchedAway: true } : {}) };
  });
  // To free a table with the pages is for flushes that walkers answer to.
  const tables = plan.tables === 'direct' && plan.flush === 'broadcast' ? 'rcu' : plan.tables;
  return { flush: plan.flush, pages: plan.pages, backing: plan.backing, tables, threads };
}

/** Two or three threads of a process, that touch, unmap, drop and move its pages. */
export function tlbShootdownPrograms(): Arbitrary<TlbShootdownProgram> {
  const rarely = constantFrom(false, false, false, true);
  const thread = record({
    does: array(constantFrom(...words), { minLength: 1, maxLength: 2 }),
    page: integer({ min: 0, max: 1 }),
    arrives: rarely,
    leaves: constantFrom(null, null, 'kthread' as const, 'init_mm' as const),
  });
  return record({
    flush: constantFrom('ipi' as const, 'broadcast' as const),
    pages: integer({ min: 1, max: 2 }),
    backing: constantFrom('anonymous' as const, 'file' as const, 'pfnmap' as const),
    tables: constantFrom('kept' as const, 'rcu' as const, 'sync' as const, 'direct' as const),
    threads: array(thread, { minLength: 2, maxLength: 3 }),
  }).map(programOf);
}
