import type { SnapshotFrom } from 'xstate';
import type { cpu } from '../../machines/hardware/cpu.js';
import type { Protocol, Rule } from '../trace/protocol.js';

import { joinCaller, nameOf, taskOf } from './task.js';
import { joinCpu } from './tlb.js';

type CpuContext = SnapshotFrom<typeof cpu>['context'];

const begins: Rule = (event, _fields, scene) => {
  const on = joinCpu(scene, event.cpu);
  const from = joinCaller(scene);
  const says = `${nameOf(event)} walks page tables with interrupts ${event.irqsOff ? 'off' : 'on'}`;
  return [
    {
      kind: 'take',
      actor: on,
      event: { type: 'irq.save', from },
      does: { kind: 'sends', to: on, event: { type: 'irq.save' }, awaits: null },
      where: () => event.irqsOff,
      says,
      property: 'P11',
    },
    { kind: 'note', name: `${on} walking`, value: taskOf(event) },
  ];
};

const ends: Rule = (event, _fields, scene) => {
  const on = joinCpu(scene, event.cpu);
  const task = scene.notes.get(`${on} walking`);
  // It began before the log.
  if (task === undefined) return [];
  const says = `${nameOf(event)} ends its walk on CPU ${event.cpu}`;
  return [
    { kind: 'is', actor: on, where: () => task === taskOf(event), says, property: 'P11b' },
    {
      kind: 'take',
      actor: on,
      event: { type: 'irq.restore', from: joinCaller(scene) },
      does: { kind: 'sends', to: on, event: { type: 'irq.restore' }, awaits: null },
      says,
      property: 'P11',
    },
    { kind: 'note', name: `${on} walking`, value: null },
  ];
};

const interrupted =
  (what: string): Rule =>
  (event, _fields, scene) => {
    const on = joinCpu(scene, event.cpu);
    return [
      {
        kind: 'is',
        actor: on,
        where: (world) => (scene.cast.context(world, on) as CpuContext).irqDepth === 0,
        says: `CPU ${event.cpu} ${what}`,
        property: 'P11b',
      },
    ];
  };

const interrupt = interrupted('takes an interrupt');

/** The section of gup-fast in which interrupts are off, so that flush IPIs wait. */
export const gupFast: Protocol = {
  id: 'gup-fast',
  title: 'gup-fast against IPIs',
  scenarios: ['gup-unbind'],
  events: ['irq_vectors', 'sched:sched_switch'],
  properties: {
    P11: 'gup-fast walks page tables with interrupts off',
    P11b: 'no interrupt and no context switch comes in between',
  },
  rules: {
    gup_fast_pte_range: begins,
    gup_fast_pte_range_ret: ends,
    call_function_entry: interrupt,
    call_function_single_entry: interrupt,
    reschedule_entry: interrupt,
    sched_switch: interrupted('switches to another task'),
  },
};
