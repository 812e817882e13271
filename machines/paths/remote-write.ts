import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call } from '../call.js';

interface Context {
  /** The file, whose page cache this host has. */
  mapping: Address;
  coherence: Address;
  caller: Address;
  index: number;
  cell: string;
}

type Event = { type: 'step' } | Call<{ index: number; cell: string }> | Signed<{ type: 'write.value'; value: string }>;

const { tell } = speaker<Context, Event>();
const idle = { caller: '', index: -1, cell: '' };

/**
 * Another host writes a file of a network file system, or a block of a shared disk: what is stored changes, and this host
 * knows nothing of it until it revalidates. Domain table, part 2, 1c; row L9.
 */
export const remoteWrite = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as { mapping: Address; coherence: Address } },
  actions: {
    remember: assign(({ event }) => {
      const { from, index, cell } = received(event, 'call');
      return { caller: from, index, cell };
    }),
    beginWrite: tell(
      ({ context }) => context.coherence,
      ({ context }) => ({ type: 'write.begin', cell: context.cell }),
    ),
    store: tell(
      ({ context }) => context.mapping,
      ({ context, event }) => ({ type: 'stored.write', index: context.index, value: received(event, 'write.value').value }),
    ),
    return: tell(({ context }) => context.caller, { type: 'return' }),
    forget: assign(idle),
  },
}).createMachine({
  id: 'remote_write',
  context: ({ input }) => ({ ...input, ...idle }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'write_at_server', actions: 'remember' } } },
    write_at_server: {
      description: 'The server has the new bytes',
      on: { step: { actions: 'beginWrite' }, 'write.value': { target: 'idle', actions: ['store', 'return', 'forget'] } },
    },
  },
});
