import { copyPageRange, migrateToRam, mprotect, nouveauAtomicRangeFault, nouveauDmemMigrateVma, zap } from '../../machines/index.js';
import type { MirrorSetup } from '../../src/scenarios/mmu-notifier-setup.js';
import { child, course, device, explored, kernel, on, user, withMemory } from './mirrored.js';

/*
 * A device with memory of its own, and pages of the process there, of which no CPU can touch the bytes: what users of HMM rely on, as in
 * mirror.test.ts. With one page of the process and one free frame, frame 2 is that of the device.
 */
const memory = (...program: Parameters<typeof withMemory> extends [number, ...infer P] ? P : never) => ({ gpus: { gpu0: withMemory(1, ...program) } });

describe('a page in the memory of a device', () => {
  test('has the bytes that the CPU has stored; its old frame is free [migrate]', () => {
    const run = course({ ...memory('read'), threads: [user('store', 'to_device')] }).turns('task0', 'task0');
    expect([run.pte(), run.mapped('gpu0'), run.free]).toEqual(['devpriv page2 write', 'nothing', [0, 1]]);
    run.turns('gpu0.thread');
    expect([run.values('gpu0'), run.mapped('gpu0')]).toEqual([['x0.v1'], 'page2 write']);
  });

  test('comes back with what the device has written when a CPU touches it; its frame is free, and the device has nothing mapped [migrate_fault]', () => {
    const run = course({ ...memory('write', 'read'), threads: [user('store', 'to_device', 'load', 'store')] });
    run.turns('task0', 'task0', 'gpu0.thread', 'task0');
    expect([run.values('gpu0'), run.values('access0')]).toEqual([['x0.v2'], ['x0.v1', 'x0.v2']]);
    expect([run.pte(), run.mapped('gpu0'), run.free]).toEqual(['present page0 write', 'nothing', [1, 2]]);
    expect(run.turns('task0', 'gpu0.thread').values('gpu0')).toEqual(['x0.v2', 'x0.v3']);
  });

  test('may go there and come back again and again', () => {
    const run = course({ ...memory('write', 'write'), threads: [user('to_device', 'store', 'to_device', 'load')] });
    run.turns('task0', 'gpu0.thread', 'task0', 'task0', 'gpu0.thread', 'task0');
    expect([run.values('gpu0'), run.values('access0')]).toEqual([
      ['x0.v1', 'x0.v3'],
      ['x0.v2', 'x0.v3'],
    ]);
    expect(run.free).toEqual([1, 2]);
  });

  test.each([
    ['munmap', 'none', []],
    ['dontneed', 'present page0 write', ['x0.v1', 'zero']],
  ] as const)('is the device its own again after %s [migrate_release]', (what, pte, values) => {
    const run = course({ ...memory('write', 'read'), threads: [user('to_device', what)] }).turns('task0', 'gpu0.thread', 'task0');
    expect([run.mapped('gpu0'), run.pte(), run.free]).toEqual(['nothing', 'none', [0, 1, 2]]);
    run.turns('gpu0.thread');
    expect([run.values('gpu0'), run.pte()]).toEqual([values.length > 0 ? values : ['x0.v1'], pte]);
  });

  test('several pages, each with its bytes; where there is no room a page stays [migrate_multiple]', () => {
    const program = [on('store', 0), on('store', 1), on('to_device', 0), on('to_device', 1), on('load', 0)];
    const reads = [0, 1].map((vpn) => ({ do: 'read' as const, vpn }));
    const run = (room: number) =>
      course({ pages: ['present', 'present'], gpus: { gpu0: withMemory(room, ...reads) }, threads: [user(...program)] }).turns(
        ...['task0', 'task0', 'task0', 'task0', 'gpu0.thread', 'gpu0.thread'],
      );
    const all = run(2);
    expect([all.values('gpu0'), all.pte(0), all.pte(1), all.free]).toEqual([['x0.v1', 'x1.v1'], 'devpriv page3 write', 'devpriv page4 write', [0, 1, 2]]);
    const one = run(1);
    expect([one.values('gpu0'), one.pte(0), one.pte(1), one.free]).toEqual([['x0.v1', 'x1.v1'], 'devpriv page3 write', 'present page1 write', [0, 2]]);
    all.turns('task0');
    expect([all.values('access0').at(-1), all.pte(0), all.pte(1)]).toEqual(['x0.v1', 'present page1 write', 'devpriv page4 write']);
  });

  test('after fork is shared, there, and comes back for both when one of them touches it; a store then makes a copy [hmm_cow_in_device]', () => {
    const run = course({ ...memory('write', 'read'), threads: [user('to_device', 'fork', 'store', 'load'), child('load')], free: 2 });
    run.turns('task0', 'gpu0.thread', 'task0');
    expect([run.mapped('gpu0'), run.pte(), run.pte(0, 'child')]).toEqual(['nothing', 'devpriv page3 read', 'devpriv page3 read']);
    run.turns('task0');
    expect([run.pte(), run.pte(0, 'child'), run.free]).toEqual(['present page1 write', 'present page0 read', [2, 3]]);
    run.turns('task1', 'task0', 'gpu0.thread');
    expect([run.values('access0'), run.values('access1'), run.values('gpu0')]).toEqual([['x0.v2', 'x0.v2'], ['x0.v1'], ['x0.v1', 'x0.v2']]);
  });

  test('after fork comes back for both when the child touches it first', () => {
    const run = course({ ...memory('read', 'read'), threads: [user('to_device', 'fork', 'load'), child('load')] });
    run.turns('task0', 'gpu0.thread', 'task0', 'gpu0.thread');
    expect(run.mapped('gpu0')).toBe('page2 read');
    run.turns('task1');
    expect([run.pte(), run.pte(0, 'child'), run.mapped('gpu0'), run.free]).toEqual(['present page0 read', 'present page0 read', 'nothing', [1, 2]]);
    expect([run.turns('task0').values('access0'), run.values('access1')]).toEqual([['zero'], ['zero']]);
  });

  test('one that is shared already goes there for both', () => {
    const run = course({ ...memory('read'), threads: [user('store', 'fork', 'to_device'), child('store', 'load')], free: 2 });
    run.turns('task0', 'task0', 'task0', 'gpu0.thread');
    expect([run.pte(), run.pte(0, 'child'), run.values('gpu0')]).toEqual(['devpriv page3 read', 'devpriv page3 read', ['x0.v1']]);
    run.turns('task1', 'task1');
    expect([run.values('access1'), run.pte(), run.pte(0, 'child')]).toEqual([['child/0.v2', 'child/0.v2'], 'present page0 read', 'present page1 write']);
  });

  test('is not written to once the area is read-only', () => {
    const run = course({ ...memory('write', 'read'), threads: [user('to_device', 'mprotect_read', 'load')] });
    run.turns('task0', 'gpu0.thread', 'task0');
    expect([run.mapped('gpu0'), run.pte()]).toEqual(['nothing', 'devpriv page2 read']);
    run.turns('gpu0.thread');
    expect([run.values('gpu0'), run.mapped('gpu0')]).toEqual([['x0.v1', 'x0.v1'], 'page2 read']);
    expect([run.turns('task0').values('access0'), run.pte()]).toEqual([['x0.v1'], 'present page0 read']);
  });

  test('comes back when another device wants it [double_map]', () => {
    const run = course({ gpus: { gpu0: withMemory(1, 'write', 'read'), gpu1: device('read') }, threads: [user('to_device')] });
    run.turns('task0', 'gpu0.thread', 'gpu1.thread');
    expect([run.values('gpu1'), run.mapped('gpu0'), run.mapped('gpu1'), run.pte()]).toEqual([['x0.v1'], 'nothing', 'page0 write', 'present page0 write']);
    run.turns('gpu0.thread');
    expect([run.values('gpu0'), run.mapped('gpu0'), run.free]).toEqual([['x0.v1', 'x0.v1'], 'page0 write', [1, 2]]);
  });

  test('goes there from another device, which loses its mapping', () => {
    const run = course({ gpus: { gpu0: withMemory(1, 'read'), gpu1: device('write') }, threads: [user('to_device')] });
    run.turns('gpu1.thread', 'task0', 'gpu0.thread');
    expect([run.values('gpu0'), run.mapped('gpu0'), run.mapped('gpu1')]).toEqual([['x0.v1'], 'page2 write', 'nothing']);
  });

  test('comes back for exclusive access, which is granted only if who has to try again takes the entry back first: question Q2', () => {
    const setup = { ...memory('write', 'atomic'), threads: [user('to_device')] };
    expect(() => course(setup).turns('task0', 'gpu0.thread', 'gpu0.thread')).toThrow("'gpu0.thread' cannot go on");
    const fixed = { ...setup, atomicRangeFault: nouveauAtomicRangeFault.provide({ guards: { restoresOnRetry: () => true } }) };
    const run = course(fixed).turns('task0', 'gpu0.thread', 'gpu0.thread');
    expect([run.values('gpu0'), run.mapped('gpu0'), run.pte(), run.free]).toEqual([['x0.v1', 'x0.v1', 'x0.v2'], 'page0 atomic', 'devexcl page0', [1, 2]]);
  });
});

const moves: [string, Partial<MirrorSetup>][] = [
  ['beside stores of the device', { ...memory('write', 'read'), threads: [user('to_device')] }],
  ['beside a thread that touches it', { ...memory(), threads: [user('to_device'), user('store', 'load')] }],
  ['beside stores of both', { ...memory('write'), threads: [user('to_device'), user('store')] }],
  ['beside madvise, while the frame of the device is wanted again', { ...memory('write'), threads: [user('to_device'), user('dontneed')] }],
  [
    'beside madvise, after which the frame has a new owner',
    { ...memory('write'), threads: [user('to_device'), user('dontneed'), kernel({ do: 'slab' })], free: 0 },
  ],
  ['beside munmap', { ...memory('write'), threads: [user('to_device'), user('munmap')] }],
  ['beside fork, and a child that loads', { ...memory('write'), threads: [user('to_device', 'fork'), child('load')], free: 2 }],
  ['beside the migration by the kernel', { ...memory('write'), threads: [user('to_device'), kernel('migrate')] }],
  [
    'beside another one, with room for one',
    { pages: ['present', 'present'], ...memory({ do: 'write', vpn: 1 }), threads: [user(on('to_device', 0)), user(on('to_device', 1))] },
  ],
  ['and back, beside stores of the device', { ...memory('write'), threads: [user('to_device', 'load')] }],
];

test.each(moves)('a page goes to the device %s: all interleavings are safe, nothing leaks, and everybody is served', (_, setup) => {
  expect(explored(setup)).toEqual([]);
});

test.each(moves)('a page goes to the device %s, in random order: in the end one place has it', (_, setup) => {
  for (const seed of [1, 2, 3]) {
    const run = course(setup).atRandom(seed);
    const [kind, frame] = run.pte().split(' ');
    expect(['present', 'devpriv', 'none']).toContain(kind);
    expect(['nothing', frame]).toContain(run.mapped('gpu0').split(' ')[0]);
  }
});

describe('all interleavings are safe, and yet somebody may never be served', () => {
  test.each<[string, string[], Partial<MirrorSetup>]>([
    [
      'two threads touch it at once: each refers to the page, and so neither may move it',
      ['ends'],
      { ...memory(), threads: [user('to_device', 'load'), user('load')] },
    ],
    ['after fork too', ['ends'], { ...memory(), threads: [user('to_device', 'fork', 'load'), child('load')] }],
    [
      'the device stores to what has become read-only: it is mapped so, and not refused',
      ['ends'],
      { ...memory('write'), threads: [user('to_device', 'mprotect_read')] },
    ],
    ['or is writable again: its entry is read-only still', ['ends'], { ...memory('write'), threads: [user('to_device', 'mprotect_read', 'mprotect_write')] }],
    ['or is shared with a child', ['ends'], { ...memory('write'), threads: [user('to_device', 'fork')] }],
    ['the device wants it exclusive while it moves: question Q2', ['P', 'ends'], { ...memory('atomic'), threads: [user('to_device')] }],
  ])('%s', (_, violated, setup) => {
    expect(explored(setup)).toEqual(violated);
  });
});

describe('without a safeguard', () => {
  test('the device keeps what it has mapped while the page is copied to it: its store is lost', () => {
    const setup = { ...memory('write'), threads: [user('to_device')], toDevice: nouveauDmemMigrateVma.provide({ guards: { invalidatesFirst: () => false } }) };
    expect(explored(setup)).toEqual(['I6', 'coherent']);
  });

  test('and while it is copied back', () => {
    const toRam = migrateToRam.provide({ guards: { invalidatesFirst: () => false } });
    expect(explored({ ...memory('write'), threads: [user('to_device', 'load')], toRam })).toEqual(['I6', 'coherent']);
  });

  test('the copy is mapped at once, with no look at the sequence: safe alone, not beside madvise', () => {
    const setup = { ...memory('read'), toDevice: nouveauDmemMigrateVma.provide({ guards: { maps: ({ context }) => context.migrated } }) };
    expect(explored({ ...setup, threads: [user('to_device')] })).toEqual([]);
    expect(explored({ ...setup, threads: [user('to_device'), user('dontneed')] })).toEqual(['I6']);
  });

  test.each<[string, string[], Partial<MirrorSetup>]>([
    ['madvise does not drop it', ['accounts'], { threads: [user('to_device', 'dontneed')], zap: zap.provide({ guards: { isDevpriv: () => false } }) }],
    [
      'fork copies its entry as if it were one of swap',
      ['accounts'],
      { threads: [user('to_device', 'fork'), child('load')], copyPageRange: copyPageRange.provide({ guards: { isDevpriv: () => false } }) },
    ],
    [
      'mprotect leaves its entry writable',
      ['I4', 'coherent'],
      { ...memory('read', 'write'), threads: [user('to_device', 'mprotect_read')], mprotect: mprotect.provide({ guards: { isWritableDevpriv: () => false } }) },
    ],
  ])('%s', (_, violated, setup) => {
    expect(explored({ ...memory('read'), ...setup })).toEqual(violated);
  });
});
