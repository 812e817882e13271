import { createActor, createMachine, spawnChild } from 'xstate';
import { type Dispatch, scheduler } from '../../actors/scheduler.js';
import { actor, defineSystem, LiveSystem } from '../../src/index.js';
import { schedulerAddress } from '../../src/system/system.js';
import { probe } from '../machines/probe.js';

test('it gives each choice to its actor, and counts them', () => {
  const lamp = createMachine({ id: 'lamp', initial: 'off', states: { off: { on: { toggle: 'on' } }, on: { on: { toggle: 'off' } } } });
  const lamps = ['left', 'right'].map((id) => spawnChild(lamp, { id, systemId: id }));
  const root = createActor(createMachine({ entry: [...lamps, spawnChild(scheduler, { id: 'scheduler', systemId: 'scheduler' })] })).start();
  const dispatch = (address: string): Dispatch => ({ type: 'choice', address, event: { type: 'toggle' } });
  for (const address of ['left', 'right', 'left']) root.system.get('scheduler')?.send(dispatch(address));
  expect(root.system.get('left')?.getSnapshot().value).toBe('off');
  expect(root.system.get('right')?.getSnapshot().value).toBe('on');
  expect(root.system.get('scheduler')?.getSnapshot().context).toEqual({ taken: 3 });
  root.stop();
});

test('in a live system every choice goes through it, and nothing else', () => {
  const system = defineSystem({ id: 's', actors: { q: probe(), p: probe([{ to: 'q', message: { type: 'hello' } }]), still: actor(createMachine({})) } });
  const received: unknown[] = [];
  const live = new LiveSystem(system, {
    inspect: (event) => {
      if (event.type === '@xstate.event' && (event.actorRef as { id?: string }).id === schedulerAddress) received.push(event.event);
    },
  });
  live.take(live.enabled()[0] as never);
  expect(received.filter((event) => (event as { type: string }).type !== 'xstate.init')).toEqual([{ type: 'choice', address: 'p', event: { type: 'step' } }]);
  live.stop();
});
