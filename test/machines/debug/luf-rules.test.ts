import { lufRules, lufRulesExempting, type Pte, presentPte } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { type Message, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = (machine: typeof lufRules = lufRules): Rig =>
  new Rig({ rules: actor(machine), kernel: probe(), p: probe(), q: probe(), file: probe(), g: probe() });
const tell = (system: Rig, by: string, message: Message): Rig => {
  expect(system.say(by, 'rules', message)).toEqual([]);
  return system;
};
/** Frame 4, slot 0 of `file`, mapped at page 0 of `p`: its flush is skipped for these CPUs. */
const skip = (system: Rig, cpus = ['cpu1'], more: object = {}): Rig =>
  tell(system, 'kernel', { type: 'luf.skip', pfn: 4, mapping: 'file', index: 0, places: [{ mm: 'p', vpn: 0 }], cpus, write: false, ...more });
const flushed = (system: Rig, ...cpus: string[]): Rig => tell(system, 'kernel', { type: 'luf.flushed', cpus, task: 'kernel' });
const setPte = (system: Rig, vpn: number, pte: Pte, mm = 'p'): string | null =>
  tell(system, mm, { type: 'luf.pte_set', vpn, pte, by: 'kernel' }).context('rules').warned;
const setSlot = (system: Rig, index: number, mapping = 'file'): string | null =>
  tell(system, mapping, { type: 'luf.slot_set', index, pfn: 5, by: 'kernel' }).context('rules').warned;
const readOnly = presentPte(5, { write: false });

test('it listens only', () => {
  const system = skip(rig());
  setPte(system, 0, readOnly);
  setSlot(system, 0);
  expect(system.said('rules')).toEqual([]);
});

test('without a skipped flush everything may be set', () => {
  const system = rig();
  expect([setPte(system, 0, presentPte(5)), setSlot(system, 0)]).toEqual([null, null]);
});

describe('H1: a pte that was unmapped without a flush', () => {
  test.each<[string, Pte]>([
    ['writable', presentPte(5)],
    ['read-only', readOnly],
    ['of the same frame', presentPte(4, { write: false })],
  ])('may not be rewritten before a flush (%s)', (_, pte) => {
    expect(setPte(skip(rig()), 0, pte)).toBe('H1');
  });

  test.each<Pte>([{ kind: 'none' }, { kind: 'swap', slot: 0 }, { kind: 'migration', pfn: 4, write: false }])(
    'may get an entry that maps nothing (%j)',
    (pte) => {
      expect(setPte(skip(rig()), 0, pte)).toBeNull();
    },
  );

  test('is this one: not the next page, and not that of another address space', () => {
    const system = skip(rig());
    expect([setPte(system, 1, readOnly), setPte(system, 0, readOnly, 'q')]).toEqual([null, null]);
    expect(setPte(system, 0, readOnly)).toBe('H1');
  });

  test('is each that mapped the page', () => {
    const places = [
      { mm: 'p', vpn: 0 },
      { mm: 'q', vpn: 7 },
    ];
    expect(setPte(skip(rig(), ['cpu1'], { places }), 7, readOnly, 'q')).toBe('H1');
    expect(setPte(skip(rig(), ['cpu1'], { places }), 0, readOnly)).toBe('H1');
  });
});

describe('H2: the slot of a page that was unmapped without a flush', () => {
  test('may not get another page before a flush', () => {
    expect(setSlot(skip(rig()), 0)).toBe('H2');
  });

  test('is this one: not the next of the file, and not that of another file', () => {
    const system = skip(rig());
    expect([setSlot(system, 1), setSlot(system, 0, 'g'), setSlot(system, 0)]).toEqual([null, null, 'H2']);
  });

  test('is none where the page is of no file', () => {
    expect(setSlot(skip(rig(), ['cpu1'], { mapping: null, index: -1 }), -1)).toBeNull();
  });
});

describe('a flush', () => {
  test('of all CPUs that were skipped ends it', () => {
    const system = flushed(skip(rig(), ['cpu1', 'cpu2']), 'cpu2', 'cpu1');
    expect([system.context('rules'), setPte(system, 0, readOnly), setSlot(system, 0)]).toEqual([{ records: [], warned: null }, null, null]);
  });

  test('of one of them does not', () => {
    const system = flushed(skip(rig(), ['cpu1', 'cpu2']), 'cpu1');
    expect(system.context('rules').records).toEqual([{ cpu: 'cpu2', pfn: 4, listed: 4, mapping: 'file', index: 0, mm: 'p', vpn: 0, flushing: [] }]);
    expect(setPte(system, 0, readOnly)).toBe('H1');
  });

  test('is for what was skipped before it, not for what comes after', () => {
    const system = skip(flushed(skip(rig()), 'cpu1'));
    expect(setSlot(system, 0)).toBe('H2');
  });
});

test('the rule that was broken first is the one that is told', () => {
  const [one, other] = [skip(rig()), skip(rig())];
  expect([setPte(one, 0, readOnly), setSlot(one, 0)]).toEqual(['H1', 'H1']);
  expect([setSlot(other, 0), setPte(other, 0, readOnly), flushed(other, 'cpu1').context('rules').warned]).toEqual(['H2', 'H2', 'H2']);
});

test.each<Message>([
  { type: 'luf.unmap', pfn: 4, mapping: 'file', index: 0, places: [{ mm: 'p', vpn: 0 }], cpus: ['cpu1'] },
  { type: 'luf.mkwrite', pfn: 4, mapping: 'file', index: 0, task: 'p' },
  { type: 'luf.content', mapping: 'file', index: 0 },
  { type: 'luf.write_end', mapping: 'file', task: 'p' },
  { type: 'luf.withdrawn', mm: 'p', vpns: [0] },
  { type: 'luf.alloc', pfns: [4] },
  { type: 'luf.tlb_flushed', mm: 'p' },
  { type: 'luf.return_to_user' },
])('the rules say nothing of $type', (message) => {
  const system = skip(rig());
  const before = system.context('rules');
  expect(tell(system, 'kernel', message).context('rules')).toEqual(before);
});

describe('row L19: migration of a read-only page puts one with the same bytes in its place', () => {
  const migrated = (machine: typeof lufRules): Rig => {
    const system = skip(rig(machine));
    setSlot(system, 0);
    setPte(system, 0, readOnly);
    return system;
  };

  test('which H1 and H2 read literally forbid', () => {
    expect(migrated(lufRules).context('rules').warned).toBe('H2');
  });

  test('and the exempting rules allow', () => {
    expect(migrated(lufRulesExempting).context('rules').warned).toBeNull();
  });

  test('as long as it stays read-only', () => {
    const system = migrated(lufRulesExempting);
    expect([setPte(system, 0, { kind: 'none' }), setPte(system, 0, presentPte(5))]).toEqual([null, 'H1']);
  });

  test('each exemption is for its own rule', () => {
    const pte = lufRules.provide({ guards: { exemptsPte: () => true } });
    const slot = lufRules.provide({ guards: { exemptsSlot: () => true } });
    expect([setPte(skip(rig(pte)), 0, presentPte(5)), setSlot(skip(rig(pte)), 0)]).toEqual([null, 'H2']);
    expect([setPte(skip(rig(slot)), 0, readOnly), setSlot(skip(rig(slot)), 0)]).toEqual(['H1', null]);
  });
});

test('every transition was taken', () => {
  expect(untaken(lufRules)).toEqual([]);
});
