import type { MirrorSetup } from '../../src/scenarios/mmu-notifier-setup.js';
import { child, course, device, explored, kernel, on, user } from './mirrored.js';

/*
 * What users of HMM rely on, of the model: the list is that of the kernel's own tests (tools/testing/selftests/mm/hmm-tests.c, 6.12),
 * whose names stand in brackets. Values: what a page held at first is 'zero', and the n-th store makes it 'x0.vn', or 'child:0.vn'.
 * Not to be had here: the device of a child [anon_write_child], shared and file memory [anon_write_child_shared, file_read], huge pages.
 */
describe('one device', () => {
  test('reads what the CPU has stored, and has mapped what the process has [anon_read]', () => {
    const run = course({ gpus: { gpu0: device('read') }, threads: [user('store')] }).turns('task0', 'gpu0.thread');
    expect([run.values('gpu0'), run.mapped('gpu0'), run.pte()]).toEqual([['x0.v1'], 'page0 write', 'present page0 write']);
  });

  test('reads a page that was never touched: it is there then, with zeroes [anon_read]', () => {
    const run = course({ gpus: { gpu0: device('read') }, pages: ['none'] }).turns('gpu0.thread');
    expect([run.values('gpu0'), run.mapped('gpu0'), run.pte()]).toEqual([['zero'], 'page0 write', 'present page0 write']);
  });

  test('may not read where the area allows nothing, and may when it does [anon_read_prot]', () => {
    const run = course({ gpus: { gpu0: device('read', 'read') }, threads: [user('mprotect_none', 'mprotect_write')] });
    run.turns('task0', 'gpu0.thread');
    expect([run.values('gpu0'), run.mapped('gpu0')]).toEqual([[], 'nothing']);
    run.turns('task0', 'gpu0.thread');
    // mprotect gives no pte the right to write: the first store faults.
    expect([run.values('gpu0'), run.mapped('gpu0')]).toEqual([['zero'], 'page0 read']);
  });

  test('writes, and the CPU reads it [anon_write]', () => {
    const run = course({ gpus: { gpu0: device('write', 'write') }, threads: [user('load', 'store', 'load')] });
    run.turns('task0', 'gpu0.thread', 'gpu0.thread', 'task0', 'task0');
    expect([run.values('gpu0'), run.values('access0')]).toEqual([
      ['x0.v1', 'x0.v2'],
      ['zero', 'x0.v3', 'x0.v3'],
    ]);
  });

  test('may not write where the area is read-only, and the page stays as it is; with the right it writes [anon_write_prot]', () => {
    const run = course({ gpus: { gpu0: device('read', 'write', 'write') }, threads: [user('mprotect_read', 'load', 'mprotect_write', 'load')] });
    run.turns('task0', 'gpu0.thread', 'gpu0.thread', 'task0');
    expect([run.values('gpu0'), run.mapped('gpu0'), run.values('access0')]).toEqual([['zero'], 'page0 read', ['zero']]);
    run.turns('task0', 'gpu0.thread', 'task0');
    expect([run.values('gpu0'), run.mapped('gpu0'), run.values('access0')]).toEqual([['zero', 'x0.v1'], 'page0 write', ['zero', 'x0.v1']]);
  });

  test('loses the right to write by mprotect, and its mapping with it; a later store is cancelled', () => {
    const run = course({ gpus: { gpu0: device('write', 'write', 'read') }, threads: [user('mprotect_read')] });
    run.turns('gpu0.thread', 'task0');
    expect(run.mapped('gpu0')).toBe('nothing');
    run.turns('gpu0.thread', 'gpu0.thread');
    expect([run.values('gpu0'), run.mapped('gpu0'), run.pte()]).toEqual([['x0.v1', 'x0.v1'], 'page0 read', 'present page0 read']);
  });

  test('what it writes after fork the child does not see, nor it what the child writes [anon_write_child]', () => {
    const setup = { gpus: { gpu0: device('write', 'read') }, threads: [user('store', 'fork', 'load'), child('load', 'store', 'load')], free: 2 };
    const run = course(setup).turns('task0', 'task0', 'gpu0.thread', 'task1', 'task1', 'task1', 'task0', 'gpu0.thread');
    expect([run.values('gpu0'), run.values('access0'), run.values('access1')]).toEqual([
      ['x0.v2', 'x0.v2'],
      ['x0.v1', 'x0.v2'],
      ['x0.v1', 'child/0.v2', 'child/0.v2'],
    ]);
    expect([run.mapped('gpu0'), run.pte(), run.pte(0, 'child')]).toEqual(['page1 write', 'present page1 write', 'present page2 write']);
  });

  test('has its mapping taken by fork; what it reads it maps read-only', () => {
    const run = course({ gpus: { gpu0: device('write', 'read') }, threads: [user('fork')] }).turns('gpu0.thread', 'task0');
    expect([run.mapped('gpu0'), run.pte()]).toEqual(['nothing', 'present page0 read']);
    run.turns('gpu0.thread');
    expect([run.values('gpu0'), run.mapped('gpu0')]).toEqual([['x0.v1', 'x0.v1'], 'page0 read']);
  });

  test('reads and writes several pages, each for itself [anon_read_multiple]', () => {
    const both = ['write', 'read'].flatMap((what) => [0, 1].map((vpn) => ({ do: what as 'read' | 'write', vpn })));
    const threads = [user(on('store', 1), on('load', 0), on('load', 1))];
    const run = course({ gpus: { gpu0: device(...both) }, pages: ['present', 'present'], threads });
    run.turns('task0', 'gpu0.thread', 'gpu0.thread', 'gpu0.thread', 'gpu0.thread', 'task0', 'task0');
    expect(run.values('gpu0')).toEqual(['x0.v1', 'x1.v2', 'x0.v1', 'x1.v2']);
    expect(run.values('access0')).toEqual(['x1.v1', 'x0.v1', 'x1.v2']);
    expect([run.mapped('gpu0', 0), run.mapped('gpu0', 1)]).toEqual(['page0 write', 'page1 write']);
  });

  test.each([
    ['none', 'page0 write'],
    ['present', 'page0 write'],
    ['readonly', 'page0 read'],
  ] as const)('has mapped, after a read, what the page table says: a pte that was %s [snapshot]', (kind, expected) => {
    expect(
      course({ gpus: { gpu0: device('read') }, pages: [kind] })
        .turns('gpu0.thread')
        .mapped('gpu0'),
    ).toBe(expected);
  });

  test('has nothing mapped of what the process has given up, and cannot have it again [anon_teardown]', () => {
    const run = course({ gpus: { gpu0: device('write', 'read') }, threads: [user('munmap')] }).turns('gpu0.thread', 'task0', 'gpu0.thread');
    expect([run.values('gpu0'), run.mapped('gpu0'), run.pte(), run.free]).toEqual([['x0.v1'], 'nothing', 'none', [0, 1]]);
  });

  test('gets zeroes after MADV_DONTNEED', () => {
    const run = course({ gpus: { gpu0: device('write', 'read') }, threads: [user('dontneed')] }).turns('gpu0.thread', 'task0', 'gpu0.thread');
    expect([run.values('gpu0'), run.free]).toEqual([['x0.v1', 'zero'], [1]]);
  });

  test('finds the page where the kernel has migrated it', () => {
    const run = course({ gpus: { gpu0: device('write', 'read') }, threads: [kernel('migrate')] }).turns('gpu0.thread', 'task0');
    expect([run.mapped('gpu0'), run.pte(), run.free]).toEqual(['nothing', 'present page1 write', [0]]);
    expect([run.turns('gpu0.thread').values('gpu0'), run.mapped('gpu0')]).toEqual([['x0.v1', 'x0.v1'], 'page1 write']);
  });
});

describe('exclusive access', () => {
  test('the CPU reads what the atomic has stored, and takes the page back by that [exclusive]', () => {
    const run = course({ gpus: { gpu0: device('atomic', 'atomic') }, threads: [user('store', 'load', 'store')] }).turns('task0', 'gpu0.thread');
    expect([run.values('gpu0'), run.mapped('gpu0'), run.pte()]).toEqual([['x0.v1', 'x0.v2'], 'page0 atomic', 'devexcl page0']);
    run.turns('task0');
    expect([run.values('access0'), run.mapped('gpu0'), run.pte()]).toEqual([['x0.v1', 'x0.v2'], 'nothing', 'present page0 write']);
    run.turns('task0', 'gpu0.thread');
    expect([run.values('gpu0'), run.mapped('gpu0')]).toEqual([['x0.v1', 'x0.v2', 'x0.v3', 'x0.v4'], 'page0 atomic']);
  });

  test('mprotect ends it: a store of the device is cancelled, a read is not [exclusive_mprotect]', () => {
    const run = course({ gpus: { gpu0: device('atomic', 'write', 'read') }, threads: [user('mprotect_read')] });
    run.turns('gpu0.thread', 'task0');
    expect([run.mapped('gpu0'), run.pte()]).toEqual(['nothing', 'devexcl page0']);
    run.turns('gpu0.thread');
    expect([run.values('gpu0'), run.mapped('gpu0')]).toEqual([['zero', 'x0.v1'], 'nothing']);
    run.turns('gpu0.thread');
    expect([run.values('gpu0'), run.mapped('gpu0'), run.pte()]).toEqual([['zero', 'x0.v1', 'x0.v1'], 'page0 read', 'present page0 read']);
  });

  test('fork ends it, and either process has its own page from the first store on [exclusive_cow]', () => {
    const setup = { gpus: { gpu0: device('atomic', 'read') }, threads: [user('fork', 'store', 'load'), child('load', 'store', 'load')], free: 2 };
    const run = course(setup).turns('gpu0.thread', 'task0');
    expect([run.mapped('gpu0'), run.pte(), run.pte(0, 'child')]).toEqual(['nothing', 'present page0 read', 'present page0 read']);
    run.turns('task1', 'task0', 'task1', 'task1', 'task0', 'gpu0.thread');
    expect([run.values('access0'), run.values('access1'), run.values('gpu0')]).toEqual([
      ['x0.v2', 'x0.v2'],
      ['x0.v1', 'child/0.v2', 'child/0.v2'],
      ['zero', 'x0.v1', 'x0.v2'],
    ]);
  });

  test('the page that it had alone is free after munmap', () => {
    const run = course({ gpus: { gpu0: device('atomic') }, threads: [user('munmap')] }).turns('gpu0.thread', 'task0');
    expect([run.mapped('gpu0'), run.pte(), run.free]).toEqual(['nothing', 'none', [0, 1]]);
  });
});

describe('two devices', () => {
  test('both read; one writes, and the other sees it [double_map]', () => {
    const run = course({ gpus: { gpu0: device('read', 'read'), gpu1: device('read', 'write') }, threads: [user('store')] });
    run.turns('task0', 'gpu0.thread', 'gpu1.thread', 'gpu1.thread', 'gpu0.thread');
    expect([run.values('gpu0'), run.values('gpu1')]).toEqual([
      ['x0.v1', 'x0.v2'],
      ['x0.v1', 'x0.v2'],
    ]);
    expect([run.mapped('gpu0'), run.mapped('gpu1')]).toEqual(['page0 write', 'page0 write']);
  });

  test('both have mapped a page that a child shares; one writes, so gets a copy, and the other loses what it has', () => {
    const run = course({ gpus: { gpu0: device('read', 'read'), gpu1: device('read', 'write') }, threads: [user('fork')] });
    run.turns('task0', 'gpu0.thread', 'gpu1.thread');
    expect([run.mapped('gpu0'), run.mapped('gpu1')]).toEqual(['page0 read', 'page0 read']);
    run.turns('gpu1.thread');
    expect([run.mapped('gpu0'), run.mapped('gpu1')]).toEqual(['nothing', 'page1 write']);
    expect([run.turns('gpu0.thread').values('gpu0'), run.mapped('gpu0')]).toEqual([['zero', 'x0.v1'], 'page1 write']);
  });

  test('one has it exclusive: the other loses its mapping, and takes it back with its next read', () => {
    const run = course({ gpus: { gpu0: device('write', 'read'), gpu1: device('atomic') } }).turns('gpu0.thread', 'gpu1.thread');
    expect([run.mapped('gpu0'), run.mapped('gpu1'), run.pte()]).toEqual(['nothing', 'page0 atomic', 'devexcl page0']);
    run.turns('gpu0.thread');
    expect([run.values('gpu0'), run.values('gpu1')]).toEqual([
      ['x0.v1', 'x0.v2'],
      ['x0.v1', 'x0.v2'],
    ]);
    expect([run.mapped('gpu0'), run.mapped('gpu1'), run.pte()]).toEqual(['page0 write', 'nothing', 'present page0 write']);
  });

  test('of two that want it exclusive, one after the other, the later is never served: question Q2', () => {
    const run = course({ gpus: { gpu0: device('atomic'), gpu1: device('atomic') } }).turns('gpu0.thread');
    expect(() => run.turns('gpu1.thread')).toThrow("'gpu1.thread' cannot go on");
    expect([run.mapped('gpu0'), run.values('gpu1')]).toEqual(['nothing', []]);
  });
});

const mirrors: [string, string[], Partial<MirrorSetup>][] = [
  ['one device beside a thread that stores', [], { gpus: { gpu0: device('read', 'write') }, threads: [user('store', 'load')] }],
  ['two devices beside a thread that stores', [], { gpus: { gpu0: device('read', 'write'), gpu1: device('write', 'read') }, threads: [user('store')] }],
  ['beside mprotect', [], { gpus: { gpu0: device('write', 'read') }, threads: [user('mprotect_none', 'mprotect_write')] }],
  ['beside munmap', [], { gpus: { gpu0: device('write', 'read') }, threads: [user('munmap')] }],
  ['beside fork, and a child that loads', [], { gpus: { gpu0: device('write') }, threads: [user('fork', 'load'), child('load')] }],
  [
    'two pages, one never touched before',
    [],
    {
      gpus: { gpu0: device({ do: 'write', vpn: 0 }, { do: 'write', vpn: 1 }) },
      pages: ['present', 'none'],
      threads: [user(on('store', 1), on('load', 0))],
    },
  ],
  ['beside migration and a thread that stores', [], { gpus: { gpu0: device('write', 'read') }, threads: [kernel('migrate'), user('store')] }],
  ['exclusive access beside mprotect', [], { gpus: { gpu0: device('atomic', 'write') }, threads: [user('mprotect_read')] }],
  // They take the page from each other, in the middle of a fault, for as long as they like.
  ['exclusive access beside a thread that stores', ['ends'], { gpus: { gpu0: device('atomic') }, threads: [user('store', 'load')] }],
  ['exclusive access beside a device that reads', ['P.range_fault0', 'ends'], { gpus: { gpu0: device('write', 'read'), gpu1: device('atomic') } }],
  ['exclusive access of two devices', ['P.atomic_range_fault0', 'P.atomic_range_fault1', 'ends'], { gpus: { gpu0: device('atomic'), gpu1: device('atomic') } }],
];

test.each(mirrors)('%s: all interleavings are safe, nothing leaks; never served: %j', (_, unserved, setup) => {
  expect(explored(setup)).toEqual(unserved);
});

// Where two devices fight for a page a run need have no end.
const ending = mirrors.filter(([, unserved]) => unserved.length < 2);

test.each(ending)('%s, in random order: a device has mapped what the process has', (_, _unserved, setup) => {
  for (const seed of [1, 2, 3]) {
    const run = course(setup).atRandom(seed);
    const [, frame] = run.pte().split(' ');
    for (const gpu of Object.keys(setup.gpus ?? {})) expect(['nothing', frame]).toContain(run.mapped(gpu).split(' ')[0]);
  }
});
