import type { AnyMachineSnapshot, AnyStateMachine } from 'xstate';
import type { DevicePte, Pte } from '../../machines/index.js';
import * as machines from '../../machines/index.js';
import { LiveSystem, type Property, type System } from '../../src/index.js';
import {
  expectedVerdict,
  type ProtectCall,
  type ProtectCell,
  type ProtectSetup,
  type ProtectThread,
  protection,
  scenarios,
  type Variant,
  writeProtectSystem,
} from '../../src/scenarios/index.js';
import { protectSafeguards } from '../../src/scenarios/write-protect.js';
import type { Choice } from '../../src/system/system.js';

/*
 * What write protection is for, one thread after the other. The first part follows the kernel's own tests of KSM
 * (tools/testing/selftests/mm/ksm_functional_tests.c, 6.12), whose names stand in brackets. Not to be had here: the zero page
 * [test_unmerge_zero_pages], mprotect [test_prot_none], MADV_DONTNEED, prctl(PR_SET_MEMORY_MERGE) and exec. Values: each page holds 'v0'
 * at first, and what is written to cell x makes it 'x.v1', 'x.v2' ...
 */
type OfPage<C> = C extends { do: infer D; vpn: number } ? D : never;
type What = OfPage<ProtectCall>;

const does = (what: What): ProtectCall => ({ do: what, vpn: 0 });
const thread = (mm: string | null, program: readonly (ProtectCall | What)[]): ProtectThread => ({
  mm,
  program: program.map((call) => (typeof call === 'string' ? does(call) : call)),
});
const user = (...program: (ProtectCall | What)[]): ProtectThread => thread('p', program);
const other = (...program: (ProtectCall | What)[]): ProtectThread => thread('q', program);
const child = (...program: What[]): ProtectThread => thread('child', program);
const kernel = (...program: (ProtectCall | What)[]): ProtectThread => thread(null, program);
/** Pins the page in its first turn; in its second one the device reads or writes it, and it is given back. */
const pins = (access: 'read' | 'write'): ProtectThread => ({ mm: 'p', program: [], pins: { vpn: 0, access } });

/** A system on live XState. */
class Course {
  private readonly system: System;
  private readonly live: LiveSystem;
  private readonly heard: { by: string; value: string | null }[] = [];

  constructor(setup: Partial<ProtectSetup>) {
    this.system = writeProtectSystem('course', { ...protection, ...setup });
    this.live = new LiveSystem(this.system);
    this.live.messages.subscribe(({ to, event }) => {
      if (event.type === 'mmu.done' || event.type === 'access.done') this.heard.push({ by: to, value: (event as { value?: string | null }).value ?? null });
    });
  }

  /** Each of these in turn does its next call, to the end; nobody else moves, but for interrupts and the disk. */
  turns(...threads: string[]): this {
    for (const one of threads) this.turn(one);
    return this;
  }

  /** What `access0`, `gpu0.access` ... has read or written, in order. */
  values(by: string): (string | null)[] {
    return this.heard.flatMap((access) => (access.by === by ? [access.value] : []));
  }

  /** What each process has there, and the frames that are free: `p page0 read, q page0 read; free 1 2`. */
  get now(): string {
    const spaces = this.system.actors.flatMap(({ address }) => (/^(p|p_node1|q|child)$/.test(address) ? [`${address} ${this.pte(address)}`] : []));
    const free = this.system.actors.flatMap(({ address }) => (/^page\d+$/.test(address) && this.snapshot(address).value === 'free' ? address.slice(4) : []));
    return `${spaces.join(', ')}; free ${free.join(' ') || 'none'}`;
  }

  /** What the device has mapped. */
  get mapped(): string {
    const pte = this.contextOf('gpu0').ptes[0] as DevicePte | undefined;
    return pte === undefined ? 'nothing' : `page${pte.pfn} ${pte.atomic ? 'atomic' : pte.write ? 'write' : 'read'}`;
  }

  /** The page of a file with what is in it, and what is on the disk: `page0: v0, disk: v0`. */
  file(name: string): string {
    const { folios, stored } = this.contextOf(`file_${name}`);
    const page = folios[0] === null ? 'none' : `page${folios[0]}`;
    return `${page}: ${page === 'none' ? null : this.contextOf(page).content}, disk: ${stored[0]}`;
  }

  /** Frames that a thread holds pins of. */
  pinned(by: string): number[] {
    return this.contextOf(by).pages;
  }

  /** Whether the bytes of a frame are shared, or it has copies. */
  protection(pfn: number): 'stable' | 'record' | 'none' {
    const { protection: found } = this.contextOf(`page${pfn}`);
    return found === null ? 'none' : found.stable ? 'stable' : 'record';
  }

  /** `frame rights`, or the kind of entry. */
  private pte(mm: string): string {
    const pte = (this.contextOf(mm).ptes[0] ?? { kind: 'none' }) as Pte;
    return pte.kind === 'present' ? `page${pte.pfn} ${pte.write ? 'write' : 'read'}` : pte.kind;
  }

  private snapshot(address: string): AnyMachineSnapshot {
    return this.live.snapshot(address) as AnyMachineSnapshot;
  }

  private contextOf(address: string): AnyMachineSnapshot['context'] {
    return this.snapshot(address).context;
  }

  private turn(one: string): void {
    const lanes = new Set(this.system.actors.flatMap(({ address, lane }) => (address === one ? [lane] : [])));
    if (one === 'gpu0.thread') for (const { lane } of this.system.actors) if (lane?.endsWith('(driver)')) lanes.add(lane);
    const before = this.progressOf(one);
    for (let steps = 0; this.progressOf(one) === null || this.progressOf(one) === before; steps++) {
      const choice = this.live
        .enabled()
        .find(({ fair, actor, event }) => fair && (lanes.has(actor.lane) || actor.lane === 'disk' || event.type === 'interrupt' || event.type === 'deliver'));
      if (choice === undefined || steps === 1000) throw new Error(`'${one}' cannot go on`);
      this.take(choice);
    }
  }

  /** How far a thread is, between two of its calls, or when it holds pins; null: elsewhere. */
  private progressOf(one: string): string | null {
    const { value, context } = this.snapshot(one);
    if (one.startsWith('direct_io')) return value === 'dma' || value === 'done' ? value : null;
    return String(context.program.length);
  }

  private take(choice: Choice): void {
    this.live.take(choice);
    expect(this.live.bugs().map(({ description }) => description)).toEqual([]);
    expect(this.system.properties.filter((property) => !this.isMet(property)).map(({ name }) => name)).toEqual([]);
  }

  private isMet(property: Property): boolean {
    if (property.kind !== 'invariant') return true;
    const snapshots = Object.fromEntries(property.actors.map((address) => [address, this.snapshot(address)]));
    return property.when?.(snapshots) === false || property.holds(snapshots);
  }
}

const x: ProtectCell = { kind: 'anonymous', pfn: 0, at: { p: [0] } };
const y: ProtectCell = { kind: 'anonymous', pfn: 1, at: { q: [0] } };
const scan: ProtectCall = { do: 'ksm_scan', at: { mm: 'p', vpn: 0 }, other: { mm: 'q', vpn: 0 } };
/** Two private pages with the same bytes, frames 0 and 1. */
const apart = (...threads: ProtectThread[]): Course => new Course({ cells: { x, y }, free: 2, threads });

describe('KSM', () => {
  test('two pages with the same bytes become one, and the other is free', () => {
    const run = apart(kernel(scan), user('load'), other('load')).turns('task0');
    expect([run.now, run.protection(0)]).toEqual(['p page0 read, q page0 read; free 1 2 3', 'stable']);
    run.turns('task1', 'task2');
    expect([run.values('access1'), run.values('access2')]).toEqual([['v0'], ['v0']]);
  });

  test('a page that is shared already takes in one more', () => {
    const run = new Course({ cells: { x, y }, stable: [1], threads: [kernel(scan)] }).turns('task0');
    expect(run.now).toBe('p page1 read, q page1 read; free 0 2');
  });

  test.each([
    ['of which none is shared yet', [], 'write'],
    ['of which one is shared already', [1], 'read'],
  ])('two pages with different bytes stay, %s', (_, stable, right) => {
    const run = new Course({ cells: { x, y }, stable, threads: [kernel(scan), user('store')] }).turns('task1', 'task0');
    expect(run.now).toBe(`p page0 write, q page1 ${right}; free 2`);
  });

  test('MADV_UNMERGEABLE gives each a page of its own again, with the same bytes, which needs no copy to be stored to [test_unmerge]', () => {
    const run = apart(kernel(scan), user('unmerge', 'load', 'store'), other('unmerge', 'load')).turns('task0', 'task1', 'task1');
    expect([run.now, run.values('access1')]).toEqual(['p page1 read, q page0 read; free 2 3', ['v0']]);
    expect(run.turns('task1').now).toBe('p page1 write, q page0 read; free 2 3');
    run.turns('task2', 'task2');
    expect([run.now, run.values('access2')]).toEqual(['p page1 write, q page2 read; free 0 3', ['v0']]);
  });

  test('of a page that was never shared MADV_UNMERGEABLE leaves everything as it is', () => {
    expect(apart(user('unmerge')).turns('task0').now).toBe('p page0 write, q page1 write; free 2 3');
  });

  // Swapped out here, for want of MADV_DONTNEED.
  test('MADV_UNMERGEABLE finds nothing where the page is not there any more, and it comes back [test_unmerge_discarded]', () => {
    const shared = { cells: { x, y: { ...y, pfn: 0 } }, stable: [0], free: 2 };
    const run = new Course({ ...shared, threads: [kernel({ do: 'reclaim', cell: 'x' }), user('unmerge', 'load')] }).turns('task0');
    expect(run.now).toBe('p swap, q swap; free 0 1 2');
    expect(run.turns('task1').now).toBe('p swap, q swap; free 0 1 2');
    expect(run.turns('task1').values('access1')).toEqual(['v0']);
  });

  test('MADV_UNMERGEABLE finds nothing where there never was a page', () => {
    const run = new Course({ cells: { x: { ...x, pfn: null, pte: 'none' } }, threads: [user('unmerge')] }).turns('task0');
    expect(run.now).toBe('p none; free 0');
  });

  test('who stores after a merge gets a page of its own, and the other keeps its bytes', () => {
    const run = apart(kernel(scan), user('store', 'load'), other('load', 'store', 'load')).turns('task0', 'task1', 'task1', 'task2');
    expect(run.now).toBe('p page1 write, q page0 read; free 2 3');
    expect([run.values('access1'), run.values('access2')]).toEqual([['x.v1', 'x.v1'], ['v0']]);
    run.turns('task2', 'task2');
    // A shared page is never stored to in place, not even by the last who maps it.
    expect([run.now, run.values('access2')]).toEqual(['p page1 write, q page2 write; free 0 3', ['v0', 'y.v1', 'y.v1']]);
  });

  test('a child of fork shares what is merged, and each that stores gets a page of its own', () => {
    const threads = [kernel(scan), user('fork', 'store', 'load'), child('load', 'store', 'load'), other('load')];
    const run = new Course({ cells: { x, y }, free: 3, threads }).turns('task0', 'task1');
    expect(run.now).toBe('child page0 read, p page0 read, q page0 read; free 1 2 3 4');
    expect(run.turns('task1', 'task1', 'task2').now).toBe('child page0 read, p page1 write, q page0 read; free 2 3 4');
    expect(run.turns('task2', 'task2', 'task3').now).toBe('child page2 write, p page1 write, q page0 read; free 3 4');
    expect([run.values('access1'), run.values('access2'), run.values('access3')]).toEqual([['x.v1', 'x.v1'], ['v0', 'child/0.v1', 'child/0.v1'], ['v0']]);
  });

  test.each(['read', 'write'] as const)('a page that is pinned to %s is not merged, and is when it is given back', (access) => {
    const run = apart(kernel(scan, scan), pins(access)).turns('direct_io1', 'task0');
    expect([run.pinned('direct_io1'), run.now, run.protection(0)]).toEqual([[0], 'p page0 write, q page1 write; free 2 3', 'none']);
    run.turns('direct_io1', 'task0');
    expect([run.pinned('direct_io1'), run.now, run.protection(0)]).toEqual([[], 'p page0 read, q page0 read; free 1 2 3', 'stable']);
  });

  test.each(['read', 'write'] as const)('pinned to %s, a merged page is unshared first: a store goes to the page that is pinned', (access) => {
    const run = apart(kernel(scan, scan), pins(access), user('store')).turns('task0', 'direct_io1');
    expect([run.pinned('direct_io1'), run.now]).toEqual([[1], `p page1 ${access}, q page0 read; free 2 3`]);
    expect(run.turns('task2', 'direct_io1').now).toBe('p page1 write, q page0 read; free 2 3');
  });

  test('what was unshared to be pinned can be merged again, but not before it is given back', () => {
    const run = apart(kernel(scan, scan, scan), pins('read')).turns('task0', 'direct_io1', 'task0');
    expect(run.now).toBe('p page1 read, q page0 read; free 2 3');
    expect(run.turns('direct_io1', 'task0').now).toBe('p page0 read, q page0 read; free 1 2 3');
  });

  test('a page that userfaultfd has write-protected can be merged, unmerged and stored to [test_unmerge_uffd_wp]', () => {
    const run = apart(user('uffd_wp', 'uffd_wp', 'unmerge', 'uffd_wp', 'store', 'load'), kernel(scan), other('load')).turns('task0');
    expect(run.now).toBe('p page0 read, q page1 write; free 2 3');
    expect(run.turns('task1', 'task0').now).toBe('p page0 read, q page0 read; free 1 2 3');
    expect(run.turns('task0', 'task0').now).toBe('p page1 read, q page0 read; free 2 3');
    expect(run.turns('task0', 'task0', 'task2').now).toBe('p page1 write, q page0 read; free 2 3');
    expect([run.values('access0'), run.values('access2')]).toEqual([['x.v1', 'x.v1'], ['v0']]);
  });
});

const f: ProtectCell = { kind: 'file', pfn: 0, at: { p: [0] } };
const g: ProtectCell = { kind: 'file', pfn: 1, at: { q: [0] } };
const merge = kernel({ do: 'merge_files', into: 'f', from: 'g' });
const on = (what: 'write' | 'fsync' | 'truncate', cell: string): ProtectCall => ({ do: what, cell });
const files = (...threads: ProtectThread[]): Course => new Course({ cells: { f, g }, free: 2, threads });

describe('two files', () => {
  test('that share a page read the same frame', () => {
    const run = files(merge, user('load'), other('load')).turns('task0', 'task1', 'task2');
    expect([run.now, run.file('f'), run.file('g')]).toEqual(['p page0 read, q page0 read; free 1 2 3', 'page0: v0, disk: v0', 'page0: v0, disk: v0']);
    expect([run.values('access1'), run.values('access2'), run.protection(0)]).toEqual([['v0'], ['v0'], 'stable']);
  });

  test.each([
    ['write(2)', on('write', 'f')],
    ['a store', does('store')],
  ])('that share a page have one each after %s to one of them; the other keeps its bytes, in memory and on the disk, after fsync of both', (_, writes) => {
    const run = files(merge, user(writes, on('fsync', 'f'), 'load'), other(on('fsync', 'g'), 'load')).turns('task0', 'task1');
    expect([run.file('f'), run.file('g'), run.protection(0)]).toEqual(['page1: f.v1, disk: v0', 'page0: v0, disk: v0', 'none']);
    run.turns('task1', 'task2', 'task1', 'task2');
    expect([run.file('f'), run.file('g')]).toEqual(['page1: f.v1, disk: f.v1', 'page0: v0, disk: v0']);
    expect([run.values('access1').at(-1), run.values('access2')]).toEqual(['f.v1', ['v0']]);
  });

  test('that shared a page hold their own bytes when both were written to, in memory and on the disk', () => {
    const run = files(merge, user(on('write', 'f'), on('fsync', 'f')), other('store', on('fsync', 'g'))).turns('task0', 'task1', 'task2', 'task1', 'task2');
    expect([run.file('f'), run.file('g'), run.now]).toEqual(['page1: f.v1, disk: f.v1', 'page0: g.v1, disk: g.v1', 'p none, q page0 read; free 2 3']);
  });

  test('share a page no more when one of them is truncated: the other keeps it, and stores to it in place', () => {
    const run = files(merge, kernel(on('truncate', 'f')), other('load', 'store', on('fsync', 'g'))).turns('task0', 'task1', 'task2');
    expect([run.file('f'), run.file('g'), run.protection(0)]).toEqual(['none: null, disk: v0', 'page0: v0, disk: v0', 'none']);
    run.turns('task2', 'task2');
    expect([run.values('access2'), run.now, run.file('g')]).toEqual([['v0', 'g.v1'], 'p none, q page0 read; free 1 2 3', 'page0: g.v1, disk: g.v1']);
  });

  test('are not merged while one is dirty; when it was written back they are', () => {
    const setup = { cells: { f, g: { ...g, dirty: true } }, threads: [kernel(...merge.program, on('fsync', 'g'), ...merge.program)] };
    const run = new Course(setup).turns('task0');
    expect(run.now).toBe('p page0 read, q page1 read; free 2');
    expect(run.turns('task0', 'task0').now).toBe('p page0 read, q page0 read; free 1 2');
  });
});

test('replicas: each node reads its own frame, a store takes them away, and they can be made again', () => {
  const threads = [kernel('replicate', 'replicate'), user('load', 'store', 'load'), thread('p_node1', ['load', 'load', 'load', 'store'])];
  const run = new Course({ cells: { x: { ...x, at: { p: [0], p_node1: [0] } } }, threads }).turns('task0', 'task1', 'task2');
  expect([run.now, run.protection(0)]).toEqual(['p page0 read, p_node1 page1 read; free none', 'record']);
  run.turns('task1', 'task2');
  expect([run.now, run.protection(0)]).toEqual(['p page0 write, p_node1 page0 read; free 1', 'none']);
  expect(run.turns('task0', 'task2').now).toBe('p page0 read, p_node1 page1 read; free none');
  // A store of the other node finds the page itself.
  expect(run.turns('task2', 'task1').now).toBe('p page0 read, p_node1 page0 write; free 1');
  expect([run.values('access1'), run.values('access2')]).toEqual([
    ['v0', 'x.v1', 'x.v2'],
    ['v0', 'x.v1', 'x.v1', 'x.v2'],
  ]);
});

test('copies: a device reads its own, a store of a CPU takes it away, and the device gets another', () => {
  const read = { do: 'read' as const, vpn: 0 };
  const run = new Course({ cells: { x }, device: { program: [read, read, read], mode: 'copy', memory: 1 }, threads: [user('load', 'store')] });
  run.turns('gpu0.thread', 'task0', 'gpu0.thread');
  expect([run.mapped, run.now]).toEqual(['page2 read', 'p page0 read; free 1']);
  run.turns('task0');
  expect([run.mapped, run.now, run.protection(0)]).toEqual(['nothing', 'p page0 write; free 1 2', 'none']);
  run.turns('gpu0.thread');
  expect([run.mapped, run.now, run.values('gpu0.access')]).toEqual(['page2 read', 'p page0 read; free 1', ['v0', 'v0', 'x.v1']]);
});

test('combining: a device does atomics on the page itself while a CPU reads it only; a store of the CPU takes it away', () => {
  const atomic = { do: 'atomic' as const, vpn: 0 };
  const device: ProtectSetup['device'] = { program: [atomic, atomic, atomic], mode: 'combine', memory: 0 };
  const run = new Course({ cells: { x }, device, threads: [user('load', 'load', 'store', 'load')] });
  run.turns('gpu0.thread', 'task0', 'gpu0.thread', 'task0');
  expect([run.mapped, run.now, run.protection(0)]).toEqual(['page0 atomic', 'p page0 read; free 1', 'record']);
  run.turns('task0');
  expect([run.mapped, run.now, run.protection(0)]).toEqual(['nothing', 'p page0 write; free 1', 'none']);
  run.turns('gpu0.thread', 'task0');
  expect([run.mapped, run.now]).toEqual(['page0 atomic', 'p page0 read; free 1']);
  expect(run.values('access0')).toEqual(['x.v1', 'x.v2', 'x.v3', 'x.v4']);
});

describe('the safeguards', () => {
  const isMachine = (value: unknown): value is AnyStateMachine => typeof value === 'object' && value !== null && 'implementations' in value;
  const guardsOf = (machine: unknown): Record<string, unknown> => (isMachine(machine) ? machine.implementations.guards : {}) as Record<string, unknown>;
  const differing = (one: Record<string, unknown>, other: Record<string, unknown>): string[] =>
    Object.keys({ ...one, ...other }).filter((key) => {
      const [a, b] = [one[key], other[key]];
      return isMachine(a) || typeof a === 'function' ? a !== b : JSON.stringify(a) !== JSON.stringify(b);
    });
  const variantOf = (id: string) =>
    scenarios.find((scenario) => scenario.id === 'write-protect')?.variants.find((variant) => variant.id === id) as Variant & {
      changes: Partial<ProtectSetup>;
    };
  const setupOf = (id: string): Record<string, unknown> => ({ ...protection, ...variantOf(id).changes, fixed: variantOf(id).fixed });

  test.each(protectSafeguards.map(({ guard, without, of }) => [guard, without, of]))('%s: %s is %s without it, nothing else is changed', (guard, id, of) => {
    const [machine, name] = guard.split('.') as [string, string];
    expect(Object.keys(guardsOf(Object.values<unknown>(machines).find((found) => isMachine(found) && found.id === machine)))).toContain(name);
    expect([of, id].map((variant) => expectedVerdict(variantOf(variant)))).toEqual(['holds', 'violated']);
    const [one, other] = [setupOf(of), setupOf(id)];
    const keys = differing(one, other);
    expect(keys.map((key) => (one[key] as AnyStateMachine).id)).toEqual([machine]);
    expect(keys.flatMap((key) => differing(guardsOf(one[key]), guardsOf(other[key])))).toEqual([name]);
  });
});
