import { useCallback, useEffect, useRef, useState } from 'react';
import type { Distance } from '../src/inspect/distance.js';
import type { Choice } from '../src/system/system.js';
import type { Store } from './store.js';
import type { Answer, Request } from './worker.js';
import Explore from './worker.js?worker&inline';

export type Search =
  | { state: 'idle' }
  | { state: 'running'; states: number; depth: number }
  | { state: 'failed'; message: string }
  | (Extract<Answer, { kind: 'found' }> & { state: 'ended' });

/** Runs a request in a worker of its own; stopping it is the way to cancel. */
function ask(request: Request, hear: (answer: Answer) => void): () => void {
  const worker = new Explore();
  worker.addEventListener('message', ({ data }: MessageEvent<Answer>) => hear(data));
  worker.addEventListener('error', ({ message }) => hear({ kind: 'failed', message: message || 'the explorer has failed' }));
  worker.postMessage(request);
  return () => worker.terminate();
}

/** The explorer, run from the page: all violations of the variant, each by its shortest schedule. */
export function useSearch(store: Store, key: string): { search: Search; start: (maxStates: number) => void; cancel: () => void } {
  const [search, setSearch] = useState<Search>({ state: 'idle' });
  const stop = useRef<(() => void) | null>(null);
  const cancel = useCallback(() => {
    stop.current?.();
    stop.current = null;
    setSearch({ state: 'idle' });
  }, []);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another variant makes what was found void
  useEffect(() => cancel, [key, cancel]);
  const start = useCallback(
    (maxStates: number) => {
      cancel();
      setSearch({ state: 'running', states: 1, depth: 0 });
      const { id, parameters } = store.case;
      stop.current = ask({ id, parameters, kind: 'find', maxStates }, (answer) => {
        if (answer.kind === 'progress') setSearch({ state: 'running', states: answer.states, depth: answer.depth });
        if (answer.kind === 'failed') setSearch({ state: 'failed', message: answer.message });
        if (answer.kind === 'found') {
          stop.current?.();
          setSearch({ ...answer, state: 'ended' });
        }
      });
    },
    [store, cancel],
  );
  return { search, start, cancel };
}

/** For each choice the distance to the nearest violation, as it comes in; nothing while it is switched off. */
export function useDistances(store: Store, on: boolean, enabled: readonly Choice[], key: string): ReadonlyMap<number, Distance> {
  const [distances, setDistances] = useState<ReadonlyMap<number, Distance>>(new Map());
  // biome-ignore lint/correctness/useExhaustiveDependencies: the key says when it is another state
  useEffect(() => {
    setDistances(new Map());
    if (!on || enabled.length === 0) return;
    const { id, parameters } = store.case;
    const request: Request = {
      id,
      parameters,
      kind: 'distances',
      schedule: store.walk.schedule.slice(0, store.at),
      choices: enabled.map(({ index }) => index),
    };
    return ask(request, (answer) => {
      if (answer.kind === 'distance') setDistances((before) => new Map(before).set(answer.choice, answer.distance));
      if (answer.kind === 'failed') store.say(answer.message);
    });
  }, [on, key]);
  return distances;
}
