/**
 * Shows a live system of XState 5 actors in viewers of the older protocol: `@xstate/inspect` takes services of XState 4, so each
 * actor is given the form of one.
 *
 * @typedef {import('shootdown').LiveSystem} LiveSystem
 */

/** A v5 config with v4's names. Nothing else differs in what a viewer draws. */
function configOf(config) {
  if (Array.isArray(config)) return config.map(configOf);
  if (typeof config !== 'object' || config === null) return config;
  return Object.fromEntries(Object.entries(config).map(([key, value]) => [key === 'guard' ? 'cond' : key, key === 'meta' ? value : configOf(value)]));
}

const isMachine = (logic) => '__xstatenode' in logic;

/** Logic without states is one that is always active. */
const machineOf = ({ logic, address }) =>
  isMachine(logic) ? { ...configOf(logic.config), id: address, context: {} } : { id: address, initial: 'active', states: { active: {} } };

/** A snapshot as a state of XState 4. */
function stateOf(snapshot, event, sessionId) {
  return {
    value: snapshot.value ?? snapshot.status,
    context: snapshot.context ?? null,
    event,
    _event: { name: event.type, data: event, $$type: 'scxml', type: 'external' },
    _sessionid: sessionId,
    actions: [],
    activities: {},
    meta: {},
    events: [],
    configuration: [],
    transitions: [],
    children: {},
    done: snapshot.status !== 'active',
    tags: [...(snapshot.tags ?? [])],
    changed: true,
  };
}

/** An actor as a service of XState 4. */
class Service {
  listeners = new Set();
  stopping = new Set();
  /** Set while this side tells what has happened; else it is a viewer that speaks. */
  telling = false;

  constructor(live, actor) {
    this.live = live;
    this.actor = actor;
    this.id = actor.address;
    this.sessionId = `x:${actor.address}`;
    const definition = machineOf(actor);
    // Written as it is on registering, and as its definition when a viewer greets.
    this.machine = { definition, toJSON: () => definition };
    this.initialState = stateOf(live.snapshot(actor.address), { type: 'xstate.init' }, this.sessionId);
    this.state = this.initialState;
  }

  // `@xstate/inspect` replaces `send`, to hear of events before they are taken.
  send = (event) => {
    if (this.telling) return;
    const { name = event.type } = event;
    const choice = this.live.enabled().find(({ actor, event: { type } }) => actor === this.actor && type === name);
    if (choice) this.live.take(choice);
  };

  subscribe(listener) {
    this.listeners.add(listener);
    return { unsubscribe: () => this.listeners.delete(listener) };
  }

  onStop(listener) {
    this.stopping.add(listener);
    return this;
  }

  told(event) {
    this.telling = true;
    this.send(event);
    this.telling = false;
  }

  moved(event) {
    this.state = stateOf(this.live.snapshot(this.actor.address), event, this.sessionId);
    for (const listener of this.listeners) listener(this.state);
  }

  stop() {
    for (const listener of this.stopping) listener();
  }
}

/**
 * Registers every actor of a live system with the inspector that runs (`inspect` of `@xstate/inspect` must have been called).
 * Returns how to take them away again.
 * @param {LiveSystem} live
 * @returns {() => void}
 * @throws {Error} when no inspector runs.
 */
export function bridge(live) {
  const tools = globalThis.__xstate__;
  if (!tools) throw new Error("no inspector runs: call 'inspect' of @xstate/inspect first");
  const services = new Map(live.system.actors.map((actor) => [actor.address, new Service(live, actor)]));
  for (const service of services.values()) tools.register(service);
  const subscription = live.steps.subscribe(({ messages, changed }) => {
    const last = new Map();
    for (const { to, event } of messages) {
      last.set(to, event);
      services.get(to)?.told(event);
    }
    for (const { actor } of changed) services.get(actor.address)?.moved(last.get(actor.address) ?? { type: 'step' });
  });
  return () => {
    subscription.unsubscribe();
    for (const service of services.values()) service.stop();
  };
}
