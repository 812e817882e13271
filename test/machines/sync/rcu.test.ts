import fc from 'fast-check';
import { rcu } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = (): Rig => new Rig({ rcu: actor(rcu, { choices: ['grace_period'] }), p: probe(), q: probe(), r: probe(), callback: answers() });
const over = [{ type: 'rcu.callback' }];
const ends = (system: Rig): boolean => system.can('rcu', 'grace_period');

test('without readers a grace period can end as soon as it is asked for, and not before', () => {
  const system = rig();
  expect(ends(system)).toBe(false);
  expect(system.say('p', 'rcu', 'synchronize_rcu')).toEqual([]);
  expect(ends(system)).toBe(true);
  system.take('rcu', 'grace_period');
  expect(system.heard('p')).toEqual(over);
  expect(ends(system)).toBe(false);
});

test('a grace period waits for the sections that existed', () => {
  const system = rig();
  system.say('q', 'rcu', 'rcu.read_lock');
  system.say('r', 'rcu', 'rcu.read_lock');
  system.say('p', 'rcu', 'synchronize_rcu');
  expect(ends(system)).toBe(false);
  system.say('q', 'rcu', 'rcu.read_unlock');
  expect(ends(system)).toBe(false);
  system.say('r', 'rcu', 'rcu.read_unlock');
  expect(ends(system)).toBe(true);
});

test('it does not wait for sections that begin later', () => {
  const system = rig();
  system.say('p', 'rcu', 'synchronize_rcu');
  system.say('q', 'rcu', 'rcu.read_lock');
  expect(ends(system)).toBe(true);
});

test('nor for a section of the same reader that begins after the one it waited for', () => {
  const system = rig();
  system.say('q', 'rcu', 'rcu.read_lock');
  system.say('p', 'rcu', 'synchronize_rcu');
  system.say('q', 'rcu', 'rcu.read_unlock');
  system.say('q', 'rcu', 'rcu.read_lock');
  expect(ends(system)).toBe(true);
});

test('a nested section ends with its outermost part', () => {
  const system = rig();
  system.say('q', 'rcu', 'rcu.read_lock');
  system.say('q', 'rcu', 'rcu.read_lock');
  system.say('p', 'rcu', 'synchronize_rcu');
  system.say('q', 'rcu', 'rcu.read_unlock');
  expect(ends(system)).toBe(false);
  expect(system.context('rcu').readers).toEqual({ q: 1 });
  system.say('q', 'rcu', 'rcu.read_unlock');
  expect(ends(system)).toBe(true);
  expect(system.context('rcu')).toEqual({ readers: {}, pending: [{ to: 'p', waitsFor: [] }] });
});

test('who waits inside a section waits for itself', () => {
  const system = rig();
  system.say('p', 'rcu', 'rcu.read_lock');
  system.say('p', 'rcu', 'synchronize_rcu');
  expect(ends(system)).toBe(false);
});

test('call_rcu invokes the callback, synchronize_rcu wakes the caller', () => {
  const system = rig();
  system.say('p', 'rcu', { type: 'call_rcu', callback: 'callback' });
  system.say('p', 'rcu', 'synchronize_rcu');
  system.take('rcu', 'grace_period');
  expect([system.heard('callback'), system.heard('p')]).toEqual([over, []]);
  system.take('rcu', 'grace_period');
  expect([system.heard('callback'), system.heard('p')]).toEqual([over, over]);
});

test('what was asked for earlier is over first', () => {
  const system = rig();
  system.say('q', 'rcu', 'rcu.read_lock');
  system.say('p', 'rcu', 'synchronize_rcu');
  system.say('q', 'rcu', 'rcu.read_unlock');
  system.say('q', 'rcu', 'rcu.read_lock');
  system.say('r', 'rcu', 'synchronize_rcu');
  system.take('rcu', 'grace_period');
  expect([system.heard('p'), system.heard('r')]).toEqual([over, []]);
  expect(ends(system)).toBe(false);
});

test.each(['rcu.read_lock', 'rcu.read_unlock'])('rcu_read_unlock outside a section is a bug (%s by another)', (other) => {
  const system = rig();
  if (other === 'rcu.read_lock') system.say('q', 'rcu', other);
  system.say('p', 'rcu', 'rcu.read_unlock');
  expect(system.bugs()).toEqual(['BUG: rcu_read_unlock without rcu_read_lock']);
});

test('C1: an end that does not wait for readers is that of what was asked for first', () => {
  const hasty = rcu.provide({ guards: { readersDone: ({ context }) => context.pending.length > 0 } });
  const system = new Rig({ rcu: actor(hasty, { choices: ['grace_period'] }), p: probe(), q: probe() });
  system.say('q', 'rcu', 'rcu.read_lock');
  system.say('p', 'rcu', 'synchronize_rcu');
  system.say('q', 'rcu', 'synchronize_rcu');
  system.take('rcu', 'grace_period');
  expect([system.heard('p'), system.heard('q'), system.context('rcu').pending]).toEqual([over, [], [{ to: 'q', waitsFor: ['q'] }]]);
});

/** What RCU promises, said in another way: sections are numbered, and whoever waits remembers those that were open. */
class Oracle {
  private sections = 0;
  private readonly open = new Map<string, { section: number; depth: number }>();
  private waiting: { who: string; sections: number[] }[] = [];

  lock(who: string): void {
    const section = this.open.get(who);
    if (section) section.depth++;
    else this.open.set(who, { section: this.sections++, depth: 1 });
  }

  unlock(who: string): void {
    const section = this.open.get(who);
    if (section && --section.depth === 0) this.open.delete(who);
  }

  inside(who: string): boolean {
    return this.open.has(who);
  }

  ask(who: string): void {
    this.waiting.push({ who, sections: [...this.open.values()].map(({ section }) => section) });
  }

  /** Who may be told that its grace period is over. */
  ready(): string[] {
    const open = [...this.open.values()].map(({ section }) => section);
    return this.waiting.filter(({ sections }) => !sections.some((section) => open.includes(section))).map(({ who }) => who);
  }

  tell(who: string): void {
    this.waiting.splice(
      this.waiting.findIndex((entry) => entry.who === who && this.ready().includes(who)),
      1,
    );
  }
}

test('whatever readers and waiters do, grace periods end when they may, and only then', () => {
  const names = ['p', 'q', 'r'];
  const act = fc.record({ who: fc.constantFrom(...names), what: fc.constantFrom('rcu.read_lock', 'rcu.read_unlock', 'synchronize_rcu', 'grace_period') });
  fc.assert(
    fc.property(fc.array(act, { maxLength: 25 }), (acts) => {
      const [system, oracle] = [rig(), new Oracle()];
      for (const { who, what } of acts) {
        expect(ends(system)).toBe(oracle.ready().length > 0);
        if (what === 'grace_period' && ends(system)) {
          const before = names.map((name) => system.heard(name).length);
          system.take('rcu', what);
          const [told] = names.filter((name, index) => system.heard(name).length > (before[index] as number));
          expect(oracle.ready()).toContain(told);
          oracle.tell(told as string);
        }
        if (what === 'rcu.read_lock') oracle.lock(who);
        if (what === 'rcu.read_unlock' && oracle.inside(who)) {
          oracle.unlock(who);
          system.say(who, 'rcu', what);
        }
        if (what === 'synchronize_rcu') oracle.ask(who);
        if (what === 'rcu.read_lock' || what === 'synchronize_rcu') system.say(who, 'rcu', what);
      }
      expect(system.bugs()).toEqual([]);
      system.live.stop();
    }),
  );
});

test('every transition was taken', () => {
  expect(untaken(rcu)).toEqual([]);
});
