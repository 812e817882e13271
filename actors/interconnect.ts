import { fromTransition } from 'xstate';
import type { IpiRequest } from '../machines/hardware/cpu.js';
import type { FlushRequest } from '../machines/memory/address-space.js';
import { type Address, post, type Signed } from '../src/system/message.js';

interface Context {
  cpus: readonly Address[];
  /** IPIs sent and not yet latched by their target. */
  inFlight: readonly { to: Address; request: IpiRequest; initiator: Address }[];
  /** Per initiator, the targets that have not acknowledged yet. */
  unacknowledged: Readonly<Record<Address, number>>;
  /** Initiators that wait for all their targets. */
  waiting: readonly Address[];
}

type Event =
  | { type: 'deliver'; to: Address }
  | Signed<{ type: 'ipi.send'; to: Address[]; request: IpiRequest }>
  | Signed<{ type: 'ipi.wait' }>
  | Signed<{ type: 'ipi.ack'; initiator: Address }>
  | Signed<{ type: 'tlbi'; request: FlushRequest }>;

/**
 * What connects the CPUs. IPIs are on their way until the choice `deliver` latches the first one for a CPU in its
 * pending set; an initiator that asks with `ipi.wait` is told `ipi.done` when all its targets have acknowledged. A broadcast invalidation (`tlbi`:
 * arm64 TLBI+DSB, x86 INVLPGB+TLBSYNC) drops the entries of every CPU at once and waits for no software.
 */
export const interconnect = fromTransition(
  (context: Context, event: Event, scope): Context => {
    switch (event.type) {
      case 'ipi.send':
        if (event.to.length === 0) return context;
        return {
          ...context,
          // By target: between targets the order of sending says nothing.
          inFlight: [...context.inFlight, ...event.to.map((to) => ({ to, request: event.request, initiator: event.from }))].sort((a, b) =>
            a.to < b.to ? -1 : Number(a.to > b.to),
          ),
          unacknowledged: { ...context.unacknowledged, [event.from]: (context.unacknowledged[event.from] ?? 0) + event.to.length },
        };
      case 'ipi.wait': {
        if ((context.unacknowledged[event.from] ?? 0) > 0) return { ...context, waiting: [...context.waiting, event.from].sort() };
        post(scope, event.from, { type: 'ipi.done' });
        return context;
      }
      case 'deliver': {
        const ipi = context.inFlight.find(({ to }) => to === event.to);
        if (!ipi) return context;
        post(scope, ipi.to, { type: 'ipi', request: ipi.request, initiator: ipi.initiator } as { type: string });
        return { ...context, inFlight: context.inFlight.filter((other) => other !== ipi) };
      }
      case 'ipi.ack': {
        const { [event.initiator]: before = 0, ...others } = context.unacknowledged;
        if (before > 1) return { ...context, unacknowledged: { ...others, [event.initiator]: before - 1 } };
        if (!context.waiting.includes(event.initiator)) return { ...context, unacknowledged: others };
        post(scope, event.initiator, { type: 'ipi.done' });
        return { ...context, unacknowledged: others, waiting: context.waiting.filter((initiator) => initiator !== event.initiator) };
      }
      case 'tlbi': {
        for (const cpu of context.cpus) post(scope, cpu, { type: 'tlb.invalidate', request: event.request } as { type: string });
        post(scope, event.from, { type: 'ipi.done' });
        return context;
      }
    }
  },
  ({ input }: { input: { cpus: Address[] } }): Context => ({ cpus: input.cpus, inFlight: [], unacknowledged: {}, waiting: [] }),
);
