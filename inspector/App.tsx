import { useCallback, useEffect, useMemo, useState, useSyncExternalStore } from 'react';
import { sentenceOf } from '../src/inspect/sentence.js';
import { isMachine } from '../src/system/logic.js';
import type { SystemActor } from '../src/system/system.js';
import { ActorChart } from './ActorChart.js';
import { Arrange, useOrder } from './Arrangement.js';
import { Chooser } from './Chooser.js';
import { Connect } from './Connect.js';
import { Find, mostStates } from './Find.js';
import { Lanes } from './Lanes.js';
import { Live } from './Live.js';
import { LogView } from './LogView.js';
import { useRelay } from './relay.js';
import { Sharing } from './Sharing.js';
import { Choices, Details, Properties } from './Side.js';
import { Steps } from './Steps.js';
import { useDistances, useSearch } from './search.js';
import type { Store } from './store.js';

type View = 'lanes' | 'steps' | 'chart' | 'log' | 'live';
const views: Readonly<Record<View, string>> = { lanes: 'Lanes', steps: 'Table', chart: 'Statechart', log: 'Kernel log', live: 'Live apps' };

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
  const arrangement = useOrder(store);
  const key = `${store.case.id}?${JSON.stringify(store.case.parameters)}`;
  // biome-ignore lint/correctness/useExhaustiveDependencies: the store's walk changes with its version
  const enabled = useMemo(() => store.walk.enabled(store.at), [store, version]);
  const found = useSearch(store, key);
  const distances = useDistances(store, showDistances, enabled, `${key} ${store.walk.key(store.at)}`);
  const nearest = [...distances.values()].reduce<number | null>(
    (least, each) => (each.kind === 'violation' ? Math.min(least ?? each.steps, each.steps) : least),
    null,
  );

  // biome-ignore lint/correctness/useExhaustiveDependencies: what is looked at changes with the version
  const hash = useMemo(() => `#${store.hash()}`, [store, version]);
  useEffect(() => history.replaceState(null, '', hash), [hash]);
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
            <Sharing store={store} onText={(title, shared) => setText({ title, text: shared })} />
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
