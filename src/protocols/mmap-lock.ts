import { rwsem } from '../../machines/sync/rwsem.js';
import { pointer } from '../trace/event.js';
import type { Protocol, Rule, Scene } from '../trace/protocol.js';
import type { Hidden, World } from '../trace/worlds.js';
import { listener, nameOf, taskOf } from './task.js';

const lockOf = (mm: string): string => `mmap_lock:${mm}`;
const downgrade = (lock: string, task: string): Hidden => ({ group: lock, actor: lock, event: { type: 'downgrade_write', from: task } });
type Held = { writer: string | null; readers: string[] };

function joinLock(scene: Scene, mm: string): string {
  const lock = lockOf(mm);
  if (!scene.notes.has(`${lock} began`)) scene.note(`${lock} began`, 'unknown');
  scene.join(lock, rwsem);
  return lock;
}

const acquired: Rule = (event, fields, scene) => {
  if (fields.success !== 'true') return [];
  const task = taskOf(event);
  scene.join(task, listener);
  const lock = joinLock(scene, pointer(fields.mm));
  const write = fields.write === 'true';
  // Nobody can have held it since before the log when a writer takes it.
  if (write) scene.note(`${lock} began`, 'free');
  else if (scene.notes.get(`${lock} began`) === 'unknown') scene.note(`${lock} began`, 'readers');
  return [
    {
      kind: 'take',
      actor: lock,
      event: { type: write ? 'down_write' : 'down_read', from: task },
      does: { kind: 'sends', to: lock, event: { type: write ? 'down_write' : 'down_read' }, awaits: 'locked' },
      group: lock,
      outcome: ({ deliveries, world }) => (deliveries().some(({ to, event: { type } }) => to === task && type === 'locked') ? world : null),
      says: `${nameOf(event)} takes mmap_lock for ${write ? 'writing' : 'reading'}`,
      property: 'P13',
    },
    // A writer may become a reader, unseen.
    ...(write ? [{ kind: 'hide' as const, hidden: downgrade(lock, task) }] : []),
  ];
};

const released: Rule = (event, fields, scene) => {
  const task = taskOf(event);
  scene.join(task, listener);
  const lock = joinLock(scene, pointer(fields.mm));
  const write = fields.write === 'true';
  const began = scene.notes.get(`${lock} began`);
  const held = (world: World): Held => scene.cast.context(world, lock);
  return [
    // Held since before the log: by a writer if nobody else was seen to hold it, by a reader if no writer was.
    {
      kind: 'learn',
      worlds: (world) => {
        const { writer, readers } = held(world);
        if (writer === task || readers.includes(task)) return [world];
        if (write && began === 'unknown') return [scene.cast.learn(world, lock, { writer: task })];
        if (!write && began !== 'free') return [scene.cast.learn(world, lock, { readers: [...readers, task].sort() })];
        return [world];
      },
    },
    {
      kind: 'take',
      actor: lock,
      group: lock,
      event: { type: write ? 'up_write' : 'up_read', from: task },
      does: { kind: 'sends', to: lock, event: { type: write ? 'up_write' : 'up_read' }, awaits: null },
      says: `${nameOf(event)} releases mmap_lock, held for ${write ? 'writing' : 'reading'}`,
      property: 'P13',
    },
    { kind: 'show', hidden: downgrade(lock, task) },
  ];
};

/** mmap_lock of every address space, as `machines/sync/rwsem.ts` has it. */
export const mmapLock: Protocol = {
  id: 'mmap-lock',
  title: 'mmap_lock',
  scenarios: ['gup-unbind'],
  events: ['mmap_lock'],
  properties: { P13: 'mmap_lock: a writer is alone, and who releases it holds it' },
  retires: (address, scene) => {
    if (address.startsWith('task:')) return (world) => world;
    if (!address.startsWith(lockOf(''))) return null;
    const isFree = scene.worlds.every((world) => {
      const { writer, readers } = scene.cast.context(world, address) as Held;
      return writer === null && readers.length === 0;
    });
    return isFree ? (world) => world : null;
  },
  rules: { mmap_lock_acquire_returned: acquired, mmap_lock_released: released },
};
