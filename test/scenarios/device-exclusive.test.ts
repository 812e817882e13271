import { intervalInvalidate } from '../../machines/index.js';
import { explore, type System } from '../../src/index.js';
import {
  asOld,
  build,
  deviceExclusiveFixes,
  expectedOf,
  type Mirror,
  type MirrorCall,
  type MirrorSetup,
  type MirrorThread,
  mirror,
  mirrorSystem,
  type Scenario,
  scenarios,
  type Variant,
} from '../../src/scenarios/index.js';

const deviceExclusiveScenario = scenarios.find(({ id }) => id === 'device-exclusive') as Scenario;
const { variants } = deviceExclusiveScenario;
const variantOf = (id: string): Variant => variants.find((variant) => variant.id === id) as Variant;
const systemOf = (id: string, kernel = 'new'): System => build(deviceExclusiveScenario, variantOf(id), kernel === 'new' ? {} : { kernel }).system;

/** What is violated when all states were seen. */
function violated(system: System): string[] {
  const { exhausted, properties } = explore(system, { stop: () => false, maxStates: 200_000 });
  expect(exhausted).toBe(true);
  return properties.filter(({ violation }) => violation).map(({ name }) => name);
}

const fixesByName: Record<string, Partial<MirrorSetup>> = Object.fromEntries(deviceExclusiveFixes.map(([name, , changes]) => [name, changes]));
const kernels = ['new', 'old'] as const;
const oneAtomic: Mirror = { program: [{ do: 'atomic', vpn: 0 }] };
const user = (...does: Exclude<MirrorCall['do'], 'slab'>[]): MirrorThread => ({ mm: 'p', program: does.map((what) => ({ do: what, vpn: 0 })) });
const kernelThread = (what: Exclude<MirrorCall['do'], 'slab'>): MirrorThread => ({ mm: null, program: [{ do: what, vpn: 0 }] });

/** What runs beside the device. `notifies`: it can have the range invalidated while the driver is in its round, and leave the page to it. */
const beside: Record<string, { threads: MirrorThread[]; notifies: boolean }> = {
  nobody: { threads: [], notifies: false },
  'a store': { threads: [user('store')], notifies: false },
  'loads for ever': { threads: [{ ...user('load'), repeats: true }], notifies: false },
  munmap: { threads: [user('munmap')], notifies: false },
  'mprotect, read-only': { threads: [user('mprotect_read')], notifies: false },
  'mprotect, there and back': { threads: [user('mprotect_read', 'mprotect_write')], notifies: true },
  'madvise(MADV_DONTNEED)': { threads: [user('dontneed')], notifies: true },
  fork: { threads: [user('fork')], notifies: true },
  'NUMA balancing': { threads: [user('numa_scan')], notifies: true },
  migration: { threads: [kernelThread('migrate')], notifies: true },
  reclaim: { threads: [kernelThread('reclaim')], notifies: true },
  'the OOM reaper': { threads: [kernelThread('oom_reap')], notifies: true },
};

function systemWith(
  threads: readonly MirrorThread[],
  changes: Partial<MirrorSetup>,
  kernel: (typeof kernels)[number],
  gpus: MirrorSetup['gpus'] = { gpu0: oneAtomic },
): System {
  const setup = { ...mirror, gpus, threads, ...changes };
  return mirrorSystem('beside', kernel === 'old' ? asOld(setup) : setup);
}

test.each(variants.filter(({ fixed }) => fixed?.kernel === undefined).map(({ id }) => [id]))('%s: the same before 6.15', (id) => {
  const found = explore(systemOf(id, 'old'), { stop: () => false });
  expect(found.exhausted).toBe(true);
  const verdicts = found.properties.flatMap(({ name, violation }) => {
    const expected = expectedOf(variantOf(id), name);
    return expected === null ? [] : [[name, violation ? 'violated' : 'holds', expected]];
  });
  expect(verdicts).toEqual(verdicts.map(([name, , expected]) => [name, expected, expected]));
});

describe('the open questions', () => {
  test.each(kernels.flatMap((kernel) => ['Q1', 'Q2', 'Q2.scan'].map((id) => [id, kernel] as const)))(
    '%s, %s kernel: the driver tries again for ever',
    (id, kernel) => {
      expect(violated(systemOf(id, kernel))).toEqual(['P']);
    },
  );

  test.each(kernels.flatMap((kernel) => ['Q1', 'Q2', 'Q2.scan'].flatMap((id) => Object.keys(fixesByName).map((fix) => [`${id}.${fix}`, kernel] as const))))(
    '%s, %s kernel: the device gets the page',
    (id, kernel) => expect(violated(systemOf(id, kernel))).toEqual([]),
  );

  test('the loop takes the driver alone: no thread of the process runs in it', () => {
    const { properties } = explore(systemOf('Q2.scan'), { stop: () => false });
    const violation = properties.find(({ name }) => name === 'P')?.violation;
    const system = systemOf('Q2.scan');
    const loop = violation?.schedule.slice(violation.lasso?.stem).map((choice) => system.choices[choice]?.actor.lane) ?? [];
    expect(loop.length).toBeGreaterThan(0);
    expect(loop).not.toContain('GPU 0');
    expect(violation?.lasso?.cures).toEqual([]);
  });
});

describe('beside one device', () => {
  const cases = kernels.flatMap((kernel) => Object.entries(beside).map(([name, { threads, notifies }]) => [name, kernel, threads, notifies] as const));

  test.each(cases)('%s, %s kernel: safe, and it may try again for ever after an invalidation in its round', (_, kernel, threads, notifies) => {
    expect(violated(systemWith(threads, {}, kernel))).toEqual(notifies ? ['P'] : []);
  });

  test.each(cases)('%s, %s kernel: with each fix the device is always served', (_, kernel, threads) => {
    for (const changes of Object.values(fixesByName)) expect(violated(systemWith(threads, changes, kernel))).toEqual([]);
  });
});

test.each(['none', ...Object.keys(fixesByName)])('two devices that want the page at once can keep it from each other for ever; fix: %s', (fix) => {
  const system = systemWith([], fixesByName[fix] ?? {}, 'new', { gpu0: oneAtomic, gpu1: oneAtomic });
  expect(violated(system)).toEqual(['P.atomic_range_fault0', 'P.atomic_range_fault1']);
});

test('D8 with a list callback that takes the mutex is safe: it waits until the device has mapped, and drops it', () => {
  const changes = { intervalInvalidate: intervalInvalidate.provide({ guards: { takesMutex: () => false } }) };
  expect(violated(systemWith([user('dontneed')], changes, 'new')).filter((name) => name !== 'P')).toEqual([]);
});

test('D21: fork gets -EBUSY while the driver has the folio locked', () => {
  const { unreached } = explore(systemOf('D21'), { stop: () => false });
  expect(unreached).not.toContain('copy_page_range: mmap_write_unlock_failed');
});

// A driver that never ends has no end of generations; where it ends, they may count.
test.each(['munmap', 'mprotect_read'] as const)('leaving TLB generations out changes no verdict: %s', (what) => {
  const changes = [{}, fixesByName.before as Partial<MirrorSetup>];
  for (const change of changes)
    expect(violated(systemWith([user(what)], { ...change, generations: true }, 'new'))).toEqual(violated(systemWith([user(what)], change, 'new')));
});
