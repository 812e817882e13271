import { received, speaker } from 'shootdown';
import { addressSpace, cpu, folio, interconnect, pageAt, presentPte } from 'shootdown/machines';
import { createMachine, setup, spawnChild } from 'xstate';

const cpus = ['cpu0', 'cpu1'];
const { tell } = speaker();

/** The program's own actor among the shipped ones: it takes a page away, and asks both CPUs to flush what they have cached of it. */
const unmapper = setup({
  actions: {
    clearPte: tell('mm', { type: 'pte.clear', vpn: 0 }),
    nextGeneration: tell('mm', { type: 'tlb_gen.inc' }),
    sendIpis: tell('interconnect', ({ event }) => {
      const { gen } = received(event, 'tlb_gen');
      const request = { function: 'flush_tlb_func', mm: 'mm', vpns: [0], freedTables: false, gen };
      return { type: 'ipi.send', to: cpus, request };
    }),
  },
}).createMachine({
  id: 'unmapper',
  initial: 'mapped',
  states: {
    mapped: { on: { unmap: { target: 'cleared', actions: 'clearPte' } } },
    cleared: { on: { flush: { actions: 'nextGeneration' }, tlb_gen: { target: 'flushed', actions: 'sendIpis' } } },
    flushed: {},
  },
});

/** A user-mode thread: what its last store came to. */
const thread = createMachine({
  id: 'thread',
  initial: 'running',
  on: { 'access.done': '.stored', 'access.fault': '.faulted' },
  states: { running: {}, stored: {}, faulted: {} },
});

const spawn = (logic, address, input) => spawnChild(logic, { id: address, systemId: address, input });

/** Two CPUs on one address space with one page. Actors find each other by name, so all are children of one root. */
export const kernel = createMachine({
  id: 'kernel',
  entry: [
    spawn(folio, pageAt(0), { pfn: 0, idle: 0, refcount: 1, mapcount: 1, zone: 'normal' }),
    spawn(addressSpace, 'mm', { ptes: { 0: presentPte(0) }, vmas: [0], cpumask: cpus }),
    spawn(interconnect, 'interconnect', { cpus }),
    ...cpus.map((name) => spawn(cpu, name, { mm: 'mm', interconnect: 'interconnect' })),
    spawn(thread, 'thread', undefined),
    spawn(unmapper, 'unmapper', undefined),
  ],
});
