import { type Arbitrary, array, constantFrom, integer, oneof, record } from 'fast-check';

const userWords = ['load', 'store', 'dontneed', 'munmap', 'mprotect'] as const;
const kernelWords = ['reclaim', 'migrate', 'oom_reap'] as const;
type Call = { do: 'load' | 'store' | 'dontneed' | 'munmap' | 'mprotect_read' | 'mprotect_write' | (typeof kernelWords)[number]; vpn: number };
type Thread = { mm: 'p' | null; program: Call[] };
type Device = { program: { do: 'read' | 'write'; vpn: number }[] };

/** What `mirrorSystem` takes, beside the machines: `{ ...mirror, ...program }`. */
export interface MmuNotifierProgram {
  threads: Thread[];
  gpus: Record<string, Device>;
  guest: Device | null;
  pages: ('present' | 'none')[];
  free: number;
}

const on = <T extends string>(word: T): { do: T; vpn: number } => ({ do: word, vpn: 0 });

/** What is unmapped is not used any more; a right to write that is taken is given back, since nobody is sent a signal. */
function userProgram(words: readonly (typeof userWords)[number][]): Call[] {
  const at = words.indexOf('munmap');
  const used = at < 0 ? words : words.slice(0, at + 1);
  return used.flatMap((word): Call[] => (word === 'mprotect' ? [on('mprotect_read'), on('mprotect_write')] : [on(word)]));
}

/** A process with one page, a device or two that mirror it, and threads that use the page or take it away. */
export function mmuNotifierPrograms(): Arbitrary<MmuNotifierProgram> {
  const device = array(constantFrom('read' as const, 'write' as const), { minLength: 1, maxLength: 2 }).map((words): Device => ({ program: words.map(on) }));
  const user = array(constantFrom(...userWords), { minLength: 1, maxLength: 2 }).map((words): Thread => ({ mm: 'p', program: userProgram(words) }));
  const kernel = constantFrom(...kernelWords).map((word): Thread => ({ mm: null, program: [on(word)] }));
  const mirrors = oneof(
    device.map((gpu0) => ({ gpus: { gpu0 }, guest: null })),
    device.map((guest) => ({ gpus: {}, guest })),
  );
  return record({
    mirrors,
    user,
    others: array(kernel, { maxLength: 1 }),
    page: constantFrom('present' as const, 'none' as const),
    free: integer({ min: 2, max: 4 }),
  }).map(({ mirrors: { gpus, guest }, user: thread, others, page, free }) => {
    const protects = thread.program.some((call) => call.do === 'mprotect_read');
    // The model maps what is faulted in with the right to write, whatever the VMA says: the page is there, and stays.
    if (!protects) return { threads: [thread, ...others], gpus, guest, pages: [page], free };
    const stays = { mm: thread.mm, program: thread.program.filter((call) => call.do !== 'dontneed') };
    return { threads: [stays, ...others.filter(({ program }) => program.every((call) => call.do === 'migrate'))], gpus, guest, pages: ['present'], free };
  });
}
