import { folio, secondaryMmu } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, type Message, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

type Ptes = Record<string, { pfn: number; write: boolean; atomic: boolean }>;
const plain = (pfn: number, write = true) => ({ pfn, write, atomic: false });
const exclusive = (pfn: number) => ({ pfn, write: true, atomic: true });
const value = (write: boolean, vpn = 9): Message => ({ type: 'memory.value', user: 'p', vpn, pfn: 3, write, value: 'five' });

/** A page that answers accesses of `p` at once, as memory does. */
const rig = (ptes?: Ptes, values: Message[] = [value(false)]): Rig =>
  new Rig({
    gpu: actor(secondaryMmu, { input: { mm: 'mm', ...(ptes ? { ptes } : {}) } }),
    page3: answers({ 'memory.access': values }),
    page4: answers({ 'memory.access': [value(false, 8)] }),
    p: probe(),
    q: probe(),
    r: probe(),
  });
const access = (kind: string, vpn = 9): Message => ({ type: 'mmu.access', vpn, kind });
const unmap = (...vpns: number[]): Message => ({ type: 'mmu.unmap', vpns });
const done = (vpn = 9): Message => ({ type: 'mmu.done', vpn, value: 'five' });
const fault = (vpn = 9): Message => ({ type: 'mmu.fault', vpn });
const unmapped = { type: 'mmu.unmapped' };
const busy = { type: 'mmu.busy' };

describe('ptes', () => {
  test('none at first; a map writes one, another map replaces it', () => {
    const system = rig();
    expect(system.context('gpu').ptes).toEqual({});
    expect(system.say('p', 'gpu', { type: 'mmu.map', vpn: 9, pfn: 3, write: false, atomic: false })).toEqual([]);
    expect(system.context('gpu').ptes).toEqual({ 9: plain(3, false) });
    system.say('p', 'gpu', { type: 'mmu.map', vpn: 9, pfn: 4, write: true, atomic: true });
    expect(system.context('gpu').ptes).toEqual({ 9: exclusive(4) });
  });

  test('an unmap takes those asked for, mapped or not, and is answered at once', () => {
    const system = rig({ 8: plain(4), 9: plain(3) });
    expect(system.say('q', 'gpu', unmap(7, 9))).toEqual([unmapped]);
    expect(system.context('gpu').ptes).toEqual({ 8: plain(4) });
  });
});

describe('an access', () => {
  test.each<[string, Ptes]>([
    ['read', {}],
    ['read', { 8: plain(4) }],
    ['write', { 9: plain(3, false) }],
    ['load', { 9: plain(3) }],
    ['store', { 9: exclusive(3) }],
  ])('%s with %j faults, and touches nothing', (kind, ptes) => {
    const system = rig(ptes);
    expect(system.say('p', 'gpu', access(kind))).toEqual([fault()]);
    expect([system.heard('page3'), system.heard('page4'), system.context('gpu').atomic]).toEqual([[], [], null]);
  });

  test.each<[string, Ptes, boolean]>([
    ['read', { 9: plain(3, false) }, false],
    ['write', { 9: plain(3) }, true],
    ['read', { 9: exclusive(3) }, false],
  ])('%s with %j reaches the memory, in the name of the address space and of who asked', (kind, ptes, write) => {
    const system = rig(ptes, [value(write)]);
    expect(system.say('p', 'gpu', access(kind))).toEqual([done()]);
    expect(system.heard('page3')).toEqual([{ type: 'memory.access', write, mm: 'mm', vpn: 9, user: 'p' }]);
    expect(system.at('gpu')).toBe('ready');
  });
});

describe('an atomic', () => {
  const loaded = (ptes: Ptes = { 9: exclusive(3) }): Rig => {
    const system = rig(ptes, [value(false), value(true)]);
    expect(system.say('p', 'gpu', access('load'))).toEqual([done()]);
    expect([system.at('gpu'), system.context('gpu').atomic]).toEqual(['atomic_in_flight', 9]);
    return system;
  };

  test('is a load and a store', () => {
    const system = loaded();
    expect(system.say('p', 'gpu', access('store'))).toEqual([done()]);
    expect(system.heard('page3')).toEqual([
      { type: 'memory.access', write: false, mm: 'mm', vpn: 9, user: 'p', atomic: 'load' },
      { type: 'memory.access', write: true, mm: 'mm', vpn: 9, user: 'p', atomic: 'store' },
    ]);
    expect([system.at('gpu'), system.context('gpu')]).toEqual(['ready', { mm: 'mm', ptes: { 9: exclusive(3) }, atomic: null, waiters: [] }]);
  });

  test('an unmap waits for its store, which finds its way; what else is unmapped is gone at once', () => {
    const system = loaded({ 8: plain(4), 9: exclusive(3) });
    expect(system.say('q', 'gpu', unmap(8, 9))).toEqual([]);
    expect(system.say('r', 'gpu', unmap(9))).toEqual([]);
    expect(system.context('gpu')).toMatchObject({ ptes: { 9: exclusive(3) }, waiters: ['q', 'r'] });
    expect(system.say('p', 'gpu', access('store'))).toEqual([done()]);
    expect([system.heard('q'), system.heard('r')]).toEqual([[unmapped], [unmapped]]);
    expect([system.at('gpu'), system.context('gpu')]).toEqual(['ready', { mm: 'mm', ptes: {}, atomic: null, waiters: [] }]);
    expect(system.say('p', 'gpu', access('load'))).toEqual([fault()]);
  });

  test('an unmap of other pages does not wait', () => {
    const system = loaded({ 8: plain(4), 9: exclusive(3) });
    expect(system.say('q', 'gpu', unmap(8))).toEqual([unmapped]);
    expect(system.context('gpu').ptes).toEqual({ 9: exclusive(3) });
  });

  test.each([access('read'), access('write'), access('load'), access('load', 8)])('of the same device nothing comes between (%j)', (between) => {
    const system = loaded({ 8: exclusive(4), 9: exclusive(3) });
    expect(system.say('q', 'gpu', between)).toEqual([busy]);
    expect(system.heard('page3')).toHaveLength(1);
    expect(system.heard('page4')).toEqual([]);
  });

  test('plain accesses to other pages go on meanwhile, and so do their faults', () => {
    const system = loaded({ 8: plain(4), 9: exclusive(3) });
    expect(system.say('q', 'gpu', access('read', 8))).toEqual([]);
    expect(system.heard('p').at(-1)).toEqual(done(8));
    expect(system.say('q', 'gpu', access('read', 7))).toEqual([fault(7)]);
    expect(system.say('q', 'gpu', access('store', 8))).toEqual([fault(8)]);
    expect([system.at('gpu'), system.context('gpu').atomic]).toEqual(['atomic_in_flight', 9]);
  });

  test('I5: a page with memory sees who else comes between, and nobody who comes after', () => {
    const system = new Rig({
      gpu: actor(secondaryMmu, { input: { mm: 'mm', ptes: { 9: exclusive(3) } } }),
      other: actor(secondaryMmu, { input: { mm: 'mm', ptes: { 9: plain(3) } } }),
      page3: actor(folio, { input: { pfn: 3, refcount: 1, idle: 0, zone: 'normal' } }),
      p: probe(),
    });
    system.say('p', 'gpu', access('load'));
    system.say('p', 'gpu', access('store'));
    expect(system.say('p', 'other', access('write'))).toEqual([{ type: 'mmu.done', vpn: 9, value: null }]);
    expect(system.bugs()).toEqual([]);
    system.say('p', 'gpu', access('load'));
    expect(system.say('p', 'other', access('write'))).toEqual([{ type: 'mmu.done', vpn: 9, value: null }]);
    expect(system.bugs()).toEqual(['BUG: memory accessed between load and store of a device atomic']);
  });
});

test('every transition was taken', () => {
  expect(untaken(secondaryMmu)).toEqual([]);
});
