import { type Arbitrary, array, boolean, constantFrom, oneof, record } from 'fast-check';

type Call =
  | { do: 'load' | 'store' | 'unmerge' | 'madvise_free' | 'uffd_wp' | 'fork'; vpn: number }
  | { do: 'ksm_scan'; at: { mm: string; vpn: number }; other: { mm: string; vpn: number } }
  | { do: 'write' | 'writeback' | 'fsync' | 'truncate'; cell: string }
  | { do: 'merge_files'; into: string; from: string }
  | { do: 'kpageflags'; pfn: number };

interface Thread {
  mm: string | null;
  program: Call[];
  pins?: { vpn: number; access: 'read' | 'write' };
}

interface Cell {
  kind: 'file' | 'anonymous';
  pfn: number;
  at: Record<string, number[]>;
  dirty?: boolean;
}

/** What `writeProtectSystem` takes, beside the machines: `{ ...protection, ...program }`. */
export interface WriteProtectProgram {
  cells: Record<string, Cell>;
  stable: number[];
  free: number;
  ordering: 'sc' | 'tso';
  threads: Thread[];
}

const someOf = <T>(...of: T[]): Arbitrary<T[]> => array(constantFrom(...of), { minLength: 1, maxLength: 2 });
const usersWho = <T>(...of: T[]) => array(record({ second: boolean(), does: someOf(...of), syncs: boolean() }), { minLength: 1, maxLength: 2 });

/** Two private pages of one process or two, which KSM merges or has merged. */
const privatePages = (): Arbitrary<WriteProtectProgram> =>
  record({
    merged: boolean(),
    stable: boolean(),
    oneProcess: boolean(),
    scans: boolean(),
    pins: constantFrom(null, 'read' as const, 'write' as const),
    users: usersWho('store' as const, 'load' as const, 'uffd_wp' as const, 'madvise_free' as const, 'unmerge' as const),
    forks: boolean(),
    ordering: constantFrom('sc' as const, 'tso' as const),
  }).map((plan) => {
    const second = plan.oneProcess ? { mm: 'p', vpn: 1 } : { mm: 'q', vpn: 0 };
    const first = { mm: 'p', vpn: 0 };
    const users = plan.users.map(({ second: isSecond, does }): Thread => {
      const { mm, vpn } = isSecond ? second : first;
      return { mm, program: does.map((what) => ({ do: what, vpn })) };
    });
    const threads: Thread[] = [
      ...(plan.scans ? [{ mm: null, program: [{ do: 'ksm_scan' as const, at: first, other: second }] }] : []),
      ...(plan.pins ? [{ mm: 'p', program: [], pins: { vpn: 0, access: plan.pins } }] : []),
      ...(plan.forks ? [{ mm: 'p', program: [{ do: 'fork' as const, vpn: 0 }] }] : []),
      ...users,
    ];
    return {
      cells: { x: { kind: 'anonymous', pfn: 0, at: { p: [0] } }, y: { kind: 'anonymous', pfn: plan.merged ? 0 : 1, at: { [second.mm]: [second.vpn] } } },
      stable: plan.merged ? [0] : plan.stable ? [1] : [],
      free: 4,
      ordering: plan.ordering,
      threads: threads.slice(0, 3),
    };
  });

type KernelWord = 'merge_files' | 'writeback' | 'truncate' | 'kpageflags';

/** A page each of two files, which are merged or have been. */
const filePages = (): Arbitrary<WriteProtectProgram> =>
  record({
    merged: boolean(),
    dirty: boolean(),
    users: usersWho('store' as const, 'load' as const, 'write' as const),
    kernel: someOf<KernelWord>('merge_files', 'writeback', 'truncate', 'kpageflags'),
    truncated: constantFrom('f' as const, 'g' as const),
  }).map(({ merged, dirty, users, kernel, truncated }) => {
    const other = truncated === 'f' ? 'g' : 'f';
    // There is no i_size: who still uses a file that is truncated would find what is on the disk.
    const fileOf = (second: boolean): 'f' | 'g' => (kernel.includes('truncate') ? other : second ? 'g' : 'f');
    const threads = users.map(({ second, does, syncs }): Thread => {
      const cell = fileOf(second);
      const calls = does.map((what): Call => (what === 'write' ? { do: what, cell } : { do: what, vpn: 0 }));
      // What is written after an fsync need not be on the disk: it comes last, where nobody else may write.
      const isAlone = users.filter((user) => fileOf(user.second) === cell).length === 1;
      return { mm: cell === 'g' ? 'q' : 'p', program: [...calls, ...(syncs && isAlone ? [{ do: 'fsync' as const, cell }] : [])] };
    });
    const kernelCall = (what: KernelWord): Call => {
      if (what === 'merge_files') return { do: what, into: truncated, from: other };
      return what === 'kpageflags' ? { do: what, pfn: 0 } : { do: what, cell: what === 'truncate' ? truncated : other };
    };
    return {
      cells: { f: { kind: 'file', pfn: 0, at: { p: [0] }, dirty }, g: { kind: 'file', pfn: merged ? 0 : 1, at: { q: [0] }, dirty: merged && dirty } },
      stable: merged ? [0] : [],
      free: 4,
      ordering: 'sc',
      threads: [...threads, { mm: null, program: kernel.map(kernelCall) }],
    };
  });

/** Threads that store, load, write, pin, fork and sync pages that are write-protected, or become so. */
export const writeProtectPrograms = (): Arbitrary<WriteProtectProgram> => oneof(privatePages(), filePages());
