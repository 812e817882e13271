import { type Arbitrary, constantFrom, oneof, record, shuffledSubarray } from 'fast-check';

type Call =
  | { do: 'load' | 'store' | 'munmap' | 'fork'; vpn: number }
  | { do: 'mprotect'; vpn: number; read: boolean }
  | { do: 'reclaim' | 'migrate' | 'write' | 'lock_file'; cell: string }
  | { do: 'slab' };

interface Thread {
  mm: string | null;
  program: Call[];
  repeats?: boolean;
}

/** What `lufSystem` takes, beside the machines: `{ ...strictLuf, ...program }`. */
export interface LufProgram {
  cells: Record<string, { kind: 'file' | 'anonymous'; pfn: number; at: Record<string, number[]>; exclusive?: boolean }>;
  free: number[];
  threads: Thread[];
}

const user = (...program: Call[]): Thread => ({ mm: 'p', program });
const kernel = (...program: Call[]): Thread => ({ mm: null, program });
/** Somebody who reads the page again and again, and two paths over it at most, reclaim among them. */
const withReader = (others: Thread[]): Thread[] => [{ mm: 'p', program: [{ do: 'load', vpn: 0 }], repeats: true }, ...others];

const filePage = (): Arbitrary<LufProgram> => {
  const cell = 'f';
  const others = [
    user({ do: 'store', vpn: 0 }),
    kernel({ do: 'migrate', cell }),
    user({ do: 'write', cell }),
    kernel({ do: 'slab' }),
    user({ do: 'munmap', vpn: 0 }),
    user({ do: 'mprotect', vpn: 0, read: false }),
    user({ do: 'lock_file', cell }),
  ];
  return record({ first: constantFrom(kernel({ do: 'reclaim', cell })), more: shuffledSubarray(others, { minLength: 1, maxLength: 2 }) }).map(
    ({ first, more }) => ({ cells: { f: { kind: 'file', pfn: 0, at: { p: [0] } } }, free: [1, 2], threads: withReader([first, ...more]) }),
  );
};

const privatePage = (): Arbitrary<LufProgram> => {
  const cell = 'x';
  const others = [
    user({ do: 'fork', vpn: 0 }),
    user({ do: 'store', vpn: 0 }),
    kernel({ do: 'migrate', cell }),
    user({ do: 'mprotect', vpn: 0, read: true }),
    kernel({ do: 'slab' }),
    user({ do: 'munmap', vpn: 0 }),
  ];
  return record({ first: constantFrom(kernel({ do: 'reclaim', cell })), more: shuffledSubarray(others, { minLength: 1, maxLength: 2 }) }).map(
    ({ first, more }) => ({
      cells: { x: { kind: 'anonymous', pfn: 0, at: { p: [0] }, exclusive: true } },
      free: [1, 2],
      threads: withReader([first, ...more]),
    }),
  );
};

/** A page that is read all along, reclaimed with its flush put off, and used by one or two more. */
export const lufPrograms = (): Arbitrary<LufProgram> => oneof(filePage(), privatePage());
