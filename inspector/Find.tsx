import { count, thousands } from '../src/format/text.js';
import type { useSearch } from './search.js';
import type { Store } from './store.js';

/** More than this a search from the page does not look at. */
export const mostStates = 3_000_000;

/** Finding violations with the explorer. */
export function Find({ store, search, start, cancel }: { store: Store } & ReturnType<typeof useSearch>) {
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
            {search.violations.map(({ property, schedule, message, length, cures }) => (
              <li key={property}>
                <button type="button" onClick={() => store.load(schedule)}>
                  {property} in {length}
                </button>{' '}
                <button type="button" onClick={() => store.load(schedule, 0)} aria-label={`Step through the violation of ${property} from its start`}>
                  from its start
                </button>
                <p className="muted">{[message, ...cures].join('\n')}</p>
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}
