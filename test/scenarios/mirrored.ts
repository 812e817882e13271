import { isDeepStrictEqual } from 'node:util';
import type { AnyMachineSnapshot } from 'xstate';
import type { DevicePte, Pte } from '../../machines/index.js';
import { alwaysEventually, explore, invariant, LiveSystem, type Property, type System } from '../../src/index.js';
import { randomNumbers } from '../../src/live/strategies.js';
import { type DeviceCall, type Mirror, type MirrorCall, type MirrorSetup, type MirrorThread, mirror } from '../../src/scenarios/mmu-notifier-setup.js';
import { mirrorSystem } from '../../src/scenarios/mmu-notifier-system.js';
import type { Choice } from '../../src/system/system.js';

type What = Exclude<MirrorCall['do'], 'slab'>;

export const on = (what: What, vpn = 0): MirrorCall => ({ do: what, vpn });
/** Threads; those of the process do this with its first page. */
export const user = (...program: (MirrorCall | What)[]): MirrorThread => ({
  mm: 'p',
  program: program.map((call) => (typeof call === 'string' ? on(call) : call)),
});
export const child = (...program: What[]): MirrorThread => ({ ...user(...program), mm: 'child' });
export const kernel = (...program: (MirrorCall | What)[]): MirrorThread => ({ ...user(...program), mm: null });
/** A device that does this with the first page. */
export const device = (...program: (DeviceCall | DeviceCall['do'])[]): Mirror => ({
  program: program.map((call) => (typeof call === 'string' ? { do: call, vpn: 0 } : call)),
});
/** The same with so many page frames of its own. */
export const withMemory = (memory: number, ...program: (DeviceCall | DeviceCall['do'])[]): Mirror => ({ ...device(...program), memory });

// biome-ignore lint/suspicious/noExplicitAny: of any actor, by its address
type Contexts = Record<string, any>;
type Snapshots = Record<string, AnyMachineSnapshot>;

const addresses = ({ actors }: System, is: RegExp): string[] => actors.flatMap(({ address }) => (is.test(address) ? [address] : []));
const threadsOf = (system: System): string[] => addresses(system, /^task\d+$|\.thread$/);
const isOver = ({ value }: AnyMachineSnapshot): boolean => value === 'exited' || value === 'not_forked';

/** How many ptes of these address spaces lead to a frame. */
const mappingsOf = (snapshots: Snapshots, spaces: readonly string[], pfn: number): number =>
  spaces
    .flatMap((mm) => Object.values((snapshots[mm] as AnyMachineSnapshot).context.ptes as Record<string, Pte>))
    .filter((pte) => 'pfn' in pte && pte.pfn === pfn).length;

/** What users of a mirror rely on, beside the properties of its system. */
function promises(system: System): Property[] {
  const threads = threadsOf(system);
  const pages = addresses(system, /^page\d+$/);
  const spaces = addresses(system, /^(p|child)$/);
  const allocators = addresses(system, /^allocator$|^memory_/);
  const first = firstContexts(system);
  const locks = addresses(system, /_lock|^ptl_|^mutex_|^mmu_notifier_p$/);
  const over = (snapshots: Snapshots): boolean => threads.every((thread) => isOver(snapshots[thread] as AnyMachineSnapshot));
  return [
    invariant<Snapshots>('coherent', 'whoever reads has the latest value that was written, and no write is lost', {
      actors: ['coherence'],
      holds: (snapshots) => (snapshots.coherence as AnyMachineSnapshot).context.broken.length === 0,
    }),
    invariant<Snapshots>('accounts', 'in the end each page has the references of its ptes, or of the kernel, and a page without is free', {
      actors: [...threads, ...pages, ...spaces, ...allocators],
      when: over,
      holds: (snapshots) =>
        pages.every((address) => {
          const { value, context } = snapshots[address] as AnyMachineSnapshot;
          const mappings = mappingsOf(snapshots, spaces, context.pfn);
          const references = mappings + (context.content === 'slab' ? 1 : 0);
          const home = context.device === null ? 'allocator' : `memory_${context.device}`;
          const lists = allocators.filter((at) =>
            (snapshots[at] as AnyMachineSnapshot).context.free.some(({ pfns }: { pfns: number[] }) => pfns.includes(context.pfn)),
          );
          const listed = references === 0 ? [home] : [];
          return (
            context.refcount === references && context.mapcount === mappings && (value === 'free') === (references === 0) && isDeepStrictEqual(lists, listed)
          );
        }),
    }),
    invariant<Snapshots>('released', 'in the end no lock is held, nothing invalidates and nobody is subscribed', {
      actors: [...threads, ...locks],
      when: over,
      holds: (snapshots) => locks.every((address) => isDeepStrictEqual((snapshots[address] as AnyMachineSnapshot).context, first[address])),
    }),
    alwaysEventually<Snapshots>('ends', 'every thread comes to its end', { actors: threads, reach: over }),
  ];
}

/** The contexts of all actors at first; that of a lock is so again when nobody holds it. */
function firstContexts(system: System): Contexts {
  const live = new LiveSystem(system);
  const contexts = Object.fromEntries(system.actors.map(({ address }) => [address, (live.snapshot(address) as AnyMachineSnapshot).context]));
  live.stop();
  return contexts;
}

export function mirrored(setup: Partial<MirrorSetup>): System {
  const system = mirrorSystem('mirror', { ...mirror, ...setup });
  return { ...system, properties: [...system.properties, ...promises(system)] };
}

/** What is violated over all interleavings; each promise was put to the test, but those about an end where nobody need come to one. */
export function explored(setup: Partial<MirrorSetup>): string[] {
  const { exhausted, properties, ignoredMessages } = explore(mirrored(setup), { stop: () => false });
  expect({ exhausted, ignoredMessages }).toEqual({ exhausted: true, ignoredMessages: [] });
  const violated = properties.flatMap(({ name, violation }) => (violation ? [name] : []));
  const tested = violated.includes('ends') ? ['coherent'] : ['coherent', 'accounts', 'released', 'ends'];
  expect(properties.filter(({ name, evaluations }) => tested.includes(name) && evaluations === 0).map(({ name }) => name)).toEqual([]);
  return violated.sort();
}

/** A system on live XState, and what was read and written in it. */
export class Course {
  private readonly live: LiveSystem;
  private readonly heard: { by: string; type: string; vpn: number; write: boolean; value: string | null }[] = [];

  constructor(private readonly system: System) {
    this.live = new LiveSystem(system);
    this.live.messages.subscribe(({ to, event }) => {
      if (event.type !== 'mmu.done' && event.type !== 'access.done') return;
      const { vpn, write = false, value = null } = event as { type: string; vpn: number; write?: boolean; value?: string | null };
      this.heard.push({ by: to, type: event.type, vpn, write, value });
    });
  }

  /** Each of these in turn does its next call, to the end; nobody else moves, but for interrupts. */
  turns(...threads: string[]): this {
    for (const thread of threads) this.turn(thread);
    return this;
  }

  /** Any fair choices in random order, until every thread has come to its end. */
  atRandom(seed: number): this {
    const next = randomNumbers(seed);
    for (let steps = 0; steps < 3000; steps++) {
      const choices = this.live.enabled().filter(({ fair }) => fair);
      if (choices.length === 0) break;
      this.take(choices[Math.floor(next() * choices.length)] as Choice);
    }
    expect(threadsOf(this.system).filter((thread) => !isOver(this.live.snapshot(thread) as AnyMachineSnapshot))).toEqual([]);
    return this;
  }

  /** What `gpu0`, `access0` ... has read or written, in order. */
  values(of: string): (string | null)[] {
    const by = of.startsWith('gpu') ? `${of}.access` : of;
    return this.heard.flatMap((access) => (access.by === by ? [access.value] : []));
  }

  /** What a device has mapped of the first page: as text, `frame rights`. */
  mapped(gpu: string, vpn = 0): string {
    const pte = this.contextOf(gpu).ptes[vpn] as DevicePte | undefined;
    return pte === undefined ? 'nothing' : `page${pte.pfn} ${pte.atomic ? 'atomic' : pte.write ? 'write' : 'read'}`;
  }

  /** What the process, or its child, has there: `kind frame rights`. */
  pte(vpn = 0, mm = 'p'): string {
    const pte = (this.contextOf(mm).ptes[vpn] ?? { kind: 'none' }) as Pte;
    const right = 'write' in pte && pte.kind !== 'devexcl' ? (pte.write ? ' write' : ' read') : '';
    return `pfn` in pte ? `${pte.kind} page${pte.pfn}${right}` : pte.kind;
  }

  /** The frames that are free. */
  get free(): number[] {
    return addresses(this.system, /^page\d+$/).flatMap((address) =>
      (this.live.snapshot(address) as AnyMachineSnapshot).value === 'free' ? [this.contextOf(address).pfn] : [],
    );
  }

  private contextOf(address: string): Contexts {
    return (this.live.snapshot(address) as AnyMachineSnapshot).context;
  }

  private turn(thread: string): void {
    const left = (): number => this.contextOf(thread).program.length;
    const lanes = new Set(this.system.actors.flatMap(({ address, lane }) => (address === thread ? [lane] : [])));
    const gpu = thread.endsWith('.thread') ? thread.replace('.thread', '') : null;
    for (const { lane } of this.system.actors) if (gpu !== null && lane?.endsWith(`(nouveau, ${gpu})`)) lanes.add(lane);
    const before = left();
    for (let steps = 0; left() === before; steps++) {
      const choice = this.live
        .enabled()
        .find(({ fair, actor, event }) => fair && (lanes.has(actor.lane) || event.type === 'interrupt' || event.type === 'deliver'));
      if (choice === undefined || steps === 1000) throw new Error(`'${thread}' cannot go on`);
      this.take(choice);
    }
  }

  private take(choice: Choice): void {
    this.live.take(choice);
    expect(this.live.bugs().map(({ description }) => description)).toEqual([]);
  }
}

export const course = (setup: Partial<MirrorSetup>): Course => new Course(mirrored(setup));
