import { setup } from 'xstate';
import { type Signed, speaker } from '../../src/system/message.js';

interface Context {
  /** From the start, as where the driver's probe is over. */
  alive: boolean;
}

type Event = Signed<{ type: 'dax.alive' } | { type: 'dax.kill' } | { type: 'dax.run' }>;

const { reply } = speaker<Context, Event>();

/** A struct dax_device (drivers/dax/super.c): the DAXDEV_ALIVE bit. Who reads it is inside dax_srcu. Domain table 1.e. */
export const daxDevice = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as { alive?: boolean } | undefined },
  guards: { isAlive: ({ context }) => context.alive },
  actions: { replyAlive: reply({ type: 'dax.state', state: 'alive' }), replyDead: reply({ type: 'dax.state', state: 'dead' }) },
}).createMachine({
  id: 'dax_device',
  context: ({ input }) => ({ alive: input?.alive ?? true }),
  initial: 'alloc_dax',
  states: {
    alloc_dax: {
      description: 'A device whose driver has probed it already, or one that is still to be run',
      always: [{ guard: 'isAlive', target: 'alive' }, { target: 'dead' }],
    },
    alive: {
      description: 'DAXDEV_ALIVE is set',
      on: { 'dax.alive': { actions: 'replyAlive' }, 'dax.kill': { target: 'dead' }, 'dax.run': { description: 'again' } },
    },
    dead: {
      description: 'run_dax has not set DAXDEV_ALIVE yet, or kill_dax has cleared it',
      on: { 'dax.alive': { actions: 'replyDead' }, 'dax.kill': { description: 'again' }, 'dax.run': { target: 'alive' } },
    },
  },
});
