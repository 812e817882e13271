import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Module, parseSync } from '@swc/core';
import { type AnyStateMachine, type AnyStateNode, createActor } from 'xstate';
import * as library from '../../machines/index.js';
import {
  interconnect,
  lufRulesExempting,
  memunmapPages,
  memunmapPages510,
  percpuRefSwitch,
  percpuRefSwitchBiasFirst,
  unbindDevdax,
  unbindWithoutUnmap,
} from '../../machines/index.js';
import { actor } from '../../src/index.js';
import { canonical } from '../../src/system/canonical.js';
import { isMachine, nameOf, stateNodes } from '../../src/system/logic.js';
import { answers } from './probe.js';
import { Rig } from './rig.js';

const root = join(__dirname, '../../machines');
const files = (readdirSync(root, { recursive: true }) as string[]).filter((name) => name.includes('/') && name.endsWith('.ts')).sort();
const sources = new Map(files.map((file) => [file, readFileSync(join(root, file), 'utf8')]));
const machines = (Object.entries(library) as [string, unknown][]).filter(
  (entry): entry is [string, AnyStateMachine] => typeof entry[1] === 'object' && isMachine(entry[1] as never),
);

/** Variants by `provide` keep the id of what they vary. */
const varied = new Map<unknown, unknown>([
  [lufRulesExempting, library.lufRules],
  [unbindDevdax, library.unbind],
  [unbindWithoutUnmap, library.unbind],
]);
/** Machines that share the implementations of one setup. */
const shapes: AnyStateMachine[][] = [
  [library.folioLock, library.mutex],
  [memunmapPages, memunmapPages510],
  [percpuRefSwitch, percpuRefSwitchBiasFirst],
  [library.mwriteprotectRange, library.clearRefs],
];
const exportsOf = (source: string): string[] =>
  [...source.matchAll(/export const (\w+) = (?:setup|shape|unbind|lufRules)\b/g)].map(([, name]) => name as string);
const fileOf = (name: string): string => [...sources].find(([, source]) => exportsOf(source).includes(name))?.[0] ?? '';
const variants = machines.filter(([, machine]) => varied.has(machine)).map(([name]) => name);
/** What the debug modes hear: no machine. */
const hooks = 'debug/luf-hooks.ts';
const paths = machines.filter(([name]) => fileOf(name).startsWith('paths/'));

const vmemmapConfig = { wanted: true, override: true, hugetlb: true, structPage: 2, page: 8, nr: 16, altmap: false, pgmap: true };

/** An input with which each machine that takes one can start. */
const inputs: Record<string, object> = {
  cpu: { mm: 'mm', interconnect: 'interconnect' },
  addressSpace: { ptes: {}, vmas: [], cpumask: [] },
  coherence: { cells: {}, places: {} },
  folio: { pfn: 0, refcount: 0, idle: 0 },
  lufBatch: {},
  memSection: { subsection: 2, active: [], early: false, present: false, online: false },
  pageAllocator: { free: [] },
  pageCache: { blocks: {}, mappers: 0 },
  structPage: { pfn: 0 },
  vmemAltmap: { frames: [] },
  vmemmap: { structPage: 2, page: 8, translation: 'init_mm' },
  devPagemap: { pages: [] },
  disk: {},
  secondaryMmu: { mm: 'mm' },
  storeBuffer: { ordering: 'tso' },
  percpuRef: { cpus: ['cpu0'] },
  addMemory: { hotplugLock: 'lock', addSection: 'add' },
  allocPages: { cpu: 'cpu0', allocator: 'allocator', lufFlush: 'luf_flush', debug: null, task: 'task' },
  anonFault: { mm: 'mm', ptl: 'ptl', allocator: 'allocator', putPage: 'put' },
  archTlbbatchFlush: { cpu: 'cpu0', interconnect: 'interconnect', task: 'task', debug: null },
  breakFileProtection: { folioLocks: {}, mappers: {}, allocPages: 'alloc', putPage: 'put', flush: {} },
  breakProtection: { mm: 'mm', ptl: 'ptl', tables: [{ mm: 'mm', ptl: 'ptl' }], flush: { mm: 'flush' }, folioLocks: {}, putPage: 'put' },
  changeProtNuma: { mm: 'mm', mmapLock: 'lock', ptl: 'ptl', flush: 'flush', notifier: 'notifier' },
  contextSwitch: { cpu: 'cpu0' },
  copyPageRange: { mm: 'mm', mmapLock: 'lock', ptl: 'ptl', flush: 'flush', child: 'child', coherence: null },
  daxFault: { mm: 'mm', ptl: 'ptl', mapping: 'mapping', invalidateLock: 'lock', dax: 'dax', srcu: 'srcu', devmap: false, refPerMapping: true },
  deviceAccess: { mmu: 'mmu', fault: 'fault', atomicFault: 'atomic_fault' },
  deviceCopy: {
    mode: 'copy',
    mmapLock: 'lock',
    tables: [{ mm: 'mm', ptl: 'ptl' }],
    notifier: 'mmu_notifier',
    driver: 'gpu',
    fault: 'fault',
    folioLocks: {},
    writeProtect: 'write_protect',
    deviceMemory: 'dmem',
    putPage: 'put',
    putDevicePage: 'put_device',
    mutex: 'mutex',
    copies: 'copies',
    mmu: 'mmu',
  },
  deviceCopyInvalidate: { mutex: 'mutex', mmu: 'mmu', copies: 'copies', putDevicePage: 'put_device' },
  directIo: { gup: 'gup', putPage: 'put', vpns: [], pin: true },
  flushTlb: { cpu: 'cpu0', mm: 'mm', interconnect: 'interconnect', kind: 'ipi' },
  flushTlbBatchedPending: { mm: 'mm', flush: 'flush' },
  fsync: { writeback: 'writeback', putPage: 'put' },
  genericPerformWrite: {
    mapping: 'mapping',
    folioLocks: {},
    allocPages: 'alloc',
    putPage: 'put',
    coherence: 'coherence',
    lufFlush: 'luf_flush',
    debug: null,
    task: 'task',
  },
  gupFast: { cpu: 'cpu0', mm: 'mm', pagemaps: {}, putPage: 'put', slow: 'slow', pin: true },
  gupSlow: { mm: 'mm', mmapLock: 'lock', ptl: 'ptl', pagemaps: {}, fault: 'fault', pin: true },
  handlePteFault: {
    mm: 'mm',
    ptl: 'ptl',
    folioLocks: {},
    allocPages: 'alloc',
    putPage: 'put',
    anonFault: 'anon_fault',
    flush: 'flush',
    lufFlush: 'luf_flush',
    debug: null,
    task: 'task',
  },
  insertFolioPmd: { mm: 'mm', ptl: 'ptl' },
  intervalInvalidate: { cookie: 'gpu', mutex: 'mutex', notifier: 'notifier', mmu: 'mmu' },
  ksmScan: { stableTree: 'tree', mmapLocks: {}, folioLocks: {}, mergeOne: 'merge', breakCow: {}, putPage: 'put' },
  kvmInvalidate: { kvm: 'kvm', mmuLock: 'lock', mmu: 'mmu' },
  kvmPageFault: { kvm: 'kvm', mmuLock: 'lock', mmu: 'mmu', gup: 'gup', putPage: 'put' },
  lufFlush: { lufBatch: 'luf_batch', archFlush: 'arch_flush' },
  madvise: { mmapLock: 'lock', zap: 'zap' },
  madviseFree: { mm: 'mm', mmapLock: 'lock', ptl: 'ptl', folioLocks: {}, flush: 'flush' },
  makeDeviceExclusive: {
    mm: 'mm',
    ptl: 'ptl',
    folioLocks: {},
    fault: 'fault',
    flush: 'flush',
    notifier: 'notifier',
    putPage: 'put',
    owner: null,
  },
  memmapInitZoneDevice: { config: vmemmapConfig, sectionSize: 8 },
  memremapPages: {
    ...{ start: 0, nr: 8, sectionSize: 8, subsection: 4, pgmap: 'pgmap', hotplugLock: 'lock', addSection: 'add', removeSection: 'remove' },
    ...{ initZone: 'init_zone', ref: 'ref', dax: 'dax' },
  },
  memunmapPages: { pgmap: 'pgmap', ref: 'ref', kill: 'kill', putPage: 'put', rcu: 'rcu', pfns: [] },
  memunmapPages510: { pgmap: 'pgmap', ref: 'ref', kill: 'kill', putPage: 'put', rcu: 'rcu', pfns: [] },
  mergeFilePages: { folioLocks: {}, mappers: {}, writeProtect: 'write_protect', replacePage: 'replace', putPage: 'put', flush: {} },
  migratePages: {
    folioLocks: {},
    tryToUnmap: 'unmap',
    archFlush: 'arch_flush',
    allocPages: 'alloc',
    putPage: 'put',
    lufBatch: 'luf_batch',
    allocator: 'allocator',
    debug: null,
  },
  migrateToRam: {
    mm: 'mm',
    ptl: 'ptl',
    folioLocks: {},
    migrateVma: 'migrate_vma',
    allocPages: 'alloc',
    putDevicePage: 'put',
    mutex: 'mutex',
    mmu: 'mmu',
  },
  migrateVma: { mm: 'mm', ptl: 'ptl', folioLocks: {}, flush: 'flush', notifier: null, owner: 'gpu', putPage: 'put', putDevicePage: 'put_device' },
  mmuNotifierInvalidate: { notifier: 'notifier', intervals: { gpu: 'interval' }, listeners: [{ start: 'svmm', end: null }] },
  mmap: { mm: 'mm', mmapLock: 'lock', coherence: null },
  mprotect: { mm: 'mm', mmapLock: 'lock', ptl: 'ptl', flush: 'flush', batchedPending: 'pending', coherence: null, debug: null },
  mremap: { mm: 'mm', mmapLock: 'lock', ptl: 'ptl', flush: 'flush' },
  munmap: { mm: 'mm', mmapLock: 'lock', zap: 'zap' },
  clearRefs: { mm: 'mm', mmapLock: 'lock', ptl: 'ptl', flush: 'flush' },
  mwriteprotectRange: { mm: 'mm', mmapLock: 'lock', ptl: 'ptl', flush: 'flush' },
  newSlab: { allocPages: 'alloc' },
  nouveauAtomicRangeFault: {
    mmapLock: 'lock',
    notifier: 'mmu_notifier',
    driver: 'gpu',
    makeExclusive: 'make_exclusive',
    fault: 'fault',
    restoreExclusive: 'restore',
    folioLocks: {},
    putPage: 'put',
    mutex: 'mutex',
    mmu: 'mmu',
  },
  nouveauDmemMigrateVma: { mmapLock: 'lock', folioLocks: {}, migrateVma: 'migrate_vma', deviceMemory: 'dmem', mutex: 'mutex', mmu: 'mmu' },
  nouveauRangeFault: { mm: 'mm', mmapLock: 'lock', notifier: 'mmu_notifier', driver: 'gpu', mutex: 'mutex', mmu: 'mmu', fault: 'fault' },
  offlinePages: { hotplugLock: 'lock', removeSection: 'remove' },
  oomReap: { mmapLock: 'lock', zap: 'zap' },
  percpuRefGet: { cpu: 'cpu0', rcu: 'rcu', ref: 'ref', mode: 'tryget' },
  percpuRefIsZero: { ref: 'ref', switchLock: 'lock' },
  percpuRefKill: { ref: 'ref', rcu: 'rcu', switchLock: 'lock', callback: 'callback' },
  percpuRefOwner: { ref: 'ref', kill: 'kill', isZero: 'is_zero', switchLock: 'lock', rcu: 'rcu' },
  percpuRefPut: { cpu: 'cpu0', rcu: 'rcu', ref: 'ref' },
  percpuRefSwitch: { ref: 'ref', cpus: ['cpu0'] },
  percpuRefSwitchBiasFirst: { ref: 'ref', cpus: ['cpu0'] },
  percpuRefUser: { tryget: 'tryget', put: 'put', rcu: 'rcu' },
  pfnWalker: { gate: 'online', sectionSize: 8 },
  putPage: {},
  remoteWrite: { mapping: 'mapping', coherence: 'coherence' },
  removeDeviceExclusiveEntry: { mm: 'mm', ptl: 'ptl', folioLocks: {}, notifier: 'notifier', putPage: 'put' },
  replacePage: { flush: {}, putPage: 'put' },
  replicatePage: {
    mmapLock: 'lock',
    tables: [{ mm: 'mm', ptl: 'ptl' }],
    flush: { mm: 'flush' },
    folioLocks: {},
    allocPages: 'alloc',
    putPage: 'put',
    writeProtect: 'write_protect',
  },
  revalidateMapping: {
    mapping: 'mapping',
    folioLocks: {},
    tryToUnmap: 'unmap',
    archFlush: 'arch_flush',
    putPage: 'put',
    coherence: 'coherence',
    lufFlush: 'luf_flush',
    debug: null,
  },
  setPmdMigrationEntry: { mm: 'mm', ptl: 'ptl', flush: 'flush' },
  shrinkFolioList: {
    folioLocks: {},
    tryToUnmap: 'unmap',
    archFlush: 'arch_flush',
    putPage: 'put',
    lufBatch: 'luf_batch',
    allocator: 'allocator',
    debug: null,
  },
  sparseAddSection: { vmemmap: 'vmemmap', populate: 'populate', populateCompound: 'populate_compound', config: vmemmapConfig, debugVm: false },
  sparseRemoveSection: { vmemmap: 'vmemmap', putPage: 'put', altmap: 'altmap', config: vmemmapConfig },
  splitHugePage: { mm: 'mm', ptl: 'ptl', folioLock: 'folio_lock', flush: 'flush', putPage: 'put' },
  svmmInvalidate: { cookie: 'gpu', mutex: 'mutex', mmu: 'mmu' },
  task: { program: [] },
  truncate: { mapping: 'mapping', invalidateLock: 'lock', zap: 'zap' },
  truncateInodePages: { folioLocks: {}, mappers: {}, putPage: 'put', flush: {} },
  truncatePagecache: { mapping: 'mapping', zap: 'zap', putPage: 'put' },
  tryToMergeOnePage: { mmapLocks: {}, folioLocks: {}, writeProtect: 'protect', replacePage: 'replace' },
  tryToUnmap: { lufBatch: 'luf_batch', debug: null },
  unbind: { dax: 'dax', srcu: 'srcu', zap: 'zap', memunmap: 'memunmap', pfns: [], vpns: [] },
  unbindDevdax: { dax: 'dax', srcu: 'srcu', zap: 'zap', memunmap: 'memunmap', pfns: [], vpns: [] },
  unbindWithoutUnmap: { dax: 'dax', srcu: 'srcu', zap: 'zap', memunmap: 'memunmap', pfns: [], vpns: [] },
  unmergeKsmPage: { mm: 'mm', mmapLock: 'lock', ptl: 'ptl', fault: 'fault' },
  unpinUserPageRange: { pin: true },
  uprobeWrite: { mm: 'mm', mmapLock: 'lock', ptl: 'ptl', fault: 'fault', putPage: 'put', flush: 'flush', coherence: 'coherence' },
  uprobeWriteOpcode: {
    mm: 'mm',
    mmapLock: 'lock',
    ptl: 'ptl',
    folioLocks: {},
    fault: 'fault',
    allocPages: 'alloc',
    putPage: 'put',
    flush: 'flush',
    coherence: 'coherence',
  },
  addMappingParameter: { around: {}, callers: {} },
  cFunction: { name: 'mpage_readpage', uses: false, own: [], calls: {} },
  passdownMapping: { functions: ['func'], addMappingParameter: 'add' },
  slot: { name: 'address_space_operations.writepage' },
  userFault: { mm: 'mm', mmapLock: 'lock', handler: 'handler' },
  userAccess: { cpu: 'cpu0', fault: 'fault' },
  vmemmapPopulate: { vmemmap: 'vmemmap', allocator: 'allocator', altmap: null, hash: false },
  vmemmapPopulateCompoundPages: { vmemmap: 'vmemmap', allocator: 'allocator', config: vmemmapConfig },
  writeback: { disk: 'disk', folioLocks: {}, mappers: {}, putPage: 'put', flush: {} },
  writeProtectPage: { flush: {} },
  zap: { cpu: 'cpu0', mm: 'mm', ptl: 'ptl', flush: 'flush', putPage: 'put' },
};

const states = (machine: AnyStateMachine): AnyStateNode[] => stateNodes(machine).filter((node) => node.path.length > 0);
const isBug = ({ tags }: AnyStateNode): boolean => tags.includes('BUG');
const isWarning = (description = ''): boolean => /^(BUG|WARN_ON): ./.test(description);

test('every machine of every file is exported, and there is nothing else', () => {
  expect(machines.map(([name]) => name).sort()).toEqual(files.flatMap((file) => exportsOf(sources.get(file) as string)).sort());
  expect(files.filter((file) => exportsOf(sources.get(file) as string).length === 0)).toEqual([hooks]);
});

test('ids are unique', () => {
  const own = machines.filter(([, machine]) => !varied.has(machine));
  expect(new Set(own.map(([, { id }]) => id)).size).toBe(own.length);
  for (const [machine, base] of varied) expect((machine as AnyStateMachine).id).toBe((base as AnyStateMachine).id);
});

test('paths are named after kernel functions; what is none is a thread, or several functions at once', () => {
  const other = [
    'break_file_protection',
    'break_protection',
    'device_access',
    'device_copy',
    'device_copy_invalidate',
    'direct_io',
    'gup_slow',
    'memunmap_pages_5_10',
    'merge_file_pages',
    'percpu_ref_owner',
    'percpu_ref_switch_bias_first',
    'percpu_ref_user',
    'pfn_walker',
    'remote_write',
    'replicate_page',
    'task',
    'truncate',
    'unbind',
    'user_access',
    'writeback',
  ];
  const functions = [
    'add_memory_resource',
    'alloc_pages',
    'arch_tlbbatch_flush',
    'break_ksm',
    'change_prot_numa',
    'clear_refs_write',
    'cmp_and_merge_page',
    'context_switch',
    'copy_page_range',
    'direct_page_fault',
    'do_pte_missing',
    'exc_page_fault',
    'flush_tlb_batched_pending',
    'flush_tlb_mm_range',
    'fsync',
    'generic_perform_write',
    'gup_fast',
    'handle_mm_fault',
    'handle_pte_fault',
    'kvm_handle_hva_range',
    'luf_flush',
    'madvise',
    'madvise_free_single_vma',
    'make_device_exclusive',
    'memmap_init_zone_device',
    'memremap_pages',
    'memunmap_pages',
    'migrate_pages',
    'migrate_to_ram',
    'migrate_vma',
    'mmap',
    'mmu_notifier_invalidate_range',
    'mprotect',
    'mremap',
    'munmap',
    'mwriteprotect_range',
    'new_slab',
    'nfs_revalidate_mapping',
    'nouveau_atomic_range_fault',
    'nouveau_dmem_migrate_vma',
    'nouveau_svm_range_invalidate',
    'nouveau_svmm_invalidate_range_start',
    'offline_pages',
    'oom_reap_task',
    'nouveau_range_fault',
    'percpu_ref_is_zero',
    'percpu_ref_kill',
    'percpu_ref_put',
    'percpu_ref_switch_to_atomic_rcu',
    'percpu_ref_tryget',
    'put_page',
    'remove_device_exclusive_entry',
    'replace_page',
    'section_deactivate',
    'set_pmd_migration_entry',
    'shrink_folio_list',
    'sparse_add_section',
    'split_huge_page',
    'stable_page_flags',
    'tlb_remove_table_rcu',
    'truncate_inode_pages',
    'truncate_pagecache',
    'try_to_merge_one_page',
    'try_to_unmap',
    'unmap_page_range',
    'unpin_user_page_range_dirty_lock',
    'uprobe_write',
    'vmemmap_populate',
    'vmemmap_populate_compound_pages',
    'vmf_insert_folio_pmd',
    'write_protect_page',
    'uprobe_write_opcode',
  ];
  expect([...new Set(paths.map(([, { id }]) => id))].sort()).toEqual([...other, ...functions].sort());
});

describe.each(machines)('%s', (name, machine) => {
  test('its config is data: JSON, but for the context', () => {
    // `setup` adds `schemas`, undefined where there are none.
    const { context: _, schemas: __, ...config } = machine.config as typeof machine.config & { schemas?: undefined };
    expect(JSON.parse(JSON.stringify(config))).toStrictEqual(config);
    canonical(config);
  });

  test('each state has a description; that of a BUG state begins with BUG: or WARN_ON:', () => {
    if (states(machine).length === 0) expect(machine.root.description).toMatch(/\S/);
    for (const node of states(machine)) {
      expect([nameOf(node), node.description]).toEqual([nameOf(node), expect.stringMatching(/\S/)]);
      expect([nameOf(node), isWarning(node.description)]).toEqual([nameOf(node), isBug(node)]);
    }
  });

  test('its states are named like functions, and at most three deep', () => {
    expect(machine.id).toMatch(/^[a-z][a-z0-9_]*$/);
    for (const node of states(machine)) {
      expect(node.key).toMatch(/^[a-z_][a-z0-9_]*$/);
      expect(node.path.length).toBeLessThanOrEqual(3);
    }
  });

  test('nobody leaves a BUG state', () => {
    for (const node of states(machine).filter(isBug)) expect([nameOf(node), node.ownEvents, node.always]).toEqual([nameOf(node), [], undefined]);
  });

  test('it has no timers and no children', () => {
    for (const node of stateNodes(machine)) expect([nameOf(node), node.after, node.invoke]).toEqual([nameOf(node), [], []]);
  });

  test('it names the messages that it hears, so that others are noticed; a debug mode listens to whatever comes', () => {
    const listens = stateNodes(machine).filter((node) => node.transitions.has('*'));
    expect(listens).toEqual(fileOf(name).startsWith('debug/') ? [machine.root] : []);
  });

  test('what it names is implemented, and what is implemented is named', () => {
    const shape = shapes.find((machines) => machines.includes(machine)) ?? [machine];
    for (const kind of ['guards', 'actions'] as const) {
      const named = (one: AnyStateMachine): string[] => namesIn(one.config, kind);
      const implemented = Object.keys(machine.implementations[kind]);
      expect(named(machine).filter((used) => !implemented.includes(used))).toEqual([]);
      expect(implemented.filter((known) => !shape.some((one) => named(one).includes(known)))).toEqual([]);
    }
  });

  test('it starts, with a context of plain JSON', () => {
    const input = inputs[name] ?? {};
    const spokenTo = Object.values(input).filter((value) => typeof value === 'string' && value !== 'ipi');
    const { live } = new Rig({
      ...Object.fromEntries(spokenTo.map((address) => [address, answers()])),
      it: actor(machine, { input: input as never, choices: [] }),
    });
    expect(live.snapshot('it').status).toBe('active');
    expect(JSON.parse(JSON.stringify(live.snapshot('it').context))).toStrictEqual(live.snapshot('it').context);
    live.identity();
  });
});

test.each(paths)('%s: a path has somewhere to rest', (_, machine) => {
  const resting = states(machine).filter(({ tags }) => tags.includes('rest'));
  expect(resting.length).toBeGreaterThan(0);
  // Who rests is called, or has nothing left to do: no step is taken there.
  for (const node of resting) expect([nameOf(node), node.ownEvents.includes('step'), node.always]).toEqual([nameOf(node), false, undefined]);
});

test('the interconnect is transition logic with a context of plain JSON', () => {
  expect(isMachine(interconnect as never)).toBe(false);
  canonical(createActor(interconnect, { input: { cpus: ['cpu0'] } }).getSnapshot().context);
});

/** The names of guards, or of actions, that a config uses. */
function namesIn(config: unknown, kind: 'guards' | 'actions'): string[] {
  const keys = kind === 'guards' ? ['guard'] : ['actions', 'entry', 'exit'];
  const names = new Set<string>();
  const walk = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    for (const [key, inner] of Object.entries(value)) {
      const own = keys.includes(key) ? [inner].flat() : [];
      for (const one of own) if (typeof one === 'string') names.add(one);
      walk(inner);
    }
  };
  walk(config);
  return [...names].sort();
}

type Node = { type: string; [field: string]: unknown };
const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null && typeof (value as Node).type === 'string';

function nodesIn(value: unknown): Node[] {
  if (typeof value !== 'object' || value === null) return [];
  const inside = Object.values(value).flatMap(nodesIn);
  return isNode(value) ? [value, ...inside] : inside;
}

/** The expressions in a literal that a tool reading it without running it cannot follow. */
function computedIn(node: Node): string[] {
  switch (node.type) {
    case 'ObjectExpression':
      return (node.properties as Node[]).flatMap((property) => {
        const key = property.key as Node | undefined;
        if (property.type !== 'KeyValueProperty' || !['Identifier', 'StringLiteral'].includes(key?.type ?? '')) return [property.type];
        return key?.value === 'context' ? [] : computedIn(property.value as Node);
      });
    case 'ArrayExpression':
      return (node.elements as { expression: Node; spread: unknown }[]).flatMap(({ expression, spread }) =>
        spread ? ['SpreadElement'] : computedIn(expression),
      );
    case 'StringLiteral':
    case 'BooleanLiteral':
    case 'NumericLiteral':
      return [];
    default:
      return [node.type];
  }
}

const configsIn = (program: Module): Node[] =>
  nodesIn(program).flatMap((node) => {
    if (node.type !== 'CallExpression') return [];
    const callee = node.callee as Node & { property?: Node };
    if (callee.type !== 'MemberExpression' || callee.property?.value !== 'createMachine') return [];
    return [(node.arguments as { expression: Node }[])[0]?.expression as Node];
  });

test.each(files)('%s: createMachine is given a literal, which a tool can read without running it', (file) => {
  const configs = configsIn(parseSync(sources.get(file) as string, { syntax: 'typescript' }));
  expect(configs).toHaveLength(exportsOf(sources.get(file) as string).filter((name) => !variants.includes(name)).length);
  expect(configs.flatMap(computedIn)).toEqual([]);
});
