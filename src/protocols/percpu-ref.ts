import type { SnapshotFrom } from 'xstate';
import { percpuRefKill } from '../../machines/paths/percpu-ref-kill.js';
import { percpuRefSwitch } from '../../machines/paths/percpu-ref-switch.js';
import { BIAS, percpuRef } from '../../machines/sync/percpu-ref.js';
import { rcu } from '../../machines/sync/rcu.js';
import { spinlock } from '../../machines/sync/spinlock.js';
import { pointer } from '../trace/event.js';
import type { Protocol, Rule, Scene } from '../trace/protocol.js';
import type { Hidden, World } from '../trace/worlds.js';
import { joinCaller, nameOf, taskOf } from './task.js';

type RefContext = SnapshotFrom<typeof percpuRef>['context'];

const group = 'percpu-ref';
const RCU = 'rcu';
const LOCK = 'percpu_ref_switch_lock';
/** The log does not say which CPU counts what: one counter stands for all. */
const allCpus = ['all'];
const refOf = (text: string | undefined): string => `ref:${pointer(text)}`;
const killOf = (ref: string): string => `percpu_ref_kill:${ref}`;
const switchOf = (ref: string): string => `percpu_ref_switch_to_atomic_rcu:${ref}`;
const stepOf = (actor: string): Hidden => ({ group, actor, event: { type: 'step' } });
const refIn = (scene: Scene, world: World, ref: string): RefContext => scene.cast.context(world, ref);

/** The counter, the bias of 2^63 as the model's. */
function counterOf(text: string | undefined): number {
  const logged = BigInt(text ?? 0);
  const biased = BigInt.asUintN(64, logged) - (1n << 63n);
  const far = 1n << 62n;
  return biased > -far && biased < far ? BIAS + Number(biased) : Number(BigInt.asIntN(64, logged));
}

/**
 * Grace periods as readers: a callback is owed one that begins after it was asked for. So there is always one reader that
 * leaves with the end of the next grace period to begin.
 */
const enters = (number: number) => ({ type: 'rcu.read_lock', from: `gp:${number}` });
const leaves = (number: number) => ({ type: 'rcu.read_unlock', from: `gp:${number}` });
const periodOf = (scene: Scene): number => Number(scene.notes.get('grace periods begun') ?? 0);
const entering = (number: number) => ({ kind: 'take' as const, actor: RCU, group, event: enters(number), says: 'a grace period begins', property: 'P22' });

const firstPeriod = (scene: Scene) => {
  scene.join(RCU, rcu);
  scene.join(LOCK, spinlock);
  if (scene.notes.has('grace periods begun')) return [];
  scene.note('grace periods begun', '0');
  return [entering(1)];
};

const periodBegins: Rule = (_event, _fields, scene) => {
  const first = firstPeriod(scene);
  const number = periodOf(scene) + 1;
  scene.note('grace periods begun', String(number));
  scene.note('grace period', 'under way');
  return [...first, entering(number + 1)];
};

const periodEnds: Rule = (_event, _fields, scene) => {
  const first = firstPeriod(scene);
  // One that began before the log tells nothing.
  if (!scene.notes.has('grace period')) return first;
  scene.note('grace period', null);
  return [...first, { kind: 'take', actor: RCU, group, event: leaves(periodOf(scene)), says: 'a grace period ends', property: 'P22' }];
};

const killed: Rule = (event, fields, scene) => {
  const ref = refOf(fields.ref);
  const from = joinCaller(scene);
  const first = firstPeriod(scene);
  const actors = [ref, switchOf(ref), killOf(ref)];
  const isAnew = scene.notes.has(`${ref} exited`);
  scene.note(`${ref} exited`, null);
  scene.join(ref, percpuRef, { cpus: allCpus, atomic: fields.atomic === '1' });
  scene.join(switchOf(ref), percpuRefSwitch, { ref, cpus: allCpus });
  scene.join(killOf(ref), percpuRefKill, { ref, rcu: RCU, switchLock: LOCK, callback: switchOf(ref) });
  if (scene.notes.has(`${taskOf(event)} memunmap_pages`)) scene.note(`${taskOf(event)} memunmap_pages`, ref);
  const says = `${nameOf(event)} kills ${ref}`;
  return [
    ...first,
    ...(isAnew ? [{ kind: 'learn' as const, worlds: (world: World) => [actors.reduce((next, actor) => scene.cast.anew(next, actor), world)] }] : []),
    { kind: 'is', actor: ref, where: (world) => refIn(scene, world, ref).dead === (fields.dead === '1'), says, property: 'P23' },
    { kind: 'take', actor: killOf(ref), group, event: { type: 'call', from }, says, property: 'P23' },
    { kind: 'hide', hidden: stepOf(killOf(ref)) },
  ];
};

const switchesMode: Rule = (_event, fields, scene) => {
  const ref = refOf(fields.ref);
  if (!scene.cast.has(killOf(ref))) return [];
  return [
    {
      kind: 'is',
      actor: killOf(ref),
      group,
      where: (world) => scene.cast.at(world, killOf(ref)) === '__percpu_ref_switch_mode',
      says: `${ref} is to be switched to atomic mode, and is dead already`,
      property: 'P22',
    },
  ];
};

const called: Rule = (_event, fields, scene) => {
  const ref = refOf(fields.ref);
  if (!scene.cast.has(switchOf(ref))) return [];
  const says = `the callback of ${ref} runs`;
  scene.note(`${ref} before`, String(counterOf(fields.count)));
  return [
    {
      kind: 'take',
      actor: RCU,
      group,
      event: { type: 'grace_period' },
      outcome: ({ deliveries, world }) => (deliveries().some(({ to, event }) => to === switchOf(ref) && event.type === 'rcu.callback') ? world : null),
      says,
      property: 'P22',
    },
    // Single gets and puts have no events: the counter is what the log says.
    { kind: 'learn', worlds: (world) => [scene.cast.learn(world, ref, { count: counterOf(fields.count) })] },
  ];
};

/** The last put of the switch (K7) is the last of all. */
const releases = (scene: Scene, world: World, ref: string): boolean =>
  scene.cast.at(world, switchOf(ref)) === 'percpu_ref_put' && refIn(scene, world, ref).count === 1;

const confirmed: Rule = (_event, fields, scene) => {
  const ref = refOf(fields.ref);
  if (!scene.cast.has(switchOf(ref))) return [];
  const count = counterOf(fields.count);
  const sum = count - (Number(scene.notes.get(`${ref} before`)) - BIAS);
  return [
    { kind: 'learn', worlds: (world) => [scene.cast.learn(world, ref, { pcpu: { all: sum } })] },
    // The put that releases is shown by the release.
    { kind: 'hide', hidden: { ...stepOf(switchOf(ref)), where: (world) => !releases(scene, world, ref) } },
    {
      kind: 'is',
      actor: switchOf(ref),
      group,
      reads: [switchOf(ref), ref],
      where: (world) => scene.cast.at(world, switchOf(ref)) === 'percpu_ref_call_confirm_rcu' && refIn(scene, world, ref).count === count,
      says: `the switch of ${ref} is confirmed with a count of ${count}`,
      property: 'P23',
    },
  ];
};

const released: Rule = (_event, fields, scene) => {
  const ref = refOf(fields.ref);
  if (!scene.cast.has(ref)) return [];
  return [
    {
      kind: 'is',
      actor: ref,
      group,
      reads: [ref, switchOf(ref)],
      where: (world) =>
        releases(scene, world, ref) ||
        (scene.cast.rests(world, switchOf(ref)) &&
          scene.cast.at(world, ref) === 'atomic' &&
          refIn(scene, world, ref).dead &&
          refIn(scene, world, ref).released === 0),
      says: `${ref} is released`,
      property: 'P23',
    },
    {
      kind: 'learn',
      worlds: (world) => {
        const put = releases(scene, world, ref) ? scene.cast.take(world, switchOf(ref), { type: 'step' }) : null;
        // Else by the last put of a user, which has no event.
        return [put?.world ?? scene.cast.learn(world, ref, { released: 1, count: 0 })];
      },
    },
  ];
};

const unmapBegins: Rule = (event, _fields, scene) => {
  scene.note(`${taskOf(event)} memunmap_pages`, '');
  return [];
};
const unmapEnds: Rule = (event, _fields, scene) => {
  scene.note(`${taskOf(event)} memunmap_pages`, null);
  return [];
};

const memoryRemoved: Rule = (event, _fields, scene) => {
  const ref = scene.notes.get(`${taskOf(event)} memunmap_pages`);
  if (!ref || !scene.cast.has(ref)) return [];
  return [
    {
      kind: 'is',
      actor: ref,
      group,
      where: (world) => refIn(scene, world, ref).released === 1,
      says: `${nameOf(event)} removes the memory of the page map of ${ref}`,
      property: 'P24',
    },
  ];
};

const exited: Rule = (_event, fields, scene) => {
  const ref = refOf(fields.ref);
  if (!scene.cast.has(ref)) return [];
  return [
    {
      kind: 'take',
      actor: ref,
      group,
      event: { type: 'ref.exit', from: ref },
      where: (world) => refIn(scene, world, ref).dead && refIn(scene, world, ref).released === 1,
      says: `${ref} is freed`,
      property: 'P23',
    },
    { kind: 'show', hidden: stepOf(killOf(ref)) },
    { kind: 'show', hidden: stepOf(switchOf(ref)) },
    { kind: 'note', name: `${ref} exited`, value: 'yes' },
  ];
};

/** percpu_ref with its grace period, and the removal of a page map that waits for it. */
export const percpuRefs: Protocol = {
  id: 'percpu-ref',
  title: 'percpu_ref and the removal of a page map',
  scenarios: ['gup-unbind'],
  events: ['rcu'],
  properties: {
    P22: 'a percpu_ref goes atomic only after a grace period that began after its kill',
    P23: 'release runs only after kill, and after the switch to atomic mode',
    P24: "memory is removed only after its page map's last reference",
  },
  retires: (address, scene) => {
    const ref = /ref:\w+$/.exec(address)?.[0];
    return ref !== undefined && scene.notes.has(`${ref} exited`) ? (world) => world : null;
  },
  rules: {
    rcu_gp_init: periodBegins,
    rcu_gp_cleanup: periodEnds,
    percpu_ref_kill_and_confirm: killed,
    percpu_ref_switch_mode: switchesMode,
    percpu_ref_switch_to_atomic_rcu: called,
    percpu_ref_confirmed: confirmed,
    dev_pagemap_percpu_release: released,
    memunmap_pages: unmapBegins,
    memunmap_pages_ret: unmapEnds,
    arch_remove_memory: memoryRemoved,
    percpu_ref_exit: exited,
  },
};
