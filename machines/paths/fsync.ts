import { assign, setup } from 'xstate';
import { type Address, received, type Signed, speaker } from '../../src/system/message.js';
import type { Call, Return } from '../call.js';
import { pageAt } from '../memory/address-space.js';

interface Input {
  /** The writeback path of its task. */
  writeback: Address;
  putPage: Address;
}

interface Context extends Input {
  caller: Address;
  mapping: Address;
  index: number;
  pfn: number;
  /** What the last call has returned to the user. */
  result: 'ok' | 'EIO' | null;
}

type Event =
  | { type: 'step' }
  | Call<{ mapping: Address; index: number }>
  | Return
  | Signed<{ type: 'slot'; pfn: number | null } | { type: 'folio.got' } | { type: 'folio.frozen' }>
  | Signed<{ type: 'writeback.ended' } | { type: 'mapping.error'; error: boolean }>;

const { tell } = speaker<Context, Event>();

/**
 * fsync of one page of a file: filemap_write_and_wait_range (mm/filemap.c, 6.12) writes it out, waits until whatever page stands there
 * is not under writeback, and asks whether a write has failed. Called with the place; returns `{ ok }`, and keeps what the
 * user is told in `result`. Domain table, part 2, row W8.
 */
export const fsync = setup({
  types: { context: {} as Context, events: {} as Event, input: {} as Input },
  guards: {
    isInCache: ({ event }) => received(event, 'slot').pfn !== null,
    hasFailed: ({ event }) => received(event, 'mapping.error').error,
  },
  actions: {
    remember: assign(({ event }) => {
      const { from, mapping, index } = received(event, 'call');
      return { caller: from, mapping, index, result: null };
    }),
    callWriteback: tell(
      ({ context }) => context.writeback,
      ({ context }) => ({ type: 'call', mapping: context.mapping, index: context.index }),
    ),
    readSlot: tell(
      ({ context }) => context.mapping,
      ({ context }) => ({ type: 'slot.read', index: context.index }),
    ),
    noteSlot: assign({ pfn: ({ event }) => received(event, 'slot').pfn as number }),
    tryGet: tell(({ context }) => pageAt(context.pfn), { type: 'folio.try_get' }),
    waitWriteback: tell(({ context }) => pageAt(context.pfn), { type: 'folio.wait_writeback' }),
    callPut: tell(
      ({ context }) => context.putPage,
      ({ context }) => ({ type: 'call', pfn: context.pfn, pinned: false }),
    ),
    checkError: tell(({ context }) => context.mapping, { type: 'mapping.check_error' }),
    succeed: assign({ result: 'ok' }),
    fail: assign({ result: 'EIO' }),
    return: tell(
      ({ context }) => context.caller,
      ({ context }) => ({ type: 'return', ok: context.result === 'ok' }),
    ),
    forget: assign({ caller: '', mapping: '', index: -1, pfn: -1 }),
  },
}).createMachine({
  id: 'fsync',
  context: ({ input }) => ({ ...input, caller: '', mapping: '', index: -1, pfn: -1, result: null }),
  initial: 'idle',
  states: {
    idle: { tags: ['rest'], description: 'Not called', on: { call: { target: 'filemap_fdatawrite_range', actions: 'remember' } } },
    filemap_fdatawrite_range: {
      description: 'Writes out what is dirty; does not wait for it',
      entry: 'callWriteback',
      on: { return: { target: 'filemap_fdatawait_range' } },
    },
    filemap_fdatawait_range: {
      description: 'Which page stands there now? Looks, and takes a reference',
      on: {
        step: { actions: 'readSlot' },
        slot: [{ guard: 'isInCache', target: 'folio_try_get', actions: 'noteSlot' }, { target: 'filemap_check_errors' }],
      },
    },
    folio_try_get: {
      description: 'A folio that is being taken away has no reference to add to: looks again',
      entry: 'tryGet',
      on: { 'folio.got': { target: 'folio_wait_writeback' }, 'folio.frozen': { target: 'filemap_fdatawait_range' } },
    },
    folio_wait_writeback: { description: 'Is it under writeback?', on: { step: { target: 'wait_on_writeback', actions: 'waitWriteback' } } },
    wait_on_writeback: { description: 'Sleeps until its writes have ended', on: { 'writeback.ended': { target: 'folio_put' } } },
    folio_put: { description: 'Gives the reference back', entry: 'callPut', on: { return: { target: 'filemap_check_errors' } } },
    filemap_check_errors: {
      description: 'Has a write of this file failed? Who asks is told once',
      on: {
        step: { actions: 'checkError' },
        'mapping.error': [
          { guard: 'hasFailed', target: 'idle', actions: ['fail', 'return', 'forget'] },
          { target: 'idle', actions: ['succeed', 'return', 'forget'] },
        ],
      },
    },
  },
});
