import { folio } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { type Message, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

interface Counts {
  refcount: number;
  mapcount?: number;
  idle?: number;
  zone?: 'normal' | 'device';
}
const rig = ({ idle = 0, ...counts }: Counts): Rig => new Rig({ page: actor(folio, { input: { pfn: 3, idle, ...counts } }), p: probe(), q: probe() });
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
    system.say('p', 'page', 'folio.unpin');
    expect([counts(system), system.bugs()]).toEqual([{ refcount: 1, pincount: 0, mapcount: 1 }, []]);
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
  const access = (write: boolean): Message => ({ type: 'memory.access', write });

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
    expect(system.say('p', 'page', access(false))).toEqual([]);
    expect(system.context('page').written).toBe(false);
    expect(system.say('p', 'page', access(true))).toEqual([]);
    expect(system.context('page')).toMatchObject({ written: true, dirty: false });
    system.say('p', 'page', access(false));
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
      system.say('p', 'page', access(true));
      for (const message of ['folio.mark_dirty', 'folio.put', 'folio.prep_new']) system.say('p', 'page', message);
      expect(system.context('page')).toMatchObject({ refcount: 1, mapcount: 0, dirty: false, written: false });
      system.say('p', 'page', access(true));
      expect(system.say('p', 'page', 'folio.try_get')).toEqual([{ type: 'folio.got', refcount: 2 }]);
      expect([system.at('page'), system.bugs()]).toEqual(['present', []]);
    });

    test('is handed out from the start as well', () => {
      const system = normal(0);
      expect(system.say('p', 'page', 'folio.prep_new')).toEqual([]);
      expect([system.at('page'), counts(system)]).toEqual(['present', { refcount: 1, pincount: 0, mapcount: 0 }]);
    });

    test('I6: a put of what nobody holds is a bug', () => {
      const system = free();
      expect(system.say('p', 'page', 'folio.put')).toEqual([]);
      expect(system.bugs()).toEqual(['BUG: page reference count goes below zero']);
    });

    test.each(['folio.get', 'folio.pin', 'folio.unpin', 'folio.add_rmap', 'folio.remove_rmap', 'folio.mark_dirty'])('UAF: %s needs a reference', (message) => {
      const system = free();
      expect(system.say('p', 'page', message)).toEqual([]);
      expect(system.bugs()).toEqual(['BUG: struct page of a free page used as if a reference were held']);
    });

    test.each([true, false])('I3: who accesses its memory has a stale translation (store: %s)', (write) => {
      const system = free();
      system.say('p', 'page', access(write));
      expect(system.bugs()).toEqual(['BUG: a stale translation leads to a page that was freed']);
    });
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

  test.each([true, false])('I2: nor is its memory (store: %s)', (write) => {
    const system = removed();
    system.say('p', 'page', { type: 'memory.access', write } as Message);
    expect(system.bugs()).toEqual(['BUG: device memory accessed after remove_pages']);
  });
});

test('every transition was taken', () => {
  expect(untaken(folio)).toEqual([]);
});
