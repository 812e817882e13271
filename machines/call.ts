import type { Signed } from '../src/system/message.js';

/**
 * How paths call each other, as functions of the kernel do: `call` starts a path that is idle, `return` goes back to the
 * caller. Neither is a step of its own: a call is part of the caller's last step, a return of the callee's.
 */
export type Call<Arguments extends object = object> = Signed<{ type: 'call' } & Arguments>;
export type Return<Result extends object = object> = Signed<{ type: 'return' } & Result>;
