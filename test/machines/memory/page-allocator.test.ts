import { type FreeBlock, pageAllocator } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { type Message, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

interface Setup {
  free?: (number | FreeBlock)[];
  buddy?: FreeBlock[];
  machine?: typeof pageAllocator;
}
const rigOf = ({ free = [], buddy, machine = pageAllocator }: Setup): Rig =>
  new Rig({ allocator: actor(machine, { input: { free, ...(buddy ? { buddy } : {}) }, choices: ['drain_pages'] }), p: probe(), q: probe() });
const rig = (...free: (number | FreeBlock)[]): Rig => rigOf({ free });
const block = (pfns: number | number[], lufKey: number | null = null): FreeBlock => ({ pfns: [pfns].flat(), lufKey });
const alloc = (system: Rig, order?: number): Message[] => system.say('p', 'allocator', { type: 'alloc_page', ...(order === undefined ? {} : { order }) });
const free = (system: Rig, pfn: number, lufKey: number | null = null): Rig => {
  expect(system.say('p', 'allocator', { type: 'free_page', pfn, lufKey })).toEqual([]);
  return system;
};
const drain = (system: Rig, times = 1): Rig => {
  for (let time = 0; time < times; time++) system.take('allocator', 'drain_pages');
  return system;
};

describe('a page', () => {
  test('page frames are handed out in order, each once, whoever asks', () => {
    const system = rig(7, 3, 5);
    expect(system.say('p', 'allocator', 'alloc_page')).toEqual([{ type: 'page', pfn: 7 }]);
    expect(system.say('q', 'allocator', 'alloc_page')).toEqual([{ type: 'page', pfn: 3 }]);
    expect(system.context('allocator')).toEqual({ free: [block(5)], buddy: [] });
    expect(system.say('p', 'allocator', 'alloc_page')).toEqual([{ type: 'page', pfn: 5 }]);
    expect(system.context('allocator')).toEqual({ free: [], buddy: [] });
  });

  test('page frame 0 is one like any other', () => {
    expect(rig(0).say('p', 'allocator', 'alloc_page')).toEqual([{ type: 'page', pfn: 0 }]);
  });

  test('without free page frames the answer is that there is none', () => {
    const system = rig();
    expect(system.say('p', 'allocator', 'alloc_page')).toEqual([{ type: 'page', pfn: null }]);
    expect(system.say('p', 'allocator', 'alloc_page')).toEqual([{ type: 'page', pfn: null }]);
    expect(system.context('allocator')).toEqual({ free: [], buddy: [] });
  });

  test('R9: that is freed is the next to be handed out', () => {
    const system = free(free(rig(7), 3), 5);
    expect([alloc(system), alloc(system), alloc(system), alloc(system)]).toEqual([5, 3, 7, null].map((pfn) => [{ type: 'page', pfn }]));
  });

  test('is handed out with the flush that it still needs, if it does', () => {
    const system = free(free(rig(block(7, 0)), 3, 2), 5);
    expect([alloc(system), alloc(system), alloc(system)]).toEqual([
      [{ type: 'page', pfn: 5 }],
      [{ type: 'page', pfn: 3, lufKey: 2 }],
      [{ type: 'page', pfn: 7, lufKey: 0 }],
    ]);
  });
});

describe('a block', () => {
  const pair = block([4, 5], 3);

  test('is handed out whole to who asks for its order, with what it owes', () => {
    const system = rigOf({ free: [7], buddy: [block([8, 9]), pair] });
    expect([alloc(system, 1), alloc(system, 1), alloc(system, 1)]).toEqual([
      [{ type: 'page', pfn: 8, pfns: [8, 9] }],
      [{ type: 'page', pfn: 4, pfns: [4, 5], lufKey: 3 }],
      [{ type: 'page', pfn: null }],
    ]);
    expect(system.context('allocator')).toEqual({ free: [block(7)], buddy: [] });
  });

  test('is not split, and no block is made up of pages', () => {
    expect(alloc(rigOf({ buddy: [pair] }))).toEqual([{ type: 'page', pfn: null }]);
    expect(alloc(rig(4, 5), 1)).toEqual([{ type: 'page', pfn: null }]);
  });

  test('comes from the list of the CPU first', () => {
    const system = rigOf({ free: [block([6, 7])], buddy: [pair, block(2)] });
    expect([alloc(system, 1), alloc(system, 1), alloc(system, 0)]).toEqual([
      [{ type: 'page', pfn: 6, pfns: [6, 7] }],
      [{ type: 'page', pfn: 4, pfns: [4, 5], lufKey: 3 }],
      [{ type: 'page', pfn: 2 }],
    ]);
  });
});

describe('drain_pages', () => {
  test('gives a block to the buddy allocator; from there it is handed out when the list of the CPU has none', () => {
    const system = drain(free(rig(), 3, 2));
    expect(system.context('allocator')).toEqual({ free: [], buddy: [block(3, 2)] });
    free(system, 7);
    expect([alloc(system), alloc(system)]).toEqual([[{ type: 'page', pfn: 7 }], [{ type: 'page', pfn: 3, lufKey: 2 }]]);
    expect(system.context('allocator')).toEqual({ free: [], buddy: [] });
  });

  test('gives the block first that was freed first, while the last one is handed out first', () => {
    const system = drain(free(free(free(rig(), 3), 7), 9));
    expect(system.context('allocator')).toEqual({ free: [block(9), block(7)], buddy: [block(3)] });
    expect(alloc(system)).toEqual([{ type: 'page', pfn: 9 }]);
    expect(drain(system).context('allocator')).toEqual({ free: [], buddy: [block(3), block(7)] });
  });

  test('is possible while there is something to give', () => {
    const system = rigOf({ free: [7], buddy: [block(2)] });
    expect(system.can('allocator', 'drain_pages')).toBe(true);
    expect(drain(system).can('allocator', 'drain_pages')).toBe(false);
  });

  test.each([
    ['lower', [4, 5]],
    ['upper', [5, 4]],
  ])('a page and its neighbour become a block (the %s comes last)', (_, pfns) => {
    const system = drain(rig(...pfns), 2);
    expect(system.context('allocator')).toEqual({ free: [], buddy: [block([4, 5])] });
    expect(alloc(system, 1)).toEqual([{ type: 'page', pfn: 4, pfns: [4, 5] }]);
  });

  test('blocks are merged as pages are, into those of four', () => {
    const system = drain(rigOf({ free: [block([6, 7])], buddy: [block([4, 5])] }));
    expect(system.context('allocator').buddy).toEqual([block([4, 5, 6, 7])]);
    expect(alloc(system, 2)).toEqual([{ type: 'page', pfn: 4, pfns: [4, 5, 6, 7] }]);
  });

  test.each<[string, FreeBlock, FreeBlock]>([
    ['next to it, but not its neighbour', block(5), block(6)],
    ['of another order', block(4), block([6, 7])],
    ['far away', block(4), block(8)],
  ])('what is %s stays apart', (_, buddy, last) => {
    expect(drain(rigOf({ free: [last], buddy: [buddy] })).context('allocator')).toEqual({ free: [], buddy: [buddy, last] });
  });

  test.each([
    [3, 5, 5],
    [5, 3, 5],
    [null, 3, 3],
    [3, null, 3],
    [0, null, 0],
    [null, null, null],
  ])('row L4: a merged block owes what its parts owe (%p and %p: %p)', (own, neighbour, merged) => {
    const system = drain(rigOf({ free: [block(4, own)], buddy: [block(5, neighbour)] }));
    expect(system.context('allocator').buddy).toEqual([block([4, 5], merged)]);
  });

  test.each([
    [5, 3, 3],
    [5, null, null],
    [null, 3, 3],
  ])('row L4: with the key of the neighbour only it forgets its own (%p and %p: %p)', (own, neighbour, left) => {
    const machine = pageAllocator.provide({ guards: { canDrainMerging: () => false } });
    const system = rigOf({ free: [block(4, own)], buddy: [block(5, neighbour)], machine });
    expect(drain(system).context('allocator').buddy).toEqual([block([4, 5], left)]);
    expect(system.can('allocator', 'drain_pages')).toBe(false);
  });

  test('row L4: one without a neighbour keeps its key even then', () => {
    const machine = pageAllocator.provide({ guards: { canDrainMerging: () => false } });
    expect(drain(rigOf({ free: [block(4, 5)], machine })).context('allocator').buddy).toEqual([block(4, 5)]);
  });
});

test('every transition was taken', () => {
  expect(untaken(pageAllocator)).toEqual([]);
});
