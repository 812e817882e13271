import { setup } from 'xstate';
import { type Signed, speaker } from '../../src/system/message.js';

type Event = Signed<{ type: 'dax.alive' } | { type: 'dax.kill' }>;

const { reply } = speaker<Record<string, never>, Event>();

/** A struct dax_device (drivers/dax/super.c): the DAXDEV_ALIVE bit. Who reads it is inside dax_srcu. Domain table 1.e. */
export const daxDevice = setup({
  types: { context: {} as Record<string, never>, events: {} as Event },
  actions: { replyAlive: reply({ type: 'dax.state', state: 'alive' }), replyDead: reply({ type: 'dax.state', state: 'dead' }) },
}).createMachine({
  id: 'dax_device',
  context: {},
  initial: 'alive',
  states: {
    alive: { description: 'DAXDEV_ALIVE is set', on: { 'dax.alive': { actions: 'replyAlive' }, 'dax.kill': 'dead' } },
    dead: { description: 'kill_dax cleared DAXDEV_ALIVE', on: { 'dax.alive': { actions: 'replyDead' }, 'dax.kill': { description: 'again' } } },
  },
});
