import { protocols } from '../../src/protocols/index.js';
import { parseLine } from '../../src/trace/parse.js';
import { Validator } from '../../src/trace/validator.js';
import { Cast } from '../../src/trace/worlds.js';
import { linesOf } from './logs.js';

afterEach(() => jest.restoreAllMocks());

/** Once more, by other tasks in other address spaces. */
const renamed = (lines: readonly string[], copy: number): string[] =>
  lines.map((line) =>
    line
      .replace(/-(\d+)(\s+\[)/, (_, pid, rest) => (pid === '0' ? `-${pid}${rest}` : `-${Number(pid) + 1000 * copy}${rest}`))
      .replace(/\b((?:mm|next)=(?:0x)?ff)(?!ffff)\w{6}/g, (_, head) => `${head}${(copy + 0xa00000).toString(16)}`),
  );

function read(lines: readonly string[]): Validator {
  const validator = new Validator(protocols);
  for (const [at, line] of lines.entries()) validator.line(parseLine(line, at + 1));
  return validator;
}

test('who is over and gone leaves, and a log reads on', () => {
  const lines = linesOf('02-dontneed.trace.txt.gz').slice(0, 4000);
  const copies = [1, 2, 3, 4].flatMap((copy) => ['CPU:0 [LOST EVENTS]', ...renamed(lines, copy)]);
  const lefts: string[][] = [];
  const { renew } = Cast.prototype;
  jest.spyOn(Cast.prototype, 'isFull', 'get').mockImplementation(function (this: Cast) {
    return this.remembers > 300;
  });
  jest.spyOn(Cast.prototype, 'renew').mockImplementation(function (this: Cast, ...given) {
    const renewed = renew.apply(this, given);
    lefts.push(renewed.left);
    return renewed;
  });
  const { verdict, rejection } = read(copies).result();
  expect({ verdict, rejection }).toEqual({ verdict: 'accepted', rejection: null });
  const left = lefts.flat();
  expect(lefts.length).toBeGreaterThan(4);
  for (const kind of ['flush:', 'mm:', 'mmap_lock:', 'task:']) expect(left.filter((address) => address.startsWith(kind)).length).toBeGreaterThan(1);
  expect(left.filter((address) => address.startsWith('cpu'))).toEqual([]);
});

test('an address space at the address of one that is gone begins with generation 1', () => {
  const flush = (gen: number, time: number): string[] =>
    [
      `flush_tlb_mm_range: mm=0xff10 start=0x1000 end=0x2000 stride=12 freed_tables=0 gen_before=${gen}`,
      `flush_tlb_func: mm=0xff10 start=0x1000 end=0x2000 new_tlb_gen=${gen + 1} initiating_cpu=0`,
      'native_flush_tlb_one_user: addr=0x1000',
      'flush_tlb_func_ret: ',
      'flush_tlb_mm_range_ret: mm=0xff10',
    ].map((text, at) => `  a-7 [000] d.... ${time + at}: ${text}`);
  const verdictOf = (...gens: number[]) => read(gens.flatMap((gen, n) => flush(gen, 10 * n + 1))).result();
  expect(verdictOf(4, 5, 1, 2).verdict).toBe('accepted');
  expect(verdictOf(4, 5, 4).rejection).toMatchObject({ property: 'P07', line: 11 });
});

test('a percpu_ref at the address of one that is gone is a new one', () => {
  const life = (time: number): string[] =>
    [
      'percpu_ref_kill_and_confirm: ref=0xff20 atomic=0 dead=0',
      'percpu_ref_switch_mode: ref=0xff20',
      'rcu_gp_init: ',
      'rcu_gp_cleanup: ',
      'percpu_ref_switch_to_atomic_rcu: ref=0xff20 count=0x8000000000000001',
      'percpu_ref_confirmed: ref=0xff20 count=0x2',
      'dev_pagemap_percpu_release: ref=0xff20',
      'percpu_ref_exit: ref=0xff20',
    ].map((text, at) => `  a-7 [000] ..... ${time + at}: ${text}`);
  const { verdict, rejection } = read([...life(1), ...life(20)]).result();
  expect({ verdict, rejection }).toEqual({ verdict: 'accepted', rejection: null });
});
