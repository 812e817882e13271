import { useActorRef, useSelector } from '@xstate/react';
import { kernel } from './kernel.mjs';

/** A button for a choice: it can be pressed when the actor would take the event. */
function Choice({ actor, event, children }) {
  const enabled = useSelector(actor, (snapshot) => snapshot.can(event));
  return (
    <button type="button" disabled={!enabled} onClick={() => actor.send(event)}>
      {children}
    </button>
  );
}

const pteText = (pte) => (pte.kind === 'present' ? `page ${pte.pfn}${pte.dirty ? ', dirty' : ''}` : pte.kind);

function PageTable({ mm }) {
  const ptes = useSelector(mm, (snapshot) => snapshot.context.ptes);
  const gen = useSelector(mm, (snapshot) => snapshot.context.tlbGen);
  return (
    <section id="mm">
      <h2>Page table</h2>
      <p className="pte">0: {pteText(ptes[0])}</p>
      <p>tlb_gen {gen}</p>
    </section>
  );
}

function Cpu({ name, kernel: { system } }) {
  const cpu = system.get(name);
  const { tlb, pending } = useSelector(cpu, (snapshot) => snapshot.context);
  const present = useSelector(system.get('mm'), (snapshot) => snapshot.context.ptes[0].kind === 'present');
  const entries = Object.entries(tlb);
  return (
    <section id={name}>
      <h2>{name}</h2>
      <p className="tlb">
        TLB: {entries.length === 0 ? 'empty' : entries.map(([key, { pfn }]) => `${key} to page ${pfn}${present ? '' : ', stale'}`).join('; ')}
      </p>
      <p>IPIs latched: {pending.length}</p>
      <Choice actor={cpu} event={{ type: 'fill', vpn: 0 }}>
        fill
      </Choice>
      <Choice actor={cpu} event={{ type: 'evict', vpn: 0 }}>
        evict
      </Choice>
      <Choice actor={cpu} event={{ type: 'access', vpn: 0, write: true, from: 'thread' }}>
        store
      </Choice>
      <button type="button" onClick={() => system.get('interconnect').send({ type: 'deliver', to: name })}>
        deliver IPI
      </button>
      <Choice actor={cpu} event={{ type: 'interrupt' }}>
        interrupt
      </Choice>
    </section>
  );
}

/** The machines of a running kernel. */
export function Machine({ actor }) {
  const thread = useSelector(actor.system.get('thread'), (snapshot) => snapshot.value);
  const unmapper = actor.system.get('unmapper');
  return (
    <main>
      <PageTable mm={actor.system.get('mm')} />
      <Choice actor={unmapper} event={{ type: 'unmap' }}>
        unmap
      </Choice>
      <Choice actor={unmapper} event={{ type: 'flush' }}>
        flush
      </Choice>
      <Cpu name="cpu0" kernel={actor} />
      <Cpu name="cpu1" kernel={actor} />
      <p id="thread">Last store: {thread}</p>
    </main>
  );
}

export const App = () => <Machine actor={useActorRef(kernel)} />;
