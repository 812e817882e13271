import { actor, defineSystem, invariant, leadsTo } from 'shootdown';
import { network, resourceManager, transactionManager } from './machines.mjs';

/** A transaction manager and `count` resource managers. `tm` and `rm`: variants of the machines. */
export function twoPhaseCommit(id, count, { tm = transactionManager, rm = resourceManager } = {}) {
  const names = Array.from({ length: count }, (_, n) => `rm${n + 1}`);
  const manager = (name) =>
    actor(rm, { input: { name }, choices: ['RMPrepare', 'RMChooseToAbort', 'RMRcvCommitMsg', 'RMRcvAbortMsg'], path: true, lane: name });
  return defineSystem({
    id,
    actors: {
      tm: actor(tm, {
        input: { rms: names },
        choices: [...names.map((name) => ({ type: 'TMRcvPrepared', rm: name })), 'TMCommit', 'TMAbort'],
        path: true,
        lane: 'tm',
      }),
      ...Object.fromEntries(names.map((name) => [name, manager(name)])),
      network: actor(network),
    },
    properties: [
      invariant('TCConsistent', 'no resource manager has aborted while another has committed', {
        actors: names,
        holds: (rms) => !(names.some((name) => rms[name].matches('aborted')) && names.some((name) => rms[name].matches('committed'))),
      }),
      leadsTo('decides', 'every resource manager aborts or commits at last', {
        actors: names,
        when: () => true,
        reach: (rms) => names.every((name) => rms[name].hasTag('rest')),
      }),
    ],
  });
}

export const protocol = twoPhaseCommit('protocol', 3);
/** Commits as soon as it likes. */
export const hasty = twoPhaseCommit('hasty', 3, { tm: transactionManager.provide({ guards: { allPrepared: () => true } }) });
/** Gives up after it has said that it is prepared: a time-out that looks harmless. */
export const fickle = twoPhaseCommit('fickle', 3, { rm: resourceManager.provide({ guards: { keepsPromise: () => false } }) });
