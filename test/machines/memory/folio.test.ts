import { folio } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { isOfCompound } from '../compounds.js';
import { answers, type Message, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

interface Counts {
  refcount: number;
  mapcount?: number;
  idle?: number;
  zone?: 'normal' | 'device';
  content?: string;
  anonExclusive?: boolean;
  /** What the judge of accesses says that the memory holds then; undefined: there is no judge. */
  judged?: string;
  device?: string;
  mapping?: string;
  protection?: { record: string; stable: boolean };
}
const rig = ({ idle = 0, judged, ...input }: Counts): Rig =>
  new Rig({
    page: actor(folio, { input: { pfn: 3, idle, ...input, ...(judged === undefined ? {} : { coherence: 'judge' }) } }),
    judge: answers({ 'memory.accessed': [{ type: 'memory.judged', value: judged ?? null, access: accessOf(true), cpu: 'q' }] }),
    p: probe(),
    q: probe(),
  });
/** What a CPU, `q`, says of an access: for `p`, which waits for it. */
const accessOf = (write: boolean): object => ({ mm: 'mm', vpn: 9, write, user: 'p' });
const access = (write: boolean): Message => ({ type: 'memory.access', ...accessOf(write) });
const value = (write: boolean, held: string | null = null): Message => ({ type: 'memory.value', user: 'p', vpn: 9, pfn: 3, write, value: held });
const counts = (system: Rig): unknown => {
  const { refcount, pincount, mapcount } = system.context('page');
  return { refcount, pincount, mapcount };
};
const idle = [{ type: 'page.idle' }];

describe('a page that is there', () => {
  test('tells its head, and its counts', () => {
    const system = rig({ refcount: 2, mapcount: 1 });
    expect(system.say('p', 'page', 'page.head')).toEqual([{ type: 'page.head', head: 3 }]);
    expect(system.say('p', 'page', 'page.read')).toEqual([{ type: 'page.counts', refcount: 2, mapcount: 1, idle: false }]);
  });

  test('G8b: a try-get takes a reference unless there is none', () => {
    const system = rig({ refcount: 1 });
    expect(system.say('p', 'page', 'folio.try_get')).toEqual([{ type: 'folio.got', refcount: 2 }]);
    expect(counts(system)).toEqual({ refcount: 2, pincount: 0, mapcount: 0 });
    const frozen = rig({ refcount: 0 });
    expect(frozen.say('p', 'page', 'folio.try_get')).toEqual([{ type: 'folio.frozen' }]);
    expect(counts(frozen)).toEqual({ refcount: 0, pincount: 0, mapcount: 0 });
  });

  test('a get takes one in any case', () => {
    expect(rig({ refcount: 0 }).say('p', 'page', 'folio.get')).toEqual([{ type: 'folio.got', refcount: 1 }]);
  });

  test('a put tells what is left', () => {
    const system = rig({ refcount: 2 });
    expect(system.say('p', 'page', 'folio.put')).toEqual([{ type: 'folio.put', refcount: 1 }]);
    expect(system.say('p', 'page', 'folio.put')).toEqual([{ type: 'folio.put', refcount: 0 }]);
  });

  test('pins and mappings are counted apart from references', () => {
    const system = rig({ refcount: 1 });
    for (const message of ['folio.pin', 'folio.pin', 'folio.unpin', 'folio.add_rmap', 'folio.add_rmap', 'folio.remove_rmap'])
      expect(system.say('p', 'page', message)).toEqual([]);
    expect(counts(system)).toEqual({ refcount: 1, pincount: 1, mapcount: 1 });
    expect(system.say('p', 'page', 'page.read')[0]?.pinned).toBe(true);
    system.say('p', 'page', 'folio.unpin');
    expect([counts(system), system.bugs()]).toEqual([{ refcount: 1, pincount: 0, mapcount: 1 }, []]);
    expect(system.say('p', 'page', 'page.read')[0]?.pinned).toBeUndefined();
  });

  test('its memory can be used', () => {
    const system = rig({ refcount: 0 });
    expect(system.say('p', 'page', { type: 'memory.access', write: true })).toEqual([]);
    expect(system.bugs()).toEqual([]);
  });

  test('Z5: it is marked dirty, and stays so', () => {
    const system = rig({ refcount: 1 });
    expect(system.context('page').dirty).toBe(false);
    for (const message of ['folio.mark_dirty', 'folio.mark_dirty']) expect(system.say('p', 'page', message)).toEqual([]);
    expect([system.context('page').dirty, counts(system)]).toEqual([true, { refcount: 1, pincount: 0, mapcount: 0 }]);
  });

  test.each(['folio.put', 'folio.unpin'])('I6: %s of what nobody holds is a bug', (message) => {
    const system = rig({ refcount: 0 });
    system.say('p', 'page', message);
    expect(system.bugs()).toEqual(['BUG: page reference count goes below zero']);
  });
});

describe('counts of a page that is there', () => {
  test('the reference of a mapping comes and goes without an answer', () => {
    const system = rig({ refcount: 1 });
    expect([system.say('p', 'page', 'folio.ref_inc'), system.context('page').refcount]).toEqual([[], 2]);
    expect([system.say('p', 'page', 'folio.ref_dec'), system.context('page').refcount]).toEqual([[], 1]);
    expect(system.bugs()).toEqual([]);
  });

  test('R6: a freeze takes all references at once, if there are as many as expected', () => {
    const system = rig({ zone: 'normal', refcount: 2 });
    expect(system.say('p', 'page', { type: 'folio.freeze', expected: 2 })).toEqual([{ type: 'folio.ref_freeze', result: 'frozen' }]);
    expect([system.at('page'), system.context('page').refcount]).toEqual(['present', 0]);
    expect(system.say('q', 'page', 'folio.try_get')).toEqual([{ type: 'folio.frozen' }]);
  });

  test.each([1, 3])('R6: else it changes nothing (%i)', (refcount) => {
    const system = rig({ zone: 'normal', refcount });
    expect(system.say('p', 'page', { type: 'folio.freeze', expected: 2 })).toEqual([{ type: 'folio.ref_freeze', result: 'busy' }]);
    expect(system.context('page').refcount).toBe(refcount);
  });

  test('R6: what another has frozen cannot be frozen', () => {
    const system = rig({ zone: 'normal', refcount: 2 });
    system.say('q', 'page', { type: 'folio.freeze', expected: 2 });
    expect(system.say('p', 'page', { type: 'folio.freeze', expected: 2 })).toEqual([{ type: 'folio.ref_freeze', result: 'busy' }]);
    expect([system.at('page'), system.context('page').refcount]).toEqual(['present', 0]);
  });

  test.each([
    ['that is dirty', true, 'busy'],
    ['that is clean', false, 'frozen'],
  ])('R6: who must write it out first freezes none %s: %s gives %s', (_, dirty, result) => {
    const system = rig({ zone: 'normal', refcount: 2 });
    if (dirty) system.say('q', 'page', 'folio.mark_dirty');
    expect(system.say('p', 'page', { type: 'folio.freeze', expected: 2, clean: true })).toEqual([{ type: 'folio.ref_freeze', result }]);
    expect(system.context('page')).toMatchObject({ refcount: dirty ? 2 : 0, dirty });
  });

  test('R6: that it is dirty is no matter to others; a clean page is frozen only as it is expected, too', () => {
    const [dirty, referenced] = [rig({ zone: 'normal', refcount: 2 }), rig({ zone: 'normal', refcount: 3 })];
    dirty.say('q', 'page', 'folio.mark_dirty');
    expect(dirty.say('p', 'page', { type: 'folio.freeze', expected: 2 })).toEqual([{ type: 'folio.ref_freeze', result: 'frozen' }]);
    expect(dirty.context('page')).toMatchObject({ refcount: 0, dirty: true });
    expect(referenced.say('p', 'page', { type: 'folio.freeze', expected: 2, clean: true })).toEqual([{ type: 'folio.ref_freeze', result: 'busy' }]);
  });

  test('I6: a reference that nobody holds cannot go', () => {
    const system = rig({ refcount: 0 });
    system.say('p', 'page', 'folio.ref_dec');
    expect(system.bugs()).toEqual(['BUG: page reference count goes below zero']);
  });

  test('a frozen page can be given back its references', () => {
    const system = rig({ zone: 'normal', refcount: 2 });
    for (const message of [
      { type: 'folio.freeze', expected: 2 },
      { type: 'folio.unfreeze', refcount: 1 },
    ])
      system.say('p', 'page', message);
    expect(system.say('q', 'page', 'folio.try_get')).toEqual([{ type: 'folio.got', refcount: 2 }]);
  });

  test('R9: a frozen page can be freed, and is handed out again', () => {
    const system = rig({ zone: 'normal', refcount: 2 });
    system.say('p', 'page', { type: 'folio.freeze', expected: 2 });
    expect([system.say('p', 'page', 'folio.free'), system.at('page'), system.bugs()]).toEqual([[], 'free', []]);
    system.say('p', 'page', 'folio.prep_new');
    expect([system.at('page'), counts(system)]).toEqual(['present', { refcount: 1, pincount: 0, mapcount: 0 }]);
  });

  test('R5: what was written out is clean; whether it is dirty is told', () => {
    const system = rig({ refcount: 1 });
    const read = (): unknown => system.say('p', 'page', 'page.read')[0]?.dirty;
    system.say('p', 'page', 'folio.mark_dirty');
    expect(read()).toBe(true);
    system.say('p', 'page', 'folio.clean');
    expect([system.context('page').dirty, read()]).toEqual([false, undefined]);
  });

  test('that it is exclusive is set and told; a page that is handed out is not', () => {
    const system = rig({ zone: 'normal', refcount: 1, anonExclusive: true });
    const read = (): unknown => system.say('p', 'page', 'page.read')[0]?.exclusive;
    expect(read()).toBe(true);
    const seen = [false, true].map((exclusive) => {
      system.say('p', 'page', { type: 'folio.set_exclusive', exclusive });
      return read();
    });
    expect(seen).toEqual([undefined, true]);
    for (const message of ['folio.put', 'folio.prep_new']) system.say('p', 'page', message);
    expect(read()).toBeUndefined();
  });
});

describe('what is in the memory', () => {
  const read = (system: Rig, sample = false): unknown => system.say('p', 'page', { type: 'memory.read', sample });
  const content = (held: string | null): Message[] => [{ type: 'memory.content', value: held }];

  test('is not modelled unless it is said', () => {
    expect([read(rig({ refcount: 1 })), read(rig({ refcount: 1, content: 'a.v0' }))]).toEqual([content(null), content('a.v0')]);
  });

  test('is what the kernel has filled in', () => {
    const system = rig({ refcount: 1, content: 'a.v0' });
    expect(system.say('p', 'page', { type: 'memory.write', value: 'a.v1' })).toEqual([]);
    expect(read(system)).toEqual(content('a.v1'));
  });

  test('is sampled by who copies it or writes it out, until it is mapped anew', () => {
    const system = rig({ refcount: 1, content: 'a.v0' });
    const sampled = (): unknown => system.context('page').sampled;
    read(system);
    expect(sampled()).toBe(false);
    expect([read(system, true), sampled()]).toEqual([content('a.v0'), true]);
    read(system);
    expect(sampled()).toBe(true);
    system.say('p', 'page', 'folio.remove_rmap');
    expect(sampled()).toBe(true);
    system.say('p', 'page', 'folio.add_rmap');
    expect(sampled()).toBe(false);
  });

  test('stays when the page is freed, until somebody clears it; what is handed out is not sampled', () => {
    const system = rig({ zone: 'normal', refcount: 1, content: 'a.v0' });
    read(system, true);
    system.say('p', 'page', 'folio.put');
    expect([system.at('page'), system.context('page').content]).toEqual(['free', 'a.v0']);
    system.say('p', 'page', { type: 'memory.write', value: 'zero' });
    expect([system.at('page'), system.context('page').content, system.bugs()]).toEqual(['free', 'zero', []]);
    system.say('p', 'page', 'folio.prep_new');
    expect([read(system), system.context('page').sampled]).toEqual([content('zero'), false]);
  });
});

describe('an access through a translation', () => {
  test.each(['normal', 'device'] as const)('is answered to the CPU when it has retired (%s)', (zone) => {
    const system = rig({ zone, refcount: 1, content: 'a.v0' });
    for (const write of [false, true]) expect(system.say('q', 'page', access(write))).toEqual([value(write)]);
    expect([system.context('page').content, system.heard('p')]).toEqual(['a.v0', []]);
  });

  test('for nobody is not answered', () => {
    const system = rig({ refcount: 1 });
    expect(system.say('q', 'page', { ...access(true), user: null })).toEqual([]);
  });

  test.each([true, false])('is judged, where there is a judge, and answered with what is there then (store: %s)', (write) => {
    const system = rig({ zone: 'normal', refcount: 1, content: 'a.v0', judged: 'a.v1' });
    expect(system.say('q', 'page', access(write))).toEqual([value(true, 'a.v1')]);
    expect(system.heard('judge')).toEqual([
      { type: 'memory.accessed', access: accessOf(write), cpu: 'q', pfn: 3, content: 'a.v0', sampled: false, free: false },
    ]);
    expect(system.context('page').content).toBe('a.v1');
  });

  test('is judged by whether the kernel has sampled the memory', () => {
    const system = rig({ refcount: 1, content: 'a.v0', judged: 'a.v0' });
    system.say('p', 'page', { type: 'memory.read', sample: true });
    system.say('q', 'page', access(true));
    expect(system.heard('judge')).toMatchObject([{ sampled: true, free: false }]);
  });

  describe('to a free page', () => {
    const free = (input: Partial<Counts>): Rig => rig({ zone: 'normal', refcount: 0, content: 'a.v0', ...input });

    test.each([true, false])('is judged, where there is a judge: its bytes are there still (store: %s)', (write) => {
      const system = free({ judged: 'a.v1' });
      expect(system.say('q', 'page', access(write))).toEqual([value(true, 'a.v1')]);
      expect(system.heard('judge')).toEqual([
        { type: 'memory.accessed', access: accessOf(write), cpu: 'q', pfn: 3, content: 'a.v0', sampled: false, free: true },
      ]);
      expect([system.at('page'), system.context('page').content, system.bugs()]).toEqual(['free', 'a.v1', []]);
    });

    test.each([true, false])('is a bug, where there is none; the CPU goes on (store: %s)', (write) => {
      const system = free({});
      expect(system.say('q', 'page', access(write))).toEqual([value(write)]);
      expect([system.context('page').content, system.bugs()]).toEqual(['a.v0', ['BUG: a stale translation leads to a page that was freed']]);
    });
  });

  test('to a page that was removed is a bug; the CPU goes on', () => {
    const system = rig({ refcount: 1 });
    system.say('p', 'page', 'page.remove');
    expect(system.say('q', 'page', access(true))).toEqual([value(true)]);
    expect(system.bugs()).toEqual(['BUG: device memory accessed after remove_pages']);
  });
});

describe('page->mapping', () => {
  const mapping = (system: Rig): unknown => system.say('p', 'page', 'folio.mapping');
  const told = (of: string | null, record: string | null = null): Message[] => [{ type: 'folio.mapping', mapping: of, record }];
  const countsOf = (system: Rig): unknown => system.say('p', 'page', 'page.read')[0];

  test('is none for a private page; that of a page of a file is told, and that it is one', () => {
    const [own, ofFile] = [rig({ refcount: 1 }), rig({ refcount: 1, mapping: 'f' })];
    expect([mapping(own), mapping(ofFile)]).toEqual([told(null), told('f')]);
    expect([countsOf(own), countsOf(ofFile)]).toEqual([
      { type: 'page.counts', refcount: 1, mapcount: 0, idle: false },
      { type: 'page.counts', refcount: 1, mapcount: 0, idle: false, file: true },
    ]);
  });

  test('is set when the page joins a cache, and goes when it leaves', () => {
    const system = rig({ refcount: 1 });
    expect(system.say('q', 'page', { type: 'folio.set_mapping', mapping: 'f' })).toEqual([]);
    expect(mapping(system)).toEqual(told('f'));
    system.say('q', 'page', { type: 'folio.set_mapping', mapping: null });
    expect(mapping(system)).toEqual(told(null));
  });

  test('is the record of a protected page, and the mapping again when the protection is broken', () => {
    const system = rig({ refcount: 1, mapping: 'f' });
    expect(system.say('q', 'page', { type: 'folio.protect', record: 'record3', stable: false })).toEqual([]);
    expect([mapping(system), countsOf(system)]).toEqual([told(null, 'record3'), expect.objectContaining({ file: true, protection: 'record' })]);
    expect(system.say('q', 'page', 'folio.unprotect')).toEqual([]);
    expect([mapping(system), countsOf(system)]).toEqual([told('f'), { type: 'page.counts', refcount: 1, mapcount: 0, idle: false, file: true }]);
  });

  test('of a page that is handed out is none, nor is it protected or under writeback', () => {
    const system = rig({ zone: 'normal', refcount: 1, mapping: 'f', protection: { record: 'record3', stable: true } });
    for (const message of ['folio.start_writeback', 'folio.put', 'folio.prep_new']) system.say('q', 'page', message);
    expect([mapping(system), countsOf(system)]).toEqual([told(null), { type: 'page.counts', refcount: 1, mapcount: 0, idle: false }]);
    expect(system.context('page')).toMatchObject({ mapping: null, protection: null, writeback: null });
  });
});

describe('a page whose bytes several share', () => {
  const protection = { record: 'record3', stable: true };
  const changed = ['BUG: a page whose bytes others share (KSM, deduplication) is stored to'];

  test('says so, from the start or from when it is protected', () => {
    const system = rig({ refcount: 1 });
    system.say('q', 'page', { type: 'folio.protect', ...protection });
    for (const page of [system, rig({ refcount: 1, protection })]) expect(page.say('p', 'page', 'page.read')[0]?.protection).toBe('stable');
  });

  test.each<[string, Message]>([
    ['a CPU', access(true)],
    ['a device', { type: 'memory.access', write: true }],
    ['the kernel', { type: 'memory.write', value: 'a.v1' }],
  ])('I7: must not be stored to by %s', (_, message) => {
    const system = rig({ zone: 'normal', refcount: 1, content: 'a.v0', judged: 'a.v1', protection });
    system.say('q', 'page', message);
    expect([system.bugs(), system.context('page').content, system.heard('judge')]).toEqual([changed, 'a.v0', []]);
  });

  test('I7: the CPU that stores goes on', () => {
    expect(rig({ refcount: 1, protection }).say('q', 'page', access(true))).toEqual([value(true)]);
  });

  test('may be read', () => {
    const system = rig({ refcount: 1, content: 'a.v0', judged: 'a.v0', protection });
    system.say('q', 'page', access(false));
    expect(system.say('p', 'page', { type: 'memory.read', sample: false })).toEqual([{ type: 'memory.content', value: 'a.v0' }]);
    expect(system.heard('judge')).toEqual([
      { type: 'memory.accessed', access: accessOf(false), cpu: 'q', pfn: 3, content: 'a.v0', sampled: false, free: false },
    ]);
    expect(system.bugs()).toEqual([]);
  });

  test.each([
    ['when the protection is broken', 'folio.unprotect'],
    ['of which there are replicas only', { type: 'folio.protect', record: 'record3', stable: false }],
  ])('may be stored to %s', (_, message) => {
    const system = rig({ refcount: 1, content: 'a.v0', protection });
    system.say('q', 'page', message);
    system.say('q', 'page', { type: 'memory.write', value: 'a.v1' });
    system.say('q', 'page', access(true));
    expect([system.context('page').content, system.bugs()]).toEqual(['a.v1', []]);
  });
});

describe('writeback', () => {
  const ended = [{ type: 'writeback.ended' }];

  test('is not waited for where there is none', () => {
    expect(rig({ refcount: 1 }).say('p', 'page', 'folio.wait_writeback')).toEqual(ended);
  });

  test('is waited for until it ends; everybody who waits is woken, once', () => {
    const system = rig({ refcount: 1 });
    expect(system.say('q', 'page', 'folio.start_writeback')).toEqual([]);
    for (const waiter of ['p', 'q']) expect(system.say(waiter, 'page', 'folio.wait_writeback')).toEqual([]);
    system.say('p', 'page', 'folio.end_writeback');
    expect([system.heard('p'), system.heard('q')]).toEqual([ended, ended]);
    for (const message of ['folio.start_writeback', 'folio.end_writeback']) system.say('q', 'page', message);
    expect([system.heard('p'), system.heard('q')]).toEqual([ended, ended]);
  });
});

describe.each([0, 1])('a page that is idle at %i', (base) => {
  test('is idle when nobody but its mappings refers to it', () => {
    const isIdle = (counts: Counts): unknown => rig({ idle: base, ...counts }).say('p', 'page', 'page.read')[0]?.idle;
    expect(isIdle({ refcount: base })).toBe(true);
    expect(isIdle({ refcount: base + 2, mapcount: 2 })).toBe(true);
    expect(isIdle({ refcount: base + 1 })).toBe(false);
    expect(isIdle({ refcount: base + 2, mapcount: 1 })).toBe(false);
  });

  test('wakes who waits at once when it is idle already', () => {
    expect(rig({ idle: base, refcount: base }).say('p', 'page', 'folio.wait_idle')).toEqual(idle);
  });

  test('wakes everybody who waits with the put that makes it idle, and nobody later', () => {
    const system = rig({ idle: base, refcount: base + 2 });
    expect(system.say('p', 'page', 'folio.wait_idle')).toEqual([]);
    expect(system.say('q', 'page', 'folio.wait_idle')).toEqual([]);
    system.say('q', 'page', 'folio.put');
    expect(system.heard('p')).toEqual([]);
    expect(system.say('q', 'page', 'folio.put')).toEqual([...idle, { type: 'folio.put', refcount: base }]);
    expect(system.heard('p')).toEqual(idle);
    system.say('q', 'page', 'folio.get');
    system.say('q', 'page', 'folio.put');
    expect(system.heard('p')).toEqual(idle);
  });

  test('waits for a pin even while it is mapped, and then not for the mapping', () => {
    const system = rig({ idle: base, refcount: base + 2, mapcount: 1 });
    expect(system.say('p', 'page', 'folio.wait_idle')).toEqual([]);
    system.say('q', 'page', 'folio.put');
    expect(system.heard('p')).toEqual(idle);
  });

  test('of a mapping that goes, the map count goes first: between the two it is busy', () => {
    const system = rig({ idle: base, refcount: base + 1, mapcount: 1 });
    system.say('q', 'page', 'folio.remove_rmap');
    expect(system.say('p', 'page', 'folio.wait_idle')).toEqual([]);
    system.say('q', 'page', 'folio.put');
    expect(system.heard('p')).toEqual(idle);
  });
});

describe('a page of ZONE_DEVICE', () => {
  test('is not free without a reference: it can be taken and used', () => {
    const system = rig({ refcount: 1 });
    system.say('p', 'page', 'folio.put');
    expect(system.at('page')).toBe('present');
    system.say('p', 'page', { type: 'memory.access', write: true });
    expect(system.say('p', 'page', 'folio.get')).toEqual([{ type: 'folio.got', refcount: 1 }]);
    expect(system.bugs()).toEqual([]);
  });

  test('takes no note of stores: what is lost of a device is not asked for', () => {
    const system = rig({ refcount: 1 });
    system.say('p', 'page', { type: 'memory.access', write: true });
    expect(system.context('page').written).toBe(false);
  });
});

describe('a page of ZONE_NORMAL', () => {
  const normal = (refcount: number, mapcount = 0): Rig => rig({ zone: 'normal', refcount, mapcount });
  const dma = (write: boolean): Message => ({ type: 'memory.access', write });

  test('is free from the start without a reference, and not with one', () => {
    expect([normal(0).at('page'), normal(1).at('page')]).toEqual(['free', 'present']);
  });

  test('Z14: is free when its last reference goes, and not before', () => {
    const system = normal(2);
    expect(system.say('p', 'page', 'folio.put')).toEqual([{ type: 'folio.put', refcount: 1 }]);
    expect(system.at('page')).toBe('present');
    expect(system.say('p', 'page', 'folio.put')).toEqual([{ type: 'folio.put', refcount: 0 }]);
    expect([system.at('page'), system.bugs()]).toEqual(['free', []]);
  });

  test('notes that it was stored to, not that it was loaded from; the folio is not dirty by that', () => {
    const system = normal(1);
    expect(system.say('p', 'page', dma(false))).toEqual([]);
    expect(system.context('page').written).toBe(false);
    expect(system.say('p', 'page', dma(true))).toEqual([]);
    expect(system.context('page')).toMatchObject({ written: true, dirty: false });
    system.say('p', 'page', dma(false));
    expect([system.context('page').written, system.bugs()]).toEqual([true, []]);
  });

  describe('that is free', () => {
    const free = (): Rig => {
      const system = normal(1);
      system.say('p', 'page', 'folio.put');
      return system;
    };

    test('keeps its struct page', () => {
      const system = free();
      expect(system.say('p', 'page', 'page.head')).toEqual([{ type: 'page.head', head: 3 }]);
      expect(system.say('p', 'page', 'page.read')).toEqual([{ type: 'page.counts', refcount: 0, mapcount: 0, idle: true }]);
      expect([system.at('page'), system.bugs()]).toEqual(['free', []]);
    });

    test('G8b: gives no reference to a try-get', () => {
      const system = free();
      expect(system.say('p', 'page', 'folio.try_get')).toEqual([{ type: 'folio.frozen' }]);
      expect([system.at('page'), counts(system), system.bugs()]).toEqual(['free', { refcount: 0, pincount: 0, mapcount: 0 }, []]);
    });

    test('is handed out with one reference, unmapped, clean and unwritten', () => {
      const system = normal(1, 1);
      system.say('p', 'page', dma(true));
      for (const message of ['folio.mark_dirty', 'folio.put', 'folio.prep_new']) system.say('p', 'page', message);
      expect(system.context('page')).toMatchObject({ refcount: 1, mapcount: 0, dirty: false, written: false });
      system.say('p', 'page', dma(true));
      expect(system.say('p', 'page', 'folio.try_get')).toEqual([{ type: 'folio.got', refcount: 2 }]);
      expect([system.at('page'), system.bugs()]).toEqual(['present', []]);
    });

    test('is handed out from the start as well', () => {
      const system = normal(0);
      expect(system.say('p', 'page', 'folio.prep_new')).toEqual([]);
      expect([system.at('page'), counts(system)]).toEqual(['present', { refcount: 1, pincount: 0, mapcount: 0 }]);
    });

    test.each(['folio.put', 'folio.ref_dec'])('I6: %s of what nobody holds is a bug', (message) => {
      const system = free();
      expect(system.say('p', 'page', message)).toEqual([]);
      expect(system.bugs()).toEqual(['BUG: page reference count goes below zero']);
    });

    test.each<Message>([
      { type: 'folio.get' },
      { type: 'folio.ref_inc' },
      { type: 'folio.pin' },
      { type: 'folio.unpin' },
      { type: 'folio.add_rmap' },
      { type: 'folio.remove_rmap' },
      { type: 'folio.mark_dirty' },
      { type: 'folio.clean' },
      { type: 'folio.set_exclusive', exclusive: false },
      { type: 'folio.set_mapping', mapping: null },
      { type: 'folio.protect', record: 'record3', stable: true },
      { type: 'folio.start_writeback' },
      { type: 'folio.free' },
      { type: 'memory.read', sample: false },
    ])('UAF: $type needs a reference', (message) => {
      const system = free();
      expect(system.say('p', 'page', message)).toEqual([]);
      expect(system.bugs()).toEqual(['BUG: struct page of a free page used as if a reference were held']);
    });

    test.each([0, 1])('R6: is not frozen, whatever is expected (%i): another has it', (expected) => {
      const system = free();
      expect(system.say('p', 'page', { type: 'folio.freeze', expected })).toEqual([{ type: 'folio.ref_freeze', result: 'busy' }]);
      expect([system.at('page'), system.bugs()]).toEqual(['free', []]);
    });

    test.each([true, false])('I3: who accesses its memory has a stale translation (store: %s)', (write) => {
      const system = free();
      system.say('p', 'page', dma(write));
      expect(system.bugs()).toEqual(['BUG: a stale translation leads to a page that was freed']);
    });
  });
});

describe('I5: a device between the load and the store of an atomic', () => {
  const bug = ['BUG: memory accessed between load and store of a device atomic'];
  const half = (atomic: 'load' | 'store'): Message => ({ type: 'memory.access', ...accessOf(atomic === 'store'), atomic });
  /** `q` is the MMU of the device. */
  const loaded = (counts: Partial<Counts> = {}): Rig => {
    const system = rig({ refcount: 1, zone: 'normal', ...counts });
    expect(system.context('page').atomic).toBeNull();
    expect(system.say('q', 'page', half('load'))).toHaveLength(1);
    expect(system.context('page').atomic).toBe('q');
    return system;
  };

  test.each<Partial<Counts>>([{}, { zone: 'device' }, { content: 'cell.v0', judged: 'cell.v0' }])('is alone, and done when it has stored (%j)', (counts) => {
    const system = loaded(counts);
    expect(system.say('q', 'page', half('store'))).toEqual([value(true, counts.judged ?? null)]);
    expect([system.context('page').atomic, system.at('page'), system.bugs()]).toEqual([null, 'present', []]);
    system.say('p', 'page', access(true));
    expect(system.bugs()).toEqual([]);
  });

  test.each<Message>([
    access(false),
    access(true),
    { type: 'memory.access', write: true },
    half('load'),
    { type: 'memory.read', sample: false },
    { type: 'memory.write', value: 'zero' },
  ])('is not alone if anybody else touches the memory (%j)', (touch) => {
    const system = loaded();
    system.say('p', 'page', touch);
    expect(system.bugs()).toEqual(bug);
  });

  test('who comes between is answered all the same', () => {
    expect(loaded({ content: 'five', judged: 'five' }).say('p', 'page', access(false))).toEqual([value(false)]);
    expect(loaded({ content: 'five' }).say('p', 'page', { type: 'memory.read', sample: false })).toEqual([{ type: 'memory.content', value: 'five' }]);
  });

  test('what the device itself does is its own affair', () => {
    const system = loaded();
    expect(system.say('q', 'page', access(true))).toEqual([value(true)]);
    expect([system.bugs(), system.context('page').atomic]).toEqual([[], 'q']);
  });

  test('may store when the page is free by now: that is judged as any access is', () => {
    const system = loaded({ content: 'five', judged: 'five' });
    system.say('p', 'page', 'folio.free');
    system.say('q', 'page', half('store'));
    expect([system.bugs(), system.context('page').atomic, system.heard('judge').length]).toEqual([[], null, 2]);
  });

  test('memory that is only known about may be looked at: counts are no memory', () => {
    const system = loaded();
    expect(system.say('p', 'page', 'page.read')).toEqual([{ type: 'page.counts', refcount: 1, mapcount: 0, idle: false }]);
    expect(system.bugs()).toEqual([]);
  });
});

describe('device-private memory', () => {
  /** `q` is the MMU of the device. */
  const page = (refcount = 1): Rig => rig({ refcount, zone: 'device', content: 'five', device: 'q' });
  const bug = ['BUG: memory of a device accessed, which nobody else can reach'];

  test('its device reaches it', () => {
    const system = page();
    expect(system.say('q', 'page', access(true))).toEqual([value(true)]);
    expect(system.bugs()).toEqual([]);
  });

  test('the kernel copies it by an engine of the device', () => {
    const system = page();
    expect(system.say('p', 'page', { type: 'memory.read', sample: true, device: 'q' })).toEqual([{ type: 'memory.content', value: 'five' }]);
    system.say('p', 'page', { type: 'memory.write', value: 'six', device: 'q' });
    expect([system.context('page').content, system.bugs()]).toEqual(['six', []]);
  });

  test.each<[Message, Message[]]>([
    [access(false), [value(false)]],
    [{ type: 'memory.read', sample: false }, [{ type: 'memory.content', value: 'five' }]],
    [{ type: 'memory.read', sample: false, device: 'gpu1' }, [{ type: 'memory.content', value: 'five' }]],
    [{ type: 'memory.write', value: 'zero' }, []],
  ])('nobody else does (%j)', (touch, heard) => {
    const system = page();
    // Memory answers the MMU, here `p`.
    expect(system.say('p', 'page', touch)).toEqual(heard);
    expect(system.bugs()).toEqual(bug);
  });

  test('it is free when its last reference goes, and is handed out again', () => {
    const system = page();
    expect(system.say('p', 'page', 'folio.put')).toEqual([{ type: 'folio.put', refcount: 0 }]);
    expect([system.at('page'), page(0).at('page')]).toEqual(['free', 'free']);
    system.say('p', 'page', 'folio.prep_new');
    expect([system.at('page'), system.context('page').refcount]).toEqual(['present', 1]);
    system.say('p', 'page', 'folio.put');
    system.say('q', 'page', access(false));
    expect(system.bugs()).toEqual(['BUG: a stale translation leads to a page that was freed']);
  });
});

describe('a page that was removed', () => {
  const removed = (): Rig => {
    const system = rig({ refcount: 1 });
    expect(system.say('p', 'page', 'page.remove')).toEqual([]);
    expect(system.bugs()).toEqual([]);
    return system;
  };

  test.each([
    'page.head',
    'page.read',
    'folio.try_get',
    'folio.get',
    'folio.put',
    'folio.pin',
    'folio.unpin',
    'folio.add_rmap',
    'folio.remove_rmap',
    'folio.mark_dirty',
    'folio.wait_idle',
  ])('I1: %s touches a struct page that is not there', (message) => {
    const system = removed();
    expect(system.say('p', 'page', message)).toEqual([]);
    expect(system.bugs()).toEqual(['BUG: struct page accessed after remove_pages']);
  });

  test.each<[string, Message]>([
    ['struct page', { type: 'folio.ref_inc' }],
    ['struct page', { type: 'folio.ref_dec' }],
    ['struct page', { type: 'folio.clean' }],
    ['struct page', { type: 'folio.set_exclusive', exclusive: true }],
    ['struct page', { type: 'folio.freeze', expected: 1 }],
    ['struct page', { type: 'folio.free' }],
    ['device memory', { type: 'memory.read', sample: false }],
    ['device memory', { type: 'memory.write', value: 'zero' }],
  ])('I1, I2: nor may %s be touched by any other message (%j)', (what, message) => {
    const system = removed();
    expect(system.say('p', 'page', message)).toEqual([]);
    expect(system.bugs()).toEqual([`BUG: ${what} accessed after remove_pages`]);
  });

  test.each([true, false])('I2: nor is its memory (store: %s)', (write) => {
    const system = removed();
    system.say('p', 'page', { type: 'memory.access', write } as Message);
    expect(system.bugs()).toEqual(['BUG: device memory accessed after remove_pages']);
  });
});

test('every transition was taken, but for those that folio-compound.test.ts takes', () => {
  expect(untaken(folio).filter((transition) => !isOfCompound(transition))).toEqual([]);
});
