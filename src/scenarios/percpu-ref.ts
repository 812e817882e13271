import type { AnyStateMachine, SnapshotFrom } from 'xstate';
import { devPagemap } from '../../machines/devices/dev-pagemap.js';
import { type GetMode, percpuRefGet } from '../../machines/paths/percpu-ref-get.js';
import { percpuRefIsZero } from '../../machines/paths/percpu-ref-is-zero.js';
import { percpuRefKill } from '../../machines/paths/percpu-ref-kill.js';
import { percpuRefOwner } from '../../machines/paths/percpu-ref-owner.js';
import { percpuRefPut } from '../../machines/paths/percpu-ref-put.js';
import { percpuRefSwitch, percpuRefSwitchBiasFirst } from '../../machines/paths/percpu-ref-switch.js';
import { percpuRefUser } from '../../machines/paths/percpu-ref-user.js';
import { task } from '../../machines/paths/task.js';
import { BIAS, percpuRef } from '../../machines/sync/percpu-ref.js';
import { rcu } from '../../machines/sync/rcu.js';
import { spinlock } from '../../machines/sync/spinlock.js';
import { invariant, leadsTo } from '../property/property.js';
import { type ActorSpec, actor, defineSystem, type System } from '../system/system.js';
import { I6, I11, UAF } from './kernel-properties.js';
import type { Parameters, Scenario, Variant } from './scenario.js';

/** One user thread: on which CPU it gets, and on which it puts (it may have been moved in between). */
interface User {
  get: string;
  put: string;
}

/** Which threads there are, and which machines they run. */
export interface PercpuRefSetup {
  users?: readonly User[];
  mode?: GetMode;
  base?: number;
  /** References that the owner puts for `base`; default the same. */
  putBase?: number;
  hashed?: boolean;
  /** The owner ends with percpu_ref_exit; else the counters outlive what they protect. */
  exits?: boolean;
  /** The users begin anew, as often as they like. */
  loops?: boolean;
  /** A further thread asks percpu_ref_is_zero once. */
  watcher?: boolean;
  owner?: typeof percpuRefOwner;
  user?: typeof percpuRefUser;
  tryget?: typeof percpuRefGet;
  /** 0 leaves the bias out. */
  bias?: number;
  rcu?: typeof rcu;
  callback?: AnyStateMachine;
  isZero?: typeof percpuRefIsZero;
}

const cpus = ['cpu0', 'cpu1'];

function userThread(index: number, { get, put }: User, setup: PercpuRefSetup): Record<string, ActorSpec> {
  const [from, to] = [get.slice(3), put.slice(3)];
  const lane = `CPU ${from === to ? from : `${from}, then ${to}`} (user ${String.fromCharCode(65 + index)})`;
  const inRcu = setup.hashed === true;
  return {
    [`user${index}.tryget`]: actor(setup.tryget ?? percpuRefGet, {
      lane,
      input: { cpu: get, rcu: 'rcu', ref: 'ref', mode: setup.mode ?? 'tryget_live', inRcu },
    }),
    [`user${index}.put`]: actor(percpuRefPut, { lane, input: { cpu: put, rcu: 'rcu', ref: 'ref' } }),
    [`user${index}`]: actor(setup.user ?? percpuRefUser, {
      lane,
      input: { tryget: `user${index}.tryget`, put: `user${index}.put`, rcu: 'rcu', ...(inRcu ? { hash: 'hash' } : {}) },
      ...(setup.loops ? { environment: ['again' as const] } : {}),
    }),
  };
}

type Watch = Record<string, SnapshotFrom<typeof percpuRefUser>> & { ref: SnapshotFrom<typeof percpuRef>; owner: SnapshotFrom<typeof percpuRefOwner> };

const watcherThread = (isZero: typeof percpuRefIsZero): Record<string, ActorSpec> => {
  const lane = `CPU ${cpus.length + 1} (is_zero)`;
  return {
    'watcher.is_zero': actor(isZero, { lane, input: { ref: 'ref', switchLock: 'switch_lock' } }),
    watcher: actor(task, { lane, input: { program: [{ path: 'watcher.is_zero' }] } }),
  };
};

/** Threads that get and put references, against an owner that kills the percpu_ref and waits. */
export function percpuRefSystem(id: string, setup: PercpuRefSetup, { users: count }: Parameters): System {
  const users = setup.users ?? Array.from({ length: Number(count) }, (_, index) => ({ get: `cpu${index % 2}`, put: `cpu${index % 2}` }));
  const lane = `CPU ${cpus.length} (kill)`;
  const bias = setup.bias ?? BIAS;
  const names = users.map((_, index) => `user${index}`);
  const isZero = setup.isZero ?? percpuRefIsZero;
  return defineSystem({
    id,
    actors: {
      // Who is spoken to on starting comes first.
      switch_lock: actor(spinlock),
      ref: actor(percpuRef, { input: { cpus, base: setup.base ?? 0, bias } }),
      ...(setup.hashed ? { hash: actor(devPagemap, { input: { pages: [] } }) } : {}),
      ...Object.assign({}, ...users.map((user, index) => userThread(index, user, setup))),
      rcu: actor(setup.rcu ?? rcu, { lane, choices: ['grace_period'] }),
      kill: actor(percpuRefKill, { lane, input: { ref: 'ref', rcu: 'rcu', switchLock: 'switch_lock', callback: 'callback' } }),
      is_zero: actor(isZero, { lane, input: { ref: 'ref', switchLock: 'switch_lock' } }),
      callback: actor(setup.callback ?? percpuRefSwitch, { lane, input: { ref: 'ref', cpus, bias } }),
      owner: actor(setup.owner ?? percpuRefOwner, {
        lane,
        input: {
          ref: 'ref',
          kill: 'kill',
          isZero: 'is_zero',
          switchLock: 'switch_lock',
          rcu: 'rcu',
          base: setup.putBase ?? setup.base ?? 0,
          exits: setup.exits ?? false,
          ...(setup.hashed ? { hash: 'hash' } : {}),
        },
      }),
      ...(setup.watcher ? watcherThread(isZero) : {}),
    },
    properties: [
      invariant<Watch>('I7', 'no reference is held once release ran or what it protects was freed', {
        actors: ['ref', 'owner', ...names],
        when: ({ ref, owner }) => ref.context.released > 0 || owner.hasTag('freed'),
        holds: (snapshots) => !names.some((name) => snapshots[name]?.hasTag('holding')),
      }),
      I6,
      UAF,
      I11,
      ...(setup.loops
        ? [
            leadsTo<Watch>('I11.progress', 'once percpu_ref_kill has begun, what the reference protects is freed', {
              actors: ['owner'],
              when: () => true,
              reach: ({ owner }) => owner.hasTag('freed'),
            }),
          ]
        : []),
    ],
  });
}

const variant = (id: string, summary: string, expected: Variant['expected'], setup: PercpuRefSetup, extra: Partial<Variant> = {}): Variant => ({
  id,
  row: id.split('.')[0] as string,
  summary,
  source: `domain table 2.C, row ${id.split('.')[0]}`,
  expected,
  system: (parameters) => percpuRefSystem(`percpu-ref/${id}`, setup, parameters),
  ...extra,
});

const safe = { I6: 'holds', I7: 'holds', UAF: 'holds', I11: 'holds' } as const;
/** Two users on one CPU, the first of which is moved to the other CPU before it puts. */
const moved: User[] = [
  { get: 'cpu1', put: 'cpu0' },
  { get: 'cpu1', put: 'cpu1' },
];
const one: User[] = [{ get: 'cpu0', put: 'cpu0' }];
const deadlock = { I11: 'violated' } as const;

/** Rows C0 to C13; there is no C8. */
export const percpuRefScenario: Scenario = {
  id: 'percpu-ref',
  title: 'percpu_ref: kill, switch to atomic mode, release',
  question: 'Is release called exactly once, and never while a reference is out?',
  parameters: { users: { description: 'threads that get and put', default: 2, min: 1, max: 4 } },
  variants: [
    variant('C0.tryget_live', 'reference; users call percpu_ref_tryget_live', safe, {}),
    variant('C0.tryget', 'reference; users call percpu_ref_tryget', safe, { mode: 'tryget' }),
    variant(
      'C1',
      'the callback sums without waiting for a grace period',
      { I7: 'violated' },
      { rcu: rcu.provide({ guards: { readersDone: ({ context }) => context.pending.length > 0 } }) },
    ),
    variant('C2', 'no bias: the counter can reach zero before the per-CPU counters are added', { I7: 'violated' }, { bias: 0 }),
    variant(
      'C3',
      'the callback takes the bias away first, then adds the CPUs one by one; the owner polls is_zero',
      { I7: 'violated' },
      { users: moved, callback: percpuRefSwitchBiasFirst, owner: percpuRefOwner.provide({ guards: { polls: () => true } }) },
    ),
    variant(
      'C4',
      'users that never end call plain tryget',
      { I6: 'holds', I7: 'holds', UAF: 'holds', I11: 'holds', 'I11.progress': 'violated' },
      { mode: 'tryget', loops: true },
      { least: { users: 2 } },
    ),
    variant('C4.one', 'one user that never ends calls plain tryget', { ...safe, 'I11.progress': 'holds' }, { mode: 'tryget', loops: true, users: one }),
    variant('C4.live', 'users that never end call tryget_live', { ...safe, 'I11.progress': 'holds' }, { loops: true }),
    variant(
      'C5',
      'kill is called twice',
      { I6: 'violated' },
      { owner: percpuRefOwner.provide({ guards: { killsAgain: ({ context }) => context.kills < 2 } }) },
    ),
    variant(
      'C6',
      'percpu_ref_exit after kill, without waiting for release',
      { UAF: 'violated' },
      { owner: percpuRefOwner.provide({ guards: { waitsForRelease: () => false } }) },
    ),
    variant(
      'C7.exit-first',
      'counters are freed before the object is unhashed',
      { UAF: 'violated' },
      { hashed: true, exits: true, mode: 'tryget', owner: percpuRefOwner.provide({ guards: { unhashesFirst: () => false, unhashesLast: () => true } }) },
    ),
    variant('C7.unhash-first', 'unhash, wait for RCU, then kill and exit', safe, { hashed: true, exits: true, mode: 'tryget' }),
    variant(
      'C9',
      'tryget squeezes its result into a narrower type: taken, reported as refused',
      { ...deadlock, I7: 'holds' },
      { tryget: percpuRefGet.provide({ guards: { resultFits: () => false } }), mode: 'tryget' },
    ),
    variant('C10', 'kill and wait inside an RCU read section', deadlock, { owner: percpuRefOwner.provide({ guards: { isInsideRcu: () => true } }) }),
    variant(
      'C11',
      'an error path after a successful tryget forgets the put',
      { ...deadlock, I7: 'holds' },
      { user: percpuRefUser.provide({ guards: { putsReference: () => false } }) },
    ),
    variant('C12.leak', 'base references are taken per base page and dropped per compound', deadlock, { base: 2, putBase: 1 }),
    variant('C12.early', 'base references are taken per compound and dropped per base page', { I7: 'violated' }, { users: one, base: 1, putBase: 2 }),
    variant(
      'C13',
      'is_zero reads without the switch lock while exit frees the data block',
      { UAF: 'violated' },
      { watcher: true, exits: true, isZero: percpuRefIsZero.provide({ guards: { takesSwitchLock: () => false } }) },
    ),
    variant('C13.locked', 'is_zero reads under the switch lock', safe, { watcher: true, exits: true }),
  ],
};
