import fc from 'fast-check';
import { mmuNotifier } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { type Message, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = (machine = mmuNotifier): Rig => new Rig({ mn: actor(machine), p: probe(), q: probe(), r: probe() });
const tell = (system: Rig, who: string, type: string, fields: object = {}): Message[] => system.say(who, 'mn', { type: `mn.${type}`, ...fields });
const insert = (system: Rig, sub = 'a', vpns: readonly number[] = [1], who = 'p'): Message[] => tell(system, who, 'insert', { sub, driver: 'gpu', vpns });
const remove = (system: Rig, sub = 'a', who = 'p'): Message[] => tell(system, who, 'remove', { sub });
const readBegin = (system: Rig, sub = 'a', who = 'p'): Message[] => tell(system, who, 'read_begin', { sub });
const readRetry = (system: Rig, sub = 'a', who = 'p'): unknown => tell(system, who, 'read_retry', { sub })[0]?.retry;
const start = (system: Rig, vpns: readonly number[] = [1], who = 'q'): Message[] => tell(system, who, 'invalidate_start', { vpns });
const setSeq = (system: Rig, sub = 'a', who = 'q'): Message[] => tell(system, who, 'set_seq', { sub });
const end = (system: Rig, who = 'q'): Message[] => tell(system, who, 'invalidate_end');
const unlock = (system: Rig, who = 'q'): Message[] => tell(system, who, 'inv_end_unlock');
const endAll = (system: Rig): Rig => {
  expect(end(system)).toEqual(last);
  expect(unlock(system)).toEqual([{ type: 'mn.unlocked' }]);
  return system;
};
const where = (system: Rig): Record<string, string> =>
  Object.fromEntries(system.context('mn').subs.map((sub: { sub: string; where: string }) => [sub.sub, sub.where]));
const seq = (system: Rig): unknown => {
  const { active, odd } = system.context('mn');
  return { active, odd };
};

const inserted = [{ type: 'mn.inserted' }];
const read = (invalidating: boolean): Message[] => [{ type: 'mn.read', invalidating }];
const released = [{ type: 'mn.released' }];
const removed = (wait: boolean): Message[] => [{ type: 'mn.removed', wait }];
const invalidating = (...subs: string[]): Message[] => [{ type: 'mn.invalidating', subs: subs.map((sub) => ({ sub, driver: 'gpu' })) }];
const more = [{ type: 'mn.ended', released: false }];
const last = [{ type: 'mn.ended', released: true }];
const clean = { active: 0, odd: false, subs: [], waiters: [], spinning: [] };

describe('insert', () => {
  test('while nothing is invalidated: into the tree, with a sequence number that is not the current one', () => {
    const system = rig();
    expect([insert(system), where(system), seq(system), readBegin(system)]).toEqual([inserted, { a: 'tree' }, { active: 0, odd: false }, read(false)]);
  });

  test('while a range that nobody monitors is invalidated: into the tree, and from here on it is monitored', () => {
    const system = rig();
    start(system, [7]);
    expect([insert(system), where(system), seq(system), readBegin(system)]).toEqual([inserted, { a: 'tree' }, { active: 1, odd: true }, read(true)]);
  });

  test('row N3: with an old sequence number, who reads does not wait for the invalidation', () => {
    const system = rig(mmuNotifier.provide({ guards: { mayBeAffected: () => false } }));
    start(system);
    expect([insert(system), where(system), seq(system), readBegin(system)]).toEqual([inserted, { a: 'tree' }, { active: 1, odd: false }, read(false)]);
    expect([end(system), readRetry(system)]).toEqual([more, false]);
  });

  test('while a monitored range is invalidated: put off to the end, and who reads waits', () => {
    const system = rig();
    insert(system, 'b');
    start(system);
    expect([insert(system), where(system), readBegin(system)]).toEqual([inserted, { b: 'tree', a: 'deferred_insert' }, read(true)]);
    expect(start(system)).toEqual(invalidating('b'));
    end(system);
    expect(where(endAll(system))).toEqual({ b: 'tree', a: 'tree' });
    expect([start(system), readBegin(system)]).toEqual([invalidating('b', 'a'), read(false)]);
  });
});

describe('remove', () => {
  test('while nothing is invalidated: out at once, and what is freed then is nobody’s', () => {
    const system = rig();
    insert(system);
    expect([remove(system), system.context('mn')]).toEqual([removed(false), clean]);
    expect([tell(system, 'p', 'free', { sub: 'a' }), start(system), system.bugs()]).toEqual([[], invalidating(), []]);
  });

  test('while a range that nobody monitors is invalidated: out at once', () => {
    const system = rig();
    insert(system);
    start(system, [7]);
    expect([remove(system), where(system)]).toEqual([removed(false), {}]);
  });

  test('while its range is invalidated: put off to the end, and callbacks are called until then', () => {
    const system = rig();
    insert(system);
    start(system);
    expect([remove(system), where(system), start(system, [1], 'r')]).toEqual([removed(true), { a: 'deferred_remove' }, invalidating('a')]);
    end(system);
    expect(where(endAll(system))).toEqual({});
  });

  test('of an insert that was put off: dropped at once', () => {
    const system = rig();
    insert(system, 'b');
    start(system);
    insert(system);
    expect([remove(system), where(system)]).toEqual([removed(false), { b: 'tree' }]);
  });
});

describe('invalidation', () => {
  test('of a range that nobody monitors changes no sequence number', () => {
    const system = rig();
    insert(system);
    readBegin(system);
    expect([start(system, [2, 3]), seq(system), end(system), readRetry(system)]).toEqual([invalidating(), { active: 1, odd: false }, more, false]);
  });

  test('names the subscriptions that overlap, in the order of insertion', () => {
    const system = rig();
    for (const [sub, vpns] of [
      ['c', [3, 4]],
      ['a', [1]],
      ['b', [2, 3]],
    ] as const)
      insert(system, sub, vpns);
    expect(start(system, [3])).toEqual(invalidating('c', 'b'));
  });

  test('makes who has read before read again, from the moment that the callback stores its number', () => {
    const system = rig();
    insert(system);
    for (const who of ['r', 'p']) expect(readBegin(system, 'a', who)).toEqual(read(false));
    expect(system.context('mn').subs[0].readers).toEqual(['p', 'r']);
    start(system);
    expect(readRetry(system, 'a', 'r')).toBe(false);
    setSeq(system);
    expect([readRetry(system), system.context('mn').subs[0].readers]).toEqual([true, []]);
  });

  test('that does not store its number passes unnoticed', () => {
    const system = rig();
    insert(system);
    readBegin(system);
    start(system);
    endAll(system);
    expect(readRetry(system)).toBe(false);
  });

  test('that stores the number of one under way changes nothing: who has read that one is up to date', () => {
    const system = rig();
    insert(system);
    start(system);
    setSeq(system);
    expect(readBegin(system)).toEqual(read(true));
    start(system, [1], 'r');
    setSeq(system, 'a', 'r');
    expect(system.context('mn').subs[0].readers).toEqual(['p']);
  });

  test('is over for readers when all are, of whatever range', () => {
    const system = rig();
    insert(system);
    start(system);
    start(system, [7], 'r');
    expect([end(system), seq(system), end(system, 'r'), seq(system)]).toEqual([more, { active: 1, odd: true }, last, { active: 0, odd: false }]);
  });

  test('may not end before it begins', () => {
    const system = rig();
    end(system);
    expect(system.bugs()).toEqual(['BUG: an invalidation ends that has not begun']);
  });
});

describe('waiting', () => {
  test('a reader of the current number sleeps until the end has unlocked, and is then up to date', () => {
    const system = rig();
    insert(system);
    start(system);
    setSeq(system);
    expect([readBegin(system), tell(system, 'p', 'wait')]).toEqual([read(true), []]);
    end(system);
    expect(system.heard('p').slice(-1)).toEqual(read(true));
    unlock(system);
    expect([system.heard('p').slice(-1), readRetry(system), system.context('mn').waiters]).toEqual([released, false, []]);
  });

  test('a reader that comes too late for that does not sleep', () => {
    const system = rig();
    insert(system);
    start(system);
    setSeq(system);
    readBegin(system);
    endAll(system);
    expect(tell(system, 'p', 'wait')).toEqual(released);
  });

  test('a reader looks without the lock: the number has changed as soon as it is even', () => {
    const system = rig();
    insert(system);
    start(system);
    setSeq(system);
    readBegin(system);
    end(system);
    expect([tell(system, 'p', 'wait'), system.at('mn')]).toEqual([released, 'mn_itree_inv_end']);
  });

  test('who removes sleeps until its subscription is out of the tree', () => {
    const system = rig();
    insert(system);
    start(system);
    remove(system);
    expect(tell(system, 'p', 'wait')).toEqual([]);
    end(system);
    unlock(system);
    expect([system.heard('p').slice(-1), system.context('mn')]).toEqual([released, clean]);
    tell(system, 'p', 'free', { sub: 'a' });
    expect([start(system), system.bugs()]).toEqual([invalidating(), []]);
  });

  test('who removes looks under the lock', () => {
    const system = rig();
    insert(system);
    start(system);
    remove(system);
    end(system);
    expect(tell(system, 'p', 'wait')).toEqual([]);
    unlock(system);
    expect(system.heard('p').slice(-1)).toEqual(released);
  });

  test('all who sleep are woken', () => {
    const system = rig();
    insert(system);
    start(system);
    setSeq(system);
    for (const who of ['r', 'p']) readBegin(system, 'a', who);
    for (const who of ['r', 'p']) tell(system, who, 'wait');
    expect(system.context('mn').waiters).toEqual(['p', 'r']);
    endAll(system);
    expect([system.heard('p').slice(-1), system.heard('r').slice(-1)]).toEqual([released, released]);
  });
});

describe('row N4: a look at the sequence number without the lock', () => {
  const deferred = (): Rig => {
    const system = rig();
    insert(system);
    start(system);
    remove(system);
    return system;
  };
  const look = (system: Rig): unknown => tell(system, 'p', 'seq_released')[0]?.released;

  test('says no while the invalidation is under way, and yes when it has ended', () => {
    const system = deferred();
    expect(look(system)).toBe(false);
    endAll(system);
    expect(look(system)).toBe(true);
    insert(system, 'b');
    start(system);
    expect(look(system)).toBe(true);
  });

  test('says yes before the subscription is out: what is freed then is used', () => {
    const system = deferred();
    end(system);
    expect(look(system)).toBe(true);
    tell(system, 'p', 'free', { sub: 'a' });
    expect(unlock(system)).toEqual([{ type: 'mn.unlocked' }]);
    expect(system.bugs()).toEqual(['BUG: use after free of a subscription']);
  });

  test('who frees without any look is found by the next invalidation', () => {
    const system = deferred();
    tell(system, 'p', 'free', { sub: 'a' });
    expect(system.bugs()).toEqual([]);
    start(system, [9], 'r');
    expect(system.bugs()).toEqual(['BUG: use after free of a subscription']);
  });
});

describe('while the end holds the lock', () => {
  const ending = (): Rig => {
    const system = rig();
    insert(system, 'b');
    start(system);
    insert(system, 'a', [1], 'r');
    end(system);
    return system;
  };

  test('others spin, and are served in their order by a tree that is up to date', () => {
    const system = ending();
    expect([start(system, [1], 'r'), readBegin(system, 'b'), system.at('mn')]).toEqual([[], [], 'mn_itree_inv_end']);
    unlock(system);
    expect([system.heard('r').slice(-1), system.heard('p').slice(-1)]).toEqual([invalidating('b', 'a'), read(false)]);
    expect([system.at('mn'), seq(system), system.context('mn').spinning]).toEqual(['unlocked', { active: 1, odd: true }, []]);
  });

  test('an insert and a remove spin too', () => {
    const system = ending();
    expect([insert(system, 'c'), remove(system, 'b', 'r')]).toEqual([[], []]);
    unlock(system);
    expect([system.heard('p').slice(-1), system.heard('r').slice(-1), where(system)]).toEqual([inserted, removed(false), { a: 'tree', c: 'tree' }]);
  });

  test('who spins asks once, however long', () => {
    const system = ending();
    for (let times = 0; times < 3; times++) expect(start(system, [1], 'r')).toEqual([]);
    expect(system.context('mn').spinning).toHaveLength(1);
    unlock(system);
    expect([seq(system), system.heard('r').slice(-1)]).toEqual([{ active: 1, odd: true }, invalidating('b', 'a')]);
  });

  test('a check and its forgetting take no lock', () => {
    const system = rig();
    insert(system);
    readBegin(system);
    readBegin(system, 'a', 'r');
    start(system);
    end(system);
    expect([system.at('mn'), readRetry(system)]).toEqual(['mn_itree_inv_end', false]);
    tell(system, 'r', 'read_forget', { sub: 'a' });
    expect([system.context('mn').subs[0].readers, readRetry(system, 'a', 'r')]).toEqual([[], true]);
  });
});

test('a check is made once: the reader is not known any more', () => {
  const system = rig();
  insert(system);
  readBegin(system);
  expect([readRetry(system), readRetry(system)]).toEqual([false, true]);
});

interface Operation {
  what: string;
  sub: string;
  vpns: readonly number[];
  who: string;
}

/** struct mmu_notifier_subscriptions with numbers, to compare with; the lock is held for one call at a time. */
class Numbers {
  seq = 2;
  active = 0;
  readonly subs = new Map<string, { seq: number; vpns: readonly number[]; where: string }>();
  /** What each reader has read. */
  readonly begun = new Map<string, number>();
  private get odd(): boolean {
    return this.seq % 2 === 1;
  }
  insert(sub: string, vpns: readonly number[]): Message[] {
    const where = this.odd ? 'deferred_insert' : 'tree';
    if (this.active > 0 && !this.odd) this.seq++;
    this.subs.set(sub, { vpns, where, seq: this.active > 0 ? this.seq : this.seq - 1 });
    return inserted;
  }
  remove(sub: string): Message[] {
    const found = this.subs.get(sub);
    if (found?.where === 'tree' && this.odd) {
      found.where = 'deferred_remove';
      return removed(true);
    }
    this.subs.delete(sub);
    return removed(false);
  }
  readBegin(sub: string, who: string): Message[] {
    const number = this.subs.get(sub)?.seq as number;
    this.begun.set(`${who}/${sub}`, number);
    return read(number === this.seq);
  }
  readRetry(sub: string, who: string): boolean {
    return this.begun.get(`${who}/${sub}`) !== this.subs.get(sub)?.seq;
  }
  start(vpns: readonly number[]): Message[] {
    this.active++;
    const hit = [...this.subs].filter(([, sub]) => sub.where !== 'deferred_insert' && sub.vpns.some((vpn) => vpns.includes(vpn)));
    if (hit.length > 0 && !this.odd) this.seq++;
    return invalidating(...hit.map(([name]) => name));
  }
  end(): Message[] {
    this.active--;
    if (this.active > 0 || !this.odd) return more;
    this.seq++;
    for (const [name, sub] of this.subs) {
      if (sub.where === 'deferred_remove') this.subs.delete(name);
      else sub.where = 'tree';
    }
    return last;
  }
}

test('it answers as the one with numbers does, whatever is done to it', () => {
  const what = fc.constantFrom('insert', 'remove', 'begin', 'begin', 'retry', 'start', 'set', 'set', 'end', 'end');
  const operation = fc.record({ what, sub: fc.constantFrom('a', 'b'), vpns: fc.constantFrom([1], [2], [1, 2], [9]), who: fc.constantFrom('p', 'r') });
  const seen: Record<string, number> = {};
  const run = (operations: readonly Operation[]): void => {
    const system = rig();
    const numbers = new Numbers();
    /** Subscriptions whose callback an invalidation under way calls, with the number that it was given. */
    const called = new Map<string, number>();
    for (const { what, sub, vpns, who } of operations) {
      const known = numbers.subs.get(sub);
      const live = known !== undefined && known.where !== 'deferred_remove';
      const both = (own: unknown, other: unknown): void => {
        const key = `${what} ${JSON.stringify(own)}`;
        seen[key] = (seen[key] ?? 0) + 1;
        expect(other).toEqual(own);
      };
      if (what === 'insert' && !known) both(numbers.insert(sub, vpns), insert(system, sub, vpns, who));
      if (what === 'remove' && live) both(numbers.remove(sub), remove(system, sub, who));
      if (what === 'begin' && live) both(numbers.readBegin(sub, who), readBegin(system, sub, who));
      if (what === 'retry' && live && numbers.begun.has(`${who}/${sub}`)) {
        both(numbers.readRetry(sub, who), readRetry(system, sub, who));
        numbers.begun.delete(`${who}/${sub}`);
      }
      if (what === 'start' && numbers.active < 2) {
        both(numbers.start(vpns), start(system, vpns));
        for (const [name, { where: place, vpns: range }] of numbers.subs)
          if (place !== 'deferred_insert' && range.some((vpn) => vpns.includes(vpn))) called.set(name, numbers.seq);
      }
      if (what === 'set' && known && called.has(sub)) {
        known.seq = called.get(sub) as number;
        setSeq(system, sub);
      }
      if (what === 'end' && numbers.active > 0) {
        both(numbers.end(), end(system));
        if (numbers.active === 0) called.clear();
        if (system.at('mn') === 'mn_itree_inv_end') unlock(system);
      }
      // Who reads has not removed what it reads.
      for (const key of numbers.begun.keys()) if (!numbers.subs.has(key.slice(2))) numbers.begun.delete(key);
      expect([seq(system), where(system)]).toEqual([
        { active: numbers.active, odd: numbers.seq % 2 === 1 },
        Object.fromEntries([...numbers.subs].map(([key, { where: place }]) => [key, place])),
      ]);
    }
  };
  fc.assert(fc.property(fc.array(operation, { minLength: 80, maxLength: 80 }), run), { numRuns: 100, seed: 20 });
  const answers = [read(true), read(false), true, false, removed(true), removed(false), more, last].map((answer) => JSON.stringify(answer));
  for (const answer of answers) {
    const times = Object.entries(seen).filter(([key]) => key.endsWith(` ${answer}`));
    expect([answer, times.some(([, count]) => count >= 20)]).toEqual([answer, true]);
  }
});

test('every transition was taken', () => {
  expect(untaken(mmuNotifier)).toEqual([]);
});
