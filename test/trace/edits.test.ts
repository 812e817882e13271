import { linesOf, validate } from './logs.js';

/** Each edit makes the kernel do what it must not; it is rejected where that shows. */

const log = linesOf('01-shootdown.trace.txt.gz');
const dontneed = linesOf('02-dontneed.trace.txt.gz');

const cpuOf = (line: string): string => /\[(\d+)\]/.exec(line)?.[1] as string;
/** The first line at or after `from` (counted from 0) that matches, of a CPU if one is given. */
function find(lines: readonly string[], pattern: RegExp, from = 0, cpu?: string): number {
  const at = lines.findIndex((line, index) => index >= from && pattern.test(line) && (cpu === undefined || cpuOf(line) === cpu));
  if (at < 0) throw new Error(`no line matches ${pattern}`);
  return at;
}
const without = (lines: readonly string[], drops: (index: number) => boolean): string[] => lines.filter((_, index) => !drops(index));
/** The line with the time stamp of another, so that the clock goes on. */
const at = (line: string, like: string): string => line.replace(/(\s)\d+(: )/, `$1${/\s(\d+): /.exec(like)?.[1]}$2`);

/** A remote flush well into the log: its lines on the target, and where its initiator returns. */
function remoteFlush(lines: readonly string[], after: number) {
  const queued = find(lines, /csd_queue_cpu: cpu=\d+ .*func=flush_tlb_func/, after);
  const target = String(/cpu=(\d+)/.exec(lines[queued] as string)?.[1]).padStart(3, '0');
  const begin = find(lines, /csd_function_entry: func=flush_tlb_func/, queued, target);
  const end = find(lines, /csd_function_exit: func=flush_tlb_func/, begin, target);
  const returned = find(lines, /flush_tlb_mm_range_ret/, queued, cpuOf(lines[queued] as string));
  return { queued, target, begin, end, returned, isPart: (index: number) => index >= begin && index <= end && cpuOf(lines[index] as string) === target };
}

test('without an edit it is accepted', () => {
  expect(validate(log).verdict).toBe('accepted');
});

test.each([300, 1500, 5000])('P01: a remote flush that never ran is missed when its initiator returns (after line %i)', (after) => {
  const { isPart, returned } = remoteFlush(log, after);
  const edited = without(log, isPart);
  const dropped = log.filter((_, index) => isPart(index) && index < returned).length;
  const { rejection } = validate(edited);
  expect(rejection).toMatchObject({ protocol: 'tlb-shootdown', property: 'P01', line: returned + 1 - dropped });
});

test('P01: a remote flush that ran after its initiator returned', () => {
  const { isPart, returned } = remoteFlush(log, 300);
  const moved = log.filter((_, index) => isPart(index));
  const edited = [
    ...log.slice(0, returned + 1).filter((_, index) => !isPart(index)),
    ...moved.map((line) => at(line, log[returned] as string)),
    ...log.slice(returned + 1).filter((_, index) => !isPart(index + returned + 1)),
  ];
  expect(validate(edited).rejection).toMatchObject({ property: 'P01', line: returned + 1 - moved.length });
});

test('P08: a target that runs the flush and invalidates nothing', () => {
  const { isPart, begin, target } = remoteFlush(log, 300);
  const isInvalidation = (index: number): boolean => isPart(index) && /native_flush_tlb/.test(log[index] as string);
  const edited = without(log, isInvalidation);
  expect(validate(edited).rejection).toMatchObject({ property: 'P08', line: find(edited, /flush_tlb_func_ret/, begin, target) + 1 });
});

test('P05: a CPU that has the address space loaded and is not lazy is left out', () => {
  const queued = find(log, /csd_queue_cpu: cpu=0 .*func=flush_tlb_func/, 300);
  const end = find(log, /csd_function_exit: func=flush_tlb_func/, queued, '000');
  const sent = find(log, /ipi_send_cpu(mask)?: /, queued, cpuOf(log[queued] as string));
  const withoutIpi = log.map((line, index) =>
    index === sent
      ? line.replace(/cpumask=00000000,(\w+)/, (_, mask) => `cpumask=00000000,${(Number.parseInt(mask, 16) & ~1).toString(16).padStart(8, '0')}`)
      : line,
  );
  const edited = without(
    withoutIpi,
    (index) =>
      index === queued ||
      (index === sent && /ipi_send_cpu:/.test(log[sent] as string)) ||
      (index > queued && index <= end && cpuOf(log[index] as string) === '000' && /csd|flush_tlb|call_function/.test(log[index] as string)),
  );
  const { rejection } = validate(edited);
  expect(rejection?.property).toBe('P05');
  expect(rejection?.line).toBe(find(edited, /csd_queue_cpu: .*func=flush_tlb_func|flush_tlb_func: /, queued, cpuOf(log[queued] as string)) + 1);
});

test('P04: a CPU of the mask is left out though page tables are freed', () => {
  const flush = find(log, /flush_tlb_mm_range: .*freed_tables=1/, 300);
  const cpu = cpuOf(log[flush] as string);
  const first = find(log, /csd_queue_cpu: .*func=flush_tlb_func/, flush, cpu);
  const second = find(log, /csd_queue_cpu: .*func=flush_tlb_func/, first + 1, cpu);
  expect(second).toBeLessThan(find(log, /flush_tlb_mm_range_ret/, flush, cpu));
  expect(validate(without(log, (index) => index === first)).rejection).toMatchObject({ property: 'P04', line: second });
});

test('P03: an IPI goes to a CPU that was not queued', () => {
  const sent = find(log, /ipi_send_cpumask: cpumask=00000000,0000000c/, 300);
  const edited = log.map((line, index) => (index === sent ? line.replace('0000000c', '0000000e') : line));
  expect(validate(edited).rejection).toMatchObject({
    property: 'P03',
    line: sent + 1,
    says: expect.stringContaining('CPUs 1, 2, 3, having queued its flush on 2 3'),
  });
});

test('P09: a CPU that was left out as lazy comes back and flushes nothing', () => {
  // Most switches find nothing to make up for; one that does is rejected, the others must not be.
  const flushes = log.flatMap((line, index) =>
    /reason:flush on task switch/.test(line) && /switch_mm: .*next=0xff/.test(log[index - 1] ?? '') ? [index] : [],
  );
  const rejections = flushes.slice(0, 20).map(
    (index) =>
      [
        index,
        validate(
          without(log, (other) => other === index),
          ['tlb-shootdown'],
        ).rejection,
      ] as const,
  );
  const found = rejections.filter(([, rejection]) => rejection !== null);
  expect(found.length).toBeGreaterThan(0);
  for (const [index, rejection] of found) {
    expect(rejection?.property).toBe('P09');
    expect(rejection?.line).toBe(find(log, /./, index + 1, cpuOf(log[index] as string)));
  }
});

test('P06: two flushes of one generation', () => {
  const first = find(log, /native_flush_tlb_multi: .*new_tlb_gen=/, 700);
  const second = find(log, /native_flush_tlb_multi: .*new_tlb_gen=/, first + 1);
  const gen = /new_tlb_gen=(\d+)/.exec(log[first] as string)?.[0] as string;
  const edited = log.map((line, index) => (index === second ? line.replace(/new_tlb_gen=\d+/, gen) : line));
  expect(validate(edited).rejection).toMatchObject({ property: 'P06', line: second + 1 });
});

test('P07: a flush that reads a generation which is not the latest', () => {
  const call = find(log, /flush_tlb_mm_range: .*gen_before=/, 1200);
  const edited = log.map((line, index) => (index === call ? line.replace(/gen_before=(\d+)/, (_, gen) => `gen_before=${Number(gen) - 1}`) : line));
  expect(validate(edited).rejection).toMatchObject({ property: 'P07', line: call + 1 });
});

test('P02: a mask that leaves out a CPU which runs the address space', () => {
  const multi = find(log, /native_flush_tlb_multi: .*cpumask=0xf/, 1200);
  const edited = log.map((line, index) => (index === multi ? line.replace('cpumask=0xf', 'cpumask=0x7') : line));
  expect(validate(edited).rejection).toMatchObject({ property: 'P02', line: multi + 1 });
});

test('P13: a second writer of mmap_lock', () => {
  const taken = find(dontneed, /mmap_lock_acquire_returned: .*write=(true|false) success=true/, 100);
  const line = dontneed[taken] as string;
  const other = line.replace(/-\d+(\s)/, '-9999$1').replace('write=false', 'write=true');
  const edited = [...dontneed.slice(0, taken + 1), other, ...dontneed.slice(taken + 1)];
  expect(validate(edited).rejection).toMatchObject({ protocol: 'mmap-lock', property: 'P13', line: taken + 2 });
});

test('P13: who releases mmap_lock does not hold it', () => {
  const released = find(dontneed, /mmap_lock_released: .*write=false/, 500);
  const line = dontneed[released] as string;
  const edited = [...dontneed.slice(0, released + 1), line.replace('write=false', 'write=true'), ...dontneed.slice(released + 1)];
  expect(validate(edited).rejection).toMatchObject({ property: 'P13', line: released + 2 });
});

test('P00: time that goes back', () => {
  const edited = [...log.slice(0, 200), at(log[200] as string, log[100] as string), ...log.slice(201)];
  expect(validate(edited).rejection).toMatchObject({ protocol: 'log', property: 'P00', line: 201 });
});

describe('pages', () => {
  test('P10: a page in a gather is freed before the flush', () => {
    const put = find(dontneed, /tlb_remove_folio_pages: .*nr=1/, 2000);
    const page = /page=0x(\w+)/.exec(dontneed[put] as string)?.[1] as string;
    const freed = find(dontneed, new RegExp(`mm_page_free.*page=${page}`), put);
    const flush = find(dontneed, /flush_tlb_mm_range: /, put, cpuOf(dontneed[put] as string));
    expect(freed).toBeGreaterThan(flush);
    const edited = without(
      [...dontneed.slice(0, flush), at(dontneed[freed] as string, dontneed[flush] as string), ...dontneed.slice(flush)],
      (index) => index === freed + 1,
    );
    expect(validate(edited).rejection).toMatchObject({ property: 'P10', line: flush + 1 });
  });

  test('P17: a page whose flush was put off is freed before the batch is flushed', () => {
    const reclaim = linesOf('04a-reclaim-file.trace.txt.gz');
    const owed = find(reclaim, /set_tlb_ubc_flush_pending: /, 8000);
    const unmapped = reclaim.slice(0, owed).findLastIndex((line) => /try_to_unmap_one: /.test(line) && cpuOf(line) === cpuOf(reclaim[owed] as string));
    const page = /folio=0x(\w+)/.exec(reclaim[unmapped] as string)?.[1] as string;
    const early = `${(reclaim[owed + 1] as string).replace(/: [\w:]+: .*/, (text) => text)}`;
    const line = early.replace(/(\d+): \w+: .*/, `$1: mm_page_free: page=${page} pfn=0x1 order=0`);
    const edited = [...reclaim.slice(0, owed + 1), line, ...reclaim.slice(owed + 1)];
    expect(validate(edited).rejection).toMatchObject({ property: 'P17', line: owed + 2 });
  });

  describe('KSM', () => {
    const ksm = linesOf('05-ksm.trace.txt.gz');
    const move = (from: number, to: number): string[] => {
      const rest = without(ksm, (index) => index === from);
      return [...rest.slice(0, to), at(ksm[from] as string, ksm[to] as string), ...rest.slice(to)];
    };
    const begins = find(ksm, /ksm_try_merge_one: .*kpage=0xff/, 800);
    const cpu = cpuOf(ksm[begins] as string);
    const isProtected = find(ksm, /ksm_write_protect_page_ret: .*rc=0/, begins, cpu);
    const merged = find(ksm, /ksm_try_merge_one_ret: .*rc=0/, begins, cpu);
    const cleared = find(ksm, /ptep_clear_flush: /, isProtected, cpu);

    test('P20: write protection returns before the flush', () => {
      const first = find(ksm, /ptep_clear_flush: /, begins, cpu);
      expect(first).toBeLessThan(isProtected);
      expect(validate(move(isProtected, first + 1)).rejection).toMatchObject({ property: 'P20', line: first + 2 });
    });

    test('P21: a merge that clears no pte', () => {
      expect(cleared).toBeLessThan(merged);
      const { rejection } = validate(move(merged, cleared));
      expect(rejection).toMatchObject({ property: 'P21', line: cleared + 1, says: expect.stringContaining('cleared no pte') });
    });

    test('P21: a merge that returns before the flush', () => {
      const { rejection } = validate(move(merged, cleared + 1));
      expect(rejection).toMatchObject({ property: 'P21', line: cleared + 2, says: expect.stringContaining('may still lead to') });
    });
  });

  test('P14: a pte that was present is cleared without a flush', () => {
    const ksm = linesOf('05-ksm.trace.txt.gz');
    const begin = find(ksm, /ptep_clear_flush: /, 500);
    const cpu = cpuOf(ksm[begin] as string);
    const end = find(ksm, /ptep_clear_flush_ret: .*oldpte=0x\w*[13579bdf]$/, begin, cpu);
    const dropped = (index: number): boolean => index > begin && index < end && /flush|csd|ipi_send|call_function/.test(ksm[index] as string);
    const edited = without(ksm, dropped);
    expect(validate(edited).rejection).toMatchObject({ property: 'P14', line: end + 1 - ksm.filter((_, index) => dropped(index)).length });
  });
});

describe('gup-fast', () => {
  const gup = linesOf('03-gup-fast.trace.txt.gz');
  const begin = find(gup, /gup_fast_pte_range: /, 3000);
  const cpu = cpuOf(gup[begin] as string);

  test('P11: with interrupts on', () => {
    const edited = gup.map((line, index) => (index === begin ? line.replace(/\] d/, '] .') : line));
    expect(validate(edited).rejection).toMatchObject({ protocol: 'gup-fast', property: 'P11', line: begin + 1 });
  });

  test('P11b: an interrupt in between', () => {
    const entry = find(gup, /call_function_single_entry/, 0);
    const line = at((gup[entry] as string).replace(/\[\d+\]/, `[${cpu}]`), gup[begin] as string);
    expect(validate([...gup.slice(0, begin + 1), line, ...gup.slice(begin + 1)]).rejection).toMatchObject({ property: 'P11b', line: begin + 2 });
  });

  test('P12: a flush that runs in between', () => {
    const { isPart, target, begin: flush } = remoteFlush(gup, 3000);
    const walk = gup.slice(0, flush).findLastIndex((line) => /gup_fast_pte_range_ret/.test(line) && cpuOf(line) === target);
    const edited = without(gup, (index) => index === walk);
    const { rejection } = validate(edited, ['tlb-shootdown', 'gup-fast']);
    expect(rejection?.property).toBe('P11b');
    expect(isPart(flush)).toBe(true);
  });
});

describe('percpu_ref and its page map', () => {
  const unbind = linesOf('07a-dax-unbind-xfs.trace.txt.gz');
  const move = (from: number, to: number): string[] => {
    const rest = without(unbind, (index) => index === from);
    return [...rest.slice(0, to), at(unbind[from] as string, unbind[to] as string), ...rest.slice(to)];
  };
  const called = find(unbind, /percpu_ref_switch_to_atomic_rcu: /, 2600);
  const confirmed = find(unbind, /percpu_ref_confirmed: /, called);
  const released = find(unbind, /dev_pagemap_percpu_release: /, confirmed);

  test('P22: the callback comes without a grace period since the kill', () => {
    const ended = unbind.slice(0, called).findLastIndex((line) => /rcu_gp_cleanup: /.test(line));
    expect(validate(without(unbind, (index) => index === ended)).rejection).toMatchObject({ protocol: 'percpu-ref', property: 'P22', line: called });
  });

  test('P22: it comes before the grace period is over', () => {
    const ended = unbind.slice(0, called).findLastIndex((line) => /rcu_gp_cleanup: /.test(line));
    expect(validate(move(called, ended)).rejection).toMatchObject({ property: 'P22', line: ended + 1 });
  });

  test('P23: release runs before the switch is over', () => {
    expect(validate(move(released, called)).rejection).toMatchObject({ property: 'P23', line: called + 1 });
  });

  test('P24: memory is removed before the last reference is gone', () => {
    const removed = find(unbind, /arch_remove_memory: /);
    expect(validate(move(removed, released)).rejection).toMatchObject({ property: 'P24', line: released + 1 });
  });
});
