import { useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react';
import { count, thousands } from '../src/format/text.js';
import { activeIds, chartOf } from '../src/inspect/chart.js';
import { sentenceOf } from '../src/inspect/sentence.js';
import { expectedVerdict, type Scenario, scenarios, type Variant } from '../src/scenarios/index.js';
import { messageOf } from '../src/system/errors.js';
import { isMachine } from '../src/system/logic.js';
import type { SystemActor } from '../src/system/system.js';
import { isMachineSnapshot } from '../src/system/view.js';
import { Chart } from './Chart.js';
import { Lanes } from './Lanes.js';
import { Live } from './Live.js';
import { LogView } from './LogView.js';
import { useRelay } from './relay.js';
import { Choices, Details, Properties } from './Side.js';
import { Steps } from './Steps.js';
import { useDistances, useSearch } from './search.js';
import { download, fileOf, shares, tokenIn } from './share.js';
import type { Store } from './store.js';

type View = 'lanes' | 'steps' | 'chart' | 'log' | 'live';
const views: Readonly<Record<View, string>> = { lanes: 'Lanes', steps: 'Table', chart: 'Statechart', log: 'Kernel log', live: 'Live apps' };
const mostStates = 3_000_000;

const keys = [
  ['1 to 9', 'take that choice'],
  ['← or u', 'undo a step'],
  ['→ or r', 'redo a step'],
  ['Home, End', 'to the first or the last step'],
  ['space', 'run at random, or pause'],
  ['f', 'find violations'],
  ['d', 'show distances, or not'],
  ['?', 'this list'],
] as const;

/** Which scenario, variant and parameters; what it asks, and what is expected of it. */
function Chooser({ store }: { store: Store }) {
  const { scenario, variant, parameters } = store.case;
  const expected = expectedVerdict(variant);
  const choose = (next: Scenario, one: Variant | undefined, given: Record<string, string | number> = {}): void => {
    if (one) store.choose(next, one, given);
  };
  const settable = Object.entries(scenario.parameters).filter(([name]) => variant.fixed?.[name] === undefined);
  const set = (name: string, value: string): void =>
    choose(scenario, variant, { ...Object.fromEntries(settable.map(([each]) => [each, parameters[each] as string | number])), [name]: value });
  return (
    <header className="chooser">
      <div className="pickers">
        <h1>Shootdown</h1>
        <label>
          Scenario
          <select
            value={scenario.id}
            onChange={({ target }) => {
              const next = scenarios.find(({ id }) => id === target.value);
              if (next) choose(next, next.variants[0]);
            }}
          >
            {scenarios.map(({ id }) => (
              <option key={id}>{id}</option>
            ))}
          </select>
        </label>
        <label>
          Variant
          <select
            value={variant.id}
            onChange={({ target }) =>
              choose(
                scenario,
                scenario.variants.find(({ id }) => id === target.value),
              )
            }
          >
            {scenario.variants.map(({ id, summary }) => (
              <option key={id} value={id}>{`${id}: ${summary}`}</option>
            ))}
          </select>
        </label>
        {settable.map(([name, spec]) => (
          <label key={name} title={spec.description} htmlFor={`parameter-${name}`}>
            {name}
            {'values' in spec ? (
              <select id={`parameter-${name}`} value={parameters[name]} onChange={({ target }) => set(name, target.value)}>
                {spec.values.map((value) => (
                  <option key={value}>{value}</option>
                ))}
              </select>
            ) : (
              <input
                id={`parameter-${name}`}
                type="number"
                min={spec.min}
                max={spec.max}
                value={parameters[name]}
                onChange={({ target }) => set(name, target.value)}
              />
            )}
          </label>
        ))}
      </div>
      <p className="question">
        {scenario.question} <strong>{variant.id}</strong>: {variant.summary}.{' '}
        <span className={`verdict ${expected ?? 'open'}`}>
          {expected === null ? 'an open question' : expected === 'holds' ? 'expected to hold' : 'expected to be violated'}
        </span>{' '}
        <span className="muted">({variant.source})</span>
      </p>
    </header>
  );
}

/** Finding violations with the explorer. */
function Find({ store, search, start, cancel }: { store: Store } & ReturnType<typeof useSearch>) {
  return (
    <section aria-label="Find">
      <h2>Find</h2>
      {search.state === 'running' ? (
        <p role="status">
          {count(search.states, 'state')}, depth {search.depth}{' '}
          <button type="button" onClick={cancel}>
            Cancel
          </button>
        </p>
      ) : (
        <button type="button" onClick={() => start(mostStates)}>
          Find violations <kbd>f</kbd>
        </button>
      )}
      {search.state === 'failed' && <p role="alert">{search.message}</p>}
      {search.state === 'ended' && (
        <>
          <p role="status">
            {search.violations.length === 0
              ? search.exhausted
                ? 'Every property holds'
                : 'No violation so far'
              : `${count(search.violations.length, 'violation')}`}
            : {thousands(search.states)} states in {search.seconds.toFixed(1)} s{search.exhausted ? '' : ', not all of them'}.
          </p>
          <ul className="found">
            {search.violations.map(({ property, schedule, message }) => (
              <li key={property}>
                <button type="button" onClick={() => store.load(schedule)}>
                  {property} in {count(schedule.length, 'step')}
                </button>{' '}
                <button type="button" onClick={() => store.load(schedule, 0)} aria-label={`Step through the violation of ${property} from its start`}>
                  from its start
                </button>
                <p className="muted">{message}</p>
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}

function Share({ store, onText }: { store: Store; onText: (title: string, text: string) => void }) {
  const [said, setSaid] = useState('');
  const file = useRef<HTMLInputElement>(null);
  const copy = (name: string): void => {
    try {
      const text = shares[name]?.(store) ?? '';
      navigator.clipboard.writeText(text).then(
        () => setSaid(`${name} copied`),
        () => onText(name, text),
      );
    } catch (error) {
      store.say(messageOf(error));
    }
  };
  return (
    <section aria-label="Share">
      <h2>Share</h2>
      <div className="shares">
        {Object.keys(shares).map((name) => (
          <button type="button" key={name} onClick={() => copy(name)}>
            Copy {name}
          </button>
        ))}
        <button type="button" onClick={() => download(`${store.case.id.replaceAll('/', '-')}.json`, 'application/json', fileOf(store))}>
          Save file
        </button>
        <button type="button" onClick={() => file.current?.click()}>
          Load file
        </button>
        <input
          ref={file}
          type="file"
          hidden
          aria-label="A saved schedule"
          accept=".json,.txt,application/json,text/plain"
          onChange={({ target }) => {
            target.files?.[0]
              ?.text()
              .then((text) => store.open(tokenIn(text)))
              .catch((error) => store.say(messageOf(error)));
            target.value = '';
          }}
        />
      </div>
      <p role="status" className="muted">
        {said}
      </p>
    </section>
  );
}

/** Those that act on a CPU first, CPU by CPU, then what they speak to. */
function inOrder(actors: readonly SystemActor[]): string[] {
  const lanes = [...new Set(actors.map(({ lane }) => lane))].filter((lane) => lane !== null).sort();
  const rank = ({ lane, path }: SystemActor): number => (lane === null ? 2 * lanes.length + 1 : 2 * lanes.indexOf(lane) + (path ? 0 : 1));
  return [...actors].sort((one, other) => rank(one) - rank(other)).map(({ address }) => address);
}

/** Who takes part in the schedule: acts, changes, or is spoken to. */
function involved(store: Store): ReadonlySet<string> {
  const found = new Set<string>();
  for (let number = 1; number <= store.walk.length; number++) {
    const { choice, messages, changed } = store.walk.stepAt(number);
    found.add(choice.actor.address);
    for (const { to } of messages) found.add(to.address);
    for (const { actor } of changed) found.add(actor.address);
  }
  return found;
}

/** Which actors have a lane, and in which order. */
function useOrder(store: Store, version: number) {
  const { actors } = store.walk.system;
  const all = useMemo(() => inOrder(actors), [actors]);
  const [order, setOrder] = useState<readonly string[]>(all);
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const [onlyInvolved, setOnlyInvolved] = useState(true);
  const [known, setKnown] = useState(all);
  if (known.join() !== all.join()) {
    setKnown(all);
    setOrder(all);
    setHidden(new Set());
  }
  // biome-ignore lint/correctness/useExhaustiveDependencies: the store's walk changes with its version
  const part = useMemo(() => (onlyInvolved && store.walk.length > 0 ? involved(store) : null), [store, version, onlyInvolved]);
  const partKey = part === null ? null : [...part].sort().join();
  // biome-ignore lint/correctness/useExhaustiveDependencies: the key says who takes part
  const lanes = useMemo(
    () => order.flatMap((address) => (hidden.has(address) || part?.has(address) === false ? [] : actors.filter((actor) => actor.address === address))),
    [order, hidden, actors, partKey],
  );
  return { order, setOrder, hidden, setHidden, onlyInvolved, setOnlyInvolved, lanes };
}

function Arrange({ order, setOrder, hidden, setHidden, onlyInvolved, setOnlyInvolved, lanes }: ReturnType<typeof useOrder>) {
  const move = (address: string, by: number): void => {
    const at = order.indexOf(address);
    const next = order.filter((each) => each !== address);
    next.splice(Math.max(0, at + by), 0, address);
    setOrder(next);
  };
  return (
    <details className="arrange">
      <summary>
        Lanes shown ({lanes.length} of {order.length})
      </summary>
      <label>
        <input type="checkbox" checked={onlyInvolved} onChange={({ target }) => setOnlyInvolved(target.checked)} /> only who takes part
      </label>
      <ul>
        {order.map((address) => (
          <li key={address}>
            <label>
              <input
                type="checkbox"
                checked={!hidden.has(address)}
                onChange={({ target }) => setHidden(new Set(target.checked ? [...hidden].filter((each) => each !== address) : [...hidden, address]))}
              />{' '}
              {address}
            </label>
            <button type="button" aria-label={`Move ${address} to the left`} onClick={() => move(address, -1)}>
              ←
            </button>
            <button type="button" aria-label={`Move ${address} to the right`} onClick={() => move(address, 1)}>
              →
            </button>
          </li>
        ))}
      </ul>
    </details>
  );
}

/** Apps of XState 4 on Node are inspected the other way round: they serve, and the viewer connects. */
function Connect({ onConnect }: { onConnect: (url: string) => string | null }) {
  const [problem, setProblem] = useState<string | null>(null);
  return (
    <form
      className="connect"
      onSubmit={(event) => {
        event.preventDefault();
        setProblem(onConnect(String(new FormData(event.currentTarget).get('url') ?? '')));
      }}
    >
      <label>
        An app on Node that serves @xstate/inspect <input name="url" placeholder="ws://127.0.0.1:8888" />
      </label>
      <button type="submit">Connect</button>
      {problem !== null && <span role="alert">{problem}</span>}
    </form>
  );
}

const isTyping = (target: EventTarget | null): boolean => target instanceof HTMLElement && ['INPUT', 'SELECT', 'TEXTAREA'].includes(target.tagName);

export function App({ store }: { store: Store }) {
  const version = useSyncExternalStore(store.subscribe, store.snapshot);
  const [view, setView] = useState<View>('lanes');
  const [chosen, setChosen] = useState<string | null>(null);
  const [showDistances, setShowDistances] = useState(false);
  const [isRunning, setRunning] = useState(false);
  const [speed, setSpeed] = useState(4);
  const [text, setText] = useState<{ title: string; text: string } | null>(null);
  const [help, setHelp] = useState(false);
  const relay = useRelay();
  const arrangement = useOrder(store, version);
  const key = `${store.case.id}?${JSON.stringify(store.case.parameters)}`;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the store's walk changes with its version
  const enabled = useMemo(() => store.walk.enabled(store.at), [store, version]);
  const found = useSearch(store, key);
  const distances = useDistances(store, showDistances, enabled, `${key} ${store.walk.key(store.at)}`);
  const nearest = [...distances.values()].reduce<number | null>(
    (least, each) => (each.kind === 'violation' ? Math.min(least ?? each.steps, each.steps) : least),
    null,
  );

  useEffect(() => {
    history.replaceState(null, '', `#${store.hash()}`);
  });
  useEffect(() => {
    const opened = (): void => {
      if (location.hash.length > 1 && location.hash !== `#${store.hash()}`) store.open(location.hash.slice(1));
    };
    addEventListener('hashchange', opened);
    return () => removeEventListener('hashchange', opened);
  }, [store]);

  const step = useCallback(() => {
    const { walk, at } = store;
    const going = walk.enabled(at).filter((choice) => walk.changes(choice, at));
    const choice = going[Math.floor(Math.random() * going.length)];
    if (!choice || walk.truths(at).some(({ truth }) => truth === 'violated')) setRunning(false);
    else store.take(choice);
  }, [store]);
  useEffect(() => {
    if (!isRunning) return;
    const timer = setInterval(step, 1000 / speed);
    return () => clearInterval(timer);
  }, [isRunning, speed, step]);

  const close = useCallback(() => {
    setHelp(false);
    setText(null);
  }, []);
  const { start } = found;
  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => {
      if (isTyping(event.target) || event.ctrlKey || event.altKey || event.metaKey) return;
      // Those have nothing to step through but their own lists.
      if ((view === 'log' || view === 'live') && !['?', 'Escape'].includes(event.key)) return;
      const choice = /^[1-9]$/.test(event.key) ? enabled[Number(event.key) - 1] : undefined;
      const does = new Map<string, () => void>([
        ['ArrowLeft', () => store.jump(store.at - 1)],
        ['u', () => store.jump(store.at - 1)],
        ['ArrowRight', () => store.jump(store.at + 1)],
        ['r', () => store.jump(store.at + 1)],
        ['Home', () => store.jump(0)],
        ['End', () => store.jump(store.walk.length)],
        ['f', () => start(mostStates)],
        ['d', () => setShowDistances((on) => !on)],
        ['?', () => setHelp((on) => !on)],
        ['Escape', close],
      ]);
      const act = choice
        ? () => store.take(choice)
        : event.key === ' ' && !(event.target instanceof HTMLButtonElement)
          ? () => setRunning((on) => !on)
          : does.get(event.key);
      if (!act) return;
      event.preventDefault();
      act();
    };
    addEventListener('keydown', pressed);
    return () => removeEventListener('keydown', pressed);
  }, [store, enabled, start, close, view]);

  const machines = store.walk.system.actors.filter(({ logic }) => isMachine(logic));
  const shown =
    machines.find(({ address }) => address === chosen) ??
    (store.at > 0 ? machines.find(({ address }) => address === store.walk.stepAt(store.at).choice.actor.address) : undefined) ??
    machines[0];
  const last = store.at > 0 ? sentenceOf(store.walk, store.at) : `${store.case.id}: at the start.`;

  return (
    <>
      <button type="button" className="skip" onClick={() => document.querySelector<HTMLElement>('.choice')?.focus()}>
        To the choices
      </button>
      <Chooser store={store} />
      {store.problem !== null && (
        <p className="problem" role="alert">
          {store.problem}{' '}
          <button type="button" onClick={() => store.say(null)}>
            Dismiss
          </button>
        </p>
      )}
      <nav className="bar" aria-label="Views and time">
        <div role="tablist" aria-label="Views">
          {(Object.keys(views) as View[]).map((name) => (
            <button type="button" key={name} role="tab" id={`tab-${name}`} aria-selected={view === name} aria-controls="view" onClick={() => setView(name)}>
              {views[name]}
            </button>
          ))}
        </div>
        <div className="time">
          <button type="button" disabled={store.at === 0} onClick={() => store.jump(0)} aria-label="To the start">
            «
          </button>
          <button type="button" disabled={store.at === 0} onClick={() => store.jump(store.at - 1)}>
            Undo
          </button>
          <button type="button" disabled={store.at === store.walk.length} onClick={() => store.jump(store.at + 1)}>
            Redo
          </button>
          <button type="button" disabled={store.at === store.walk.length} onClick={() => store.jump(store.walk.length)} aria-label="To the end">
            »
          </button>
          <input type="range" min={0} max={store.walk.length} value={store.at} aria-label="Step" onChange={({ target }) => store.jump(Number(target.value))} />
          <button type="button" onClick={() => setRunning(!isRunning)} aria-pressed={isRunning}>
            {isRunning ? 'Pause' : 'Run at random'}
          </button>
          <label>
            {' '}
            <input type="range" min={1} max={60} value={speed} aria-label="Steps a second" onChange={({ target }) => setSpeed(Number(target.value))} /> {speed}
            /s
          </label>
          <button type="button" onClick={() => setHelp(!help)} aria-expanded={help}>
            Keys
          </button>
        </div>
      </nav>
      <div className="body">
        <main>
          <div id="view" role="tabpanel" aria-labelledby={`tab-${view}`}>
            {view === 'lanes' && (
              <Lanes
                store={store}
                version={version}
                order={arrangement.lanes}
                onActor={(actor: SystemActor) => {
                  setChosen(actor.address);
                  setView('chart');
                }}
              />
            )}
            {view === 'steps' && <Steps store={store} />}
            {view === 'chart' && shown && <ActorChart store={store} actor={shown} machines={machines} onChoose={setChosen} />}
            <div className="kept" hidden={view !== 'log'}>
              <LogView />
            </div>
            {view === 'live' && <Connect onConnect={relay.connect} />}
            {view === 'live' && <Live log={relay.log} endpoint={relay.endpoint} onSend={relay.send} />}
          </div>
        </main>
        {view === 'live' && relay.steered.length > 0 && (
          <aside aria-label="Scheduler of the live system">
            {relay.steered.map(({ connection, choices }) => (
              <section key={connection} aria-label={`Choices of ${connection}`}>
                <h2>What can happen now in {connection}</h2>
                <ol className="choices">
                  {choices.map(({ index, label }) => (
                    <li key={index}>
                      <button type="button" className="choice" onClick={() => relay.steer(connection, index)}>
                        <span className="choice-what">{label}</span>
                      </button>
                    </li>
                  ))}
                </ol>
              </section>
            ))}
          </aside>
        )}
        {view !== 'live' && view !== 'log' && (
          <aside aria-label="Scheduler">
            <div id="choices">
              <Choices store={store} enabled={enabled} distances={distances} nearest={nearest} />
              <label>
                <input type="checkbox" checked={showDistances} onChange={({ target }) => setShowDistances(target.checked)} /> distance of each to the nearest
                violation
              </label>
            </div>
            <Properties store={store} />
            <Find store={store} {...found} />
            <Details store={store} />
            <Share store={store} onText={(title, shared) => setText({ title, text: shared })} />
            <Arrange {...arrangement} />
          </aside>
        )}
      </div>
      <p className="visually-hidden" aria-live="polite" data-testid="spoken">
        {isRunning ? '' : last}
      </p>
      {help && (
        <section className="overlay" aria-label="Keys">
          <dl>
            {keys.map(([name, what]) => (
              <div key={name}>
                <dt>
                  <kbd>{name}</kbd>
                </dt>
                <dd>{what}</dd>
              </div>
            ))}
          </dl>
          <button type="button" onClick={() => setHelp(false)}>
            Close
          </button>
        </section>
      )}
      {text && (
        <section className="overlay" aria-label={text.title}>
          <p>Copying is not allowed here; select the text:</p>
          <textarea readOnly value={text.text} rows={20} cols={90} aria-label={text.title} />
          <button type="button" onClick={() => setText(null)}>
            Close
          </button>
        </section>
      )}
    </>
  );
}

function ActorChart({
  store,
  actor,
  machines,
  onChoose,
}: {
  store: Store;
  actor: SystemActor;
  machines: readonly SystemActor[];
  onChoose: (address: string) => void;
}) {
  const chart = useMemo(() => (isMachine(actor.logic) ? chartOf(actor.logic) : null), [actor]);
  const snapshot = store.walk.snapshot(actor, store.at);
  if (!chart || !isMachineSnapshot(snapshot)) return null;
  const taken = store.at > 0 ? store.walk.takenBy(actor, store.at) : null;
  return (
    <section className="actor-chart" aria-label="Statechart">
      <label>
        Actor{' '}
        <select value={actor.address} onChange={({ target }) => onChoose(target.value)}>
          {machines.map(({ address }) => (
            <option key={address}>{address}</option>
          ))}
        </select>
      </label>
      <Chart chart={chart} active={activeIds(snapshot.value, chart)} taken={taken} title={actor.address} />
    </section>
  );
}
