import { fromTransition } from 'xstate';
import { rwsem } from '../../machines/sync/rwsem.js';
import { pointer } from '../trace/event.js';
import type { Protocol, Rule, Scene } from '../trace/protocol.js';
import type { Hidden, World } from '../trace/worlds.js';

/** A task as others see it: it hears, and says nothing. */
export const listener = fromTransition((context: null) => context, null);

const lockOf = (mm: string): string => `mmap_lock:${mm}`;
const taskOf = (pid: number): string => `task:${pid}`;
const downgrade = (lock: string, task: string): Hidden => ({ group: lock, actor: lock, event: { type: 'downgrade_write', from: task } as { type: string } });
type Held = { writer: string | null; readers: string[] };

function seen(scene: Scene, mm: string, task: string): string {
  const lock = lockOf(mm);
  scene.join(task, listener);
  if (!scene.notes.has(`${lock} began`)) scene.note(`${lock} began`, 'unknown');
  scene.join(lock, rwsem);
  return lock;
}

const acquired: Rule = (event, fields, scene) => {
  if (fields.success !== 'true') return [];
  const task = taskOf(event.pid);
  const lock = seen(scene, pointer(fields.mm), task);
  const write = fields.write === 'true';
  // Nobody can have held it since before the log when a writer takes it.
  if (write) scene.note(`${lock} began`, 'free');
  else if (scene.notes.get(`${lock} began`) === 'unknown') scene.note(`${lock} began`, 'readers');
  return [
    {
      kind: 'take',
      actor: lock,
      event: { type: write ? 'down_write' : 'down_read', from: task } as { type: string },
      group: lock,
      outcome: ({ deliveries, world }) => (deliveries().some(({ to, event: { type } }) => to === task && type === 'locked') ? world : null),
      says: `${event.task}-${event.pid} takes mmap_lock for ${write ? 'writing' : 'reading'}`,
      property: 'P13',
    },
    // A writer may become a reader, unseen.
    ...(write ? [{ kind: 'hide' as const, hidden: downgrade(lock, task) }] : []),
  ];
};

const released: Rule = (event, fields, scene) => {
  const task = taskOf(event.pid);
  const lock = seen(scene, pointer(fields.mm), task);
  const write = fields.write === 'true';
  const began = scene.notes.get(`${lock} began`);
  const held = (world: World): Held => scene.cast.context(world, lock);
  const from = { from: task };
  const take = (type: string) => ({
    kind: 'take' as const,
    actor: lock,
    group: lock,
    event: { type, ...from } as { type: string },
    says: `${event.task}-${event.pid} releases mmap_lock, held for ${write ? 'writing' : 'reading'}`,
    property: 'P13',
  });
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
    take(write ? 'up_write' : 'up_read'),
    { kind: 'show', hidden: downgrade(lock, task) },
  ];
};

/** mmap_lock of every address space, as `machines/sync/rwsem.ts` has it. */
export const mmapLock: Protocol = {
  id: 'mmap-lock',
  title: 'mmap_lock',
  events: ['mmap_lock'],
  properties: { P13: 'mmap_lock: a writer is alone, and who releases it holds it' },
  rules: { mmap_lock_acquire_returned: acquired, mmap_lock_released: released },
};
