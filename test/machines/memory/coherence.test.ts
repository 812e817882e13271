import { asidKey, type Broken, coherence, folio } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { type Message, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

interface Setup {
  cells?: Record<string, string>;
  places?: Record<string, { cell: string; read: boolean; write: boolean }>;
}
/** Pages 0 and 1 of `p` map one place of a file; page 2 maps another, read-only; page 3 none. */
const shared = { cell: 'f', read: true, write: true };
const places = { 'p/0': shared, 'p/1': shared, 'p/2': { cell: 'g', read: true, write: false } };

const rig = (setup: Setup = {}): Rig =>
  new Rig({
    coherence: actor(coherence, { input: { cells: { f: 'f.v0', g: 'g.v0' }, places, ...setup } }),
    page: probe(),
    writer: probe(),
    other: probe(),
  });

interface Access {
  vpn: number;
  content: string | null;
  write?: boolean;
  sampled?: boolean;
  free?: boolean;
  mm?: string;
}
/** An access as the page that it comes to reports it; returns what the page hears. */
function access(system: Rig, { vpn, content, write = false, sampled = false, free = false, mm = 'p' }: Access): Message {
  const reported = { type: 'memory.accessed', access: { write, mm, vpn, user: 'u' }, cpu: 'cpu1', pfn: 4, content, sampled, free };
  return system.say('page', 'coherence', reported)[0] as Message;
}
const load = (system: Rig, vpn: number, content: string | null, page: Partial<Access> = {}): Broken[] => {
  access(system, { vpn, content, ...page });
  return broken(system);
};
const store = (system: Rig, vpn: number, content: string, page: Partial<Access> = {}): unknown => access(system, { vpn, content, write: true, ...page }).value;
const say = (system: Rig, message: Message, by = 'writer'): Message[] => system.say(by, 'coherence', message);
const begin = (system: Rig, by = 'writer'): Message[] => say(system, { type: 'write.begin', cell: 'f' }, by);
const complete = (system: Rig, value = 'f.v1', by = 'writer'): Message[] => say(system, { type: 'write.complete', cell: 'f', value }, by);
const broken = (system: Rig): Broken[] => system.context('coherence').broken;
const cell = (system: Rig, name = 'f'): unknown => system.context('coherence').cells[name];

test('asidKey names the places', () => {
  expect(Object.keys(places)).toEqual([0, 1, 2].map((vpn) => asidKey('p', vpn)));
});

describe('an access', () => {
  test('is answered to the page, with the value, the access and the CPU', () => {
    const system = rig();
    expect(access(system, { vpn: 0, content: 'f.v0' })).toEqual({
      type: 'memory.judged',
      value: 'f.v0',
      access: { write: false, mm: 'p', vpn: 0, user: 'u' },
      cpu: 'cpu1',
    });
    expect([system.said('coherence').length, system.heard('writer'), broken(system)]).toEqual([1, [], []]);
  });

  test('that loads leaves the value as it is; one that stores makes the next one, complete at once', () => {
    const system = rig();
    expect([store(system, 0, 'f.v0'), store(system, 1, 'f.v1')]).toEqual(['f.v1', 'f.v2']);
    expect(access(system, { vpn: 0, content: 'f.v2' }).value).toBe('f.v2');
    expect([cell(system), cell(system, 'g')]).toEqual([
      { values: ['f.v0', 'f.v1', 'f.v2'], completed: 2, observed: 2 },
      { values: ['g.v0'], completed: 0, observed: 0 },
    ]);
    expect(broken(system)).toEqual([]);
  });

  test('comes from a real page: the answer goes on to the CPU, and a store is in memory', () => {
    const system = new Rig({
      coherence: actor(coherence, { input: { cells: { f: 'f.v0' }, places } }),
      page4: actor(folio, { input: { pfn: 4, refcount: 1, idle: 0, zone: 'normal', content: 'f.v0', coherence: 'coherence' } }),
      cpu1: probe(),
    });
    const through = (write: boolean): Message[] => system.say('cpu1', 'page4', { type: 'memory.access', write, mm: 'p', vpn: 0, user: 'u' });
    expect([through(true), through(false)]).toEqual([
      [{ type: 'memory.value', user: 'u', vpn: 0, pfn: 4, write: true, value: 'f.v1' }],
      [{ type: 'memory.value', user: 'u', vpn: 0, pfn: 4, write: false, value: 'f.v1' }],
    ]);
    expect([system.context('page4').content, broken(system)]).toEqual(['f.v1', []]);
  });
});

describe('I1, reuse', () => {
  test.each([false, true])('a frame with the bytes of a new owner is seen (store: %s)', (write) => {
    const system = rig();
    const { value } = access(system, { vpn: 0, content: 'slab', write });
    expect([broken(system), value, cell(system)]).toEqual([['I1'], 'slab', { values: ['f.v0'], completed: 0, observed: 0 }]);
  });

  test('so is another page of the same file', () => {
    expect(load(rig(), 0, 'g.v0')).toEqual(['I1']);
  });

  test('row L5: bytes that nobody wrote in a frame that nobody has are I3w, not I1', () => {
    expect(load(rig(), 0, 'zeroes', { free: true })).toEqual(['I3w']);
    expect(load(rig(), 0, null, { free: true })).toEqual(['I3w']);
  });

  test('a free frame that has the right bytes yet may be read', () => {
    expect(load(rig(), 0, 'f.v0', { free: true })).toEqual([]);
  });
});

describe('I2, sampled', () => {
  test('row L2: a store that comes after the kernel has read the frame is lost', () => {
    const system = rig();
    store(system, 0, 'f.v0', { sampled: true });
    expect(broken(system)).toEqual(['I2']);
  });

  test('a load of it is not, nor is a store before', () => {
    const system = rig();
    expect(load(system, 0, 'f.v0', { sampled: true })).toEqual([]);
    store(system, 0, 'f.v0');
    expect(broken(system)).toEqual([]);
  });

  test('row L2, step 4: who reads the copy has lost the store', () => {
    const system = rig();
    expect(store(system, 0, 'f.v0', { sampled: true })).toBe('f.v1');
    expect(load(system, 1, 'f.v0')).toEqual(['I2', 'I3w']);
  });
});

describe('I3w and I3s, coherence', () => {
  test('a write begins with the next value, and is seen by nobody yet', () => {
    const system = rig();
    expect([begin(system), begin(system)]).toEqual([[{ type: 'write.value', value: 'f.v1' }], [{ type: 'write.value', value: 'f.v2' }]]);
    expect(cell(system)).toEqual({ values: ['f.v0', 'f.v1', 'f.v2'], completed: 0, observed: 0 });
    expect([load(system, 0, 'f.v0'), broken(system)]).toEqual([[], []]);
  });

  test('I3w: after a write has completed the old value may not be read; the new one may', () => {
    const system = rig();
    begin(system);
    expect([load(system, 0, 'f.v0'), complete(system)]).toEqual([[], []]);
    expect([cell(system), load(system, 0, 'f.v1')]).toEqual([{ values: ['f.v0', 'f.v1'], completed: 1, observed: 0 }, []]);
    const other = rig();
    begin(other);
    complete(other);
    expect(load(other, 1, 'f.v0')).toEqual(['I3w']);
  });

  test('I3s: after anybody has read the new value nobody may read the old one, complete or not', () => {
    const system = rig();
    begin(system);
    expect([load(system, 0, 'f.v1'), load(system, 1, 'f.v1'), load(system, 1, 'f.v0')]).toEqual([[], [], ['I3s']]);
    complete(system);
    expect(load(system, 1, 'f.v0')).toEqual(['I3s', 'I3w']);
  });

  test('a user store has completed when it retires: who reads older data has a stale translation', () => {
    const system = rig();
    store(system, 0, 'f.v0');
    expect(load(system, 1, 'f.v0')).toEqual(['I3w']);
  });

  test('an old read does not take back what was observed', () => {
    const system = rig();
    begin(system);
    load(system, 0, 'f.v1');
    load(system, 0, 'f.v0');
    expect(cell(system)).toEqual({ values: ['f.v0', 'f.v1'], completed: 0, observed: 1 });
  });

  test('a write completes up to its own value; an older one takes nothing back', () => {
    const system = rig();
    begin(system);
    begin(system);
    complete(system, 'f.v1');
    expect([cell(system), load(system, 0, 'f.v1')]).toEqual([{ values: ['f.v0', 'f.v1', 'f.v2'], completed: 1, observed: 0 }, []]);
    complete(system, 'f.v2');
    complete(system, 'f.v1');
    expect([system.context('coherence').cells.f.completed, load(system, 0, 'f.v1')]).toEqual([2, ['I3w']]);
  });

  test('of two writers each completes its own write, in whatever order they return', () => {
    const begun = (): Rig => {
      const system = rig();
      expect([begin(system, 'writer'), begin(system, 'other')].map(([answer]) => answer?.value)).toEqual(['f.v1', 'f.v2']);
      return system;
    };
    const [first, second] = [begun(), begun()];
    complete(first, 'f.v1', 'writer');
    expect([cell(first), load(first, 0, 'f.v1')]).toEqual([{ values: ['f.v0', 'f.v1', 'f.v2'], completed: 1, observed: 0 }, []]);
    complete(second, 'f.v2', 'other');
    complete(second, 'f.v1', 'writer');
    expect([cell(second), load(second, 0, 'f.v1')]).toEqual([{ values: ['f.v0', 'f.v1', 'f.v2'], completed: 2, observed: 0 }, ['I3w']]);
  });

  test('cells are apart: a new value of one says nothing of another', () => {
    const system = rig();
    begin(system);
    complete(system);
    expect([load(system, 0, 'f.v1'), load(system, 2, 'g.v0')]).toEqual([[], []]);
  });
});

describe('I4, permission', () => {
  test.each([
    ['load where nothing is mapped', { vpn: 3, write: false }],
    ['store where nothing is mapped', { vpn: 3, write: true }],
    ['store to what is read-only', { vpn: 2, write: true, content: 'g.v0' }],
    ['load in another address space', { vpn: 0, write: false, mm: 'q' }],
  ])('a %s', (_, page) => {
    const system = rig();
    access(system, { content: 'f.v0', ...page });
    expect(broken(system)).toEqual(['I4']);
  });

  test('row L11: mprotect withdraws a right, and gives it back', () => {
    const system = rig();
    const protect = (read: boolean, write: boolean): Message[] => say(system, { type: 'place.protect', mm: 'p', vpn: 0, read, write });
    expect(protect(true, false)).toEqual([]);
    expect(load(system, 0, 'f.v0')).toEqual([]);
    protect(true, true);
    store(system, 0, 'f.v0');
    expect(broken(system)).toEqual([]);
    protect(false, false);
    expect([load(system, 1, 'f.v1'), load(system, 0, 'f.v1')]).toEqual([[], ['I4']]);
  });

  test('row L11: what mprotect gives may be used before it returns; what it takes, too', () => {
    const system = rig();
    const allow = (read: boolean, write: boolean): Message[] => say(system, { type: 'place.allow', mm: 'p', vpn: 2, read, write });
    expect(allow(false, true)).toEqual([]);
    expect(system.context('coherence').places['p/2']).toEqual({ cell: 'g', read: true, write: true, formerly: [] });
    expect([store(system, 2, 'g.v0'), allow(false, false), load(system, 2, 'g.v1')]).toEqual(['g.v1', [], []]);
    say(system, { type: 'place.protect', mm: 'p', vpn: 2, read: false, write: false });
    expect(allow(true, false)).toEqual([]);
    expect([load(system, 2, 'g.v1'), store(system, 2, 'g.v1'), broken(system)]).toEqual([[], 'g.v2', ['I4']]);
  });

  test('a store after mprotect took the right to store', () => {
    const system = rig();
    say(system, { type: 'place.protect', mm: 'p', vpn: 0, read: true, write: false });
    store(system, 0, 'f.v0');
    expect(broken(system)).toEqual(['I4']);
  });

  test('row L12: after munmap no access; the other address of the page is as it was', () => {
    const system = rig();
    expect(say(system, { type: 'place.unmap', mm: 'p', vpns: [0] })).toEqual([]);
    expect([load(system, 1, 'f.v0'), load(system, 0, 'f.v0')]).toEqual([[], ['I4']]);
    const other = rig();
    say(other, { type: 'place.unmap', mm: 'p', vpns: [0] });
    store(other, 0, 'f.v0');
    expect(broken(other)).toEqual(['I4']);
  });

  const remapped = (write = true): Rig => {
    const system = rig();
    say(system, { type: 'place.unmap', mm: 'p', vpns: [0] });
    expect(say(system, { type: 'place.map', mm: 'p', vpn: 0, cell: 'g', write })).toEqual([]);
    return system;
  };

  test('row L10: after mmap of another file its bytes are read, and the bytes of the old one are I4', () => {
    const system = remapped();
    expect(system.context('coherence').places['p/0']).toEqual({ cell: 'g', read: true, write: true, formerly: ['f'] });
    expect([load(system, 0, 'g.v0'), load(system, 0, 'f.v0')]).toEqual([[], ['I4']]);
  });

  test('row L10: neither is it the old page when that is free, and bytes of nobody are I1 still', () => {
    expect([load(remapped(), 0, 'f.v0', { free: true }), load(remapped(), 0, 'slab')]).toEqual([['I4'], ['I1']]);
  });

  test('mmap for reading only gives no right to store', () => {
    const system = remapped(false);
    store(system, 0, 'g.v0');
    expect(broken(system)).toEqual(['I4']);
  });

  test('mmap where nothing was mapped: there is no old page', () => {
    const system = rig();
    say(system, { type: 'place.map', mm: 'p', vpn: 3, cell: 'f', write: false });
    expect([system.context('coherence').places['p/3'], load(system, 3, 'f.v0')]).toEqual([{ cell: 'f', read: true, write: false, formerly: [] }, []]);
  });

  test('of all that it mapped before, none may show through', () => {
    const system = rig({ cells: { f: 'f.v0', g: 'g.v0', h: 'h.v0' } });
    for (const name of ['g', 'h']) say(system, { type: 'place.map', mm: 'p', vpn: 0, cell: name, write: true });
    expect([system.context('coherence').places['p/0'].formerly, load(system, 0, 'h.v0'), load(system, 0, 'f.v0')]).toEqual([['f', 'g'], [], ['I4']]);
  });

  test('munmap of what was never mapped leaves nothing behind, for mmap or for the rest of the range', () => {
    const system = rig();
    say(system, { type: 'place.unmap', mm: 'p', vpns: [3, 1] });
    expect(Object.keys(system.context('coherence').places)).toEqual(Object.keys(places));
    say(system, { type: 'place.map', mm: 'p', vpn: 3, cell: 'f', write: false });
    expect(system.context('coherence').places['p/3']).toEqual({ cell: 'f', read: true, write: false, formerly: [] });
    expect([load(system, 0, 'f.v0'), load(system, 1, 'f.v0')]).toEqual([[], ['I4']]);
  });

  test('munmap of one address space leaves the others alone', () => {
    const system = rig();
    say(system, { type: 'place.unmap', mm: 'q', vpns: [0] });
    expect(load(system, 0, 'f.v0')).toEqual([]);
  });

  test.each(['place.allow', 'place.protect'])('%s of what was never mapped gives no rights', (type) => {
    const system = rig();
    const before = system.context('coherence').places;
    expect(say(system, { type, mm: 'p', vpn: 3, read: true, write: true })).toEqual([]);
    expect([system.context('coherence').places, load(system, 3, 'f.v0')]).toEqual([before, ['I4']]);
  });
});

describe('fork', () => {
  const forked = (): Rig => {
    const system = rig();
    store(system, 0, 'f.v0');
    expect(say(system, { type: 'place.fork', mm: 'p', vpn: 0, child: 'child' })).toEqual([]);
    return system;
  };

  test('the child has what the parent had, with the same rights', () => {
    const system = forked();
    expect(system.context('coherence').places['child/0']).toEqual({ cell: 'child/0', read: true, write: true, formerly: [] });
    expect([load(system, 0, 'f.v1', { mm: 'child' }), load(system, 0, 'f.v1')]).toEqual([[], []]);
  });

  test('of what was stored before it the child may not see less', () => {
    expect(load(forked(), 0, 'f.v0', { mm: 'child' })).toEqual(['I3w']);
  });

  test('row L7: what the parent stores then is not for the child, and the old value is not for the parent', () => {
    const system = forked();
    expect([store(system, 0, 'f.v1'), load(system, 0, 'f.v1', { mm: 'child' })]).toEqual(['f.v2', []]);
    expect(load(system, 0, 'f.v1')).toEqual(['I3w']);
    const isolated = forked();
    store(isolated, 0, 'f.v1');
    expect(load(isolated, 0, 'f.v2', { mm: 'child' })).toEqual(['I1']);
  });

  test('what the child stores has a name of its own', () => {
    const system = forked();
    expect([store(system, 0, 'f.v1', { mm: 'child' }), load(system, 0, 'f.v1'), load(system, 0, 'child/0.v2')]).toEqual(['child/0.v2', [], ['I1']]);
  });
});

test('what was broken stays noted, each once, in order', () => {
  const system = rig();
  load(system, 3, 'f.v0');
  load(system, 0, 'slab');
  load(system, 0, 'slab');
  load(system, 0, 'f.v0');
  expect(broken(system)).toEqual(['I1', 'I4']);
});

test('every transition was taken', () => {
  expect(untaken(coherence)).toEqual([]);
});
