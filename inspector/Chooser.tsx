import { expectedVerdict, type Scenario, scenarios, type Variant } from '../src/scenarios/index.js';
import type { Store } from './store.js';

/** Which scenario, variant and parameters; what it asks, and what is expected of it. */
export function Chooser({ store }: { store: Store }) {
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
