import { changesOf } from '../src/format/changes.js';
import { fairnessReport, goesOn } from '../src/format/lasso.js';
import { choiceText, inFull, plain } from '../src/format/text.js';
import type { Distance } from '../src/inspect/distance.js';
import { actionOf } from '../src/inspect/sentence.js';
import type { JudgedLasso } from '../src/schedule/lasso.js';
import type { Choice } from '../src/system/system.js';
import type { Store } from './store.js';

const distanceText = (distance: Distance | undefined): string => {
  if (!distance) return '';
  if (distance.kind === 'none') return 'safe';
  return distance.kind === 'violation' ? `${distance.steps} to ${distance.property}` : `> ${distance.depth}`;
};

/** The choices of the current state. */
export function Choices({
  store,
  enabled,
  distances,
  nearest,
}: {
  store: Store;
  enabled: readonly Choice[];
  distances: ReadonlyMap<number, Distance>;
  nearest: number | null;
}) {
  return (
    <section aria-label="Choices">
      <h2>What can happen now</h2>
      {enabled.length === 0 && <p className="muted">Nothing: every path is at its end, or waits for ever.</p>}
      <ol className="choices">
        {enabled.map((choice, at) => {
          const { actor } = choice;
          const distance = distances.get(choice.index);
          const what =
            choice.event.type === 'step' ? actionOf({ choice, messages: [], changed: [] }, store.walk.snapshot(actor, store.at)) : choiceText(choice);
          const changes = store.walk.changes(choice, store.at);
          return (
            <li key={choice.index}>
              <button type="button" className={`choice ${choice.fair ? '' : 'environment'} ${changes ? '' : 'idle'}`} onClick={() => store.take(choice)}>
                <kbd>{at < 9 ? at + 1 : ''}</kbd>
                <span className="choice-what">
                  {actor.address}: {what}
                </span>
                <span className="choice-lane">
                  {changes ? (actor.lane ?? '') : 'changes nothing'}
                  {choice.fair ? '' : ' (need not come)'}
                </span>
                {distance && (
                  <span
                    className={`distance ${distance.kind === 'violation' ? (distance.steps === nearest ? 'near' : 'far') : ''}`}
                    title="Steps to the nearest violation this way"
                  >
                    {distanceText(distance)}
                  </span>
                )}
              </button>
            </li>
          );
        })}
      </ol>
    </section>
  );
}

const marks = { holds: '✓', violated: '✗', untested: '–', open: '…' } as const;
const words = { holds: 'holds', violated: 'violated', untested: 'not put to the test here', open: 'not reached here' } as const;

/** Characters that fit beside the lanes. */
const reportWidth = 46;

const reportOf = ({ walk, at }: Store, description: string, lasso: JudgedLasso): string => {
  const taken = Array.from({ length: at }, (_, before) => walk.stepAt(before + 1).choice);
  return fairnessReport({ system: walk.system, taken, description, lasso }, reportWidth);
};

/** The properties' truth in the current state. */
export function Properties({ store }: { store: Store }) {
  return (
    <section aria-label="Properties">
      <h2>Properties, here</h2>
      <ul className="properties">
        {store.walk.truths(store.at).map(({ property, truth, lasso }) => (
          <li key={property.name} className={truth}>
            <span aria-hidden="true">{marks[truth]}</span> <strong>{property.name}</strong> {words[truth]}
            <span className="muted">
              : {property.description}
              {lasso && ` ${goesOn(lasso.length)}`}
            </span>
            {lasso && <pre className="fairness">{reportOf(store, property.description, lasso)}</pre>}
          </li>
        ))}
      </ul>
    </section>
  );
}

const shown = (value: unknown): string => {
  const text = plain(value);
  return text.length > 160 ? `${text.slice(0, 159)}…` : text;
};

/** What the selected step changed, field by field, and what was said. */
export function Details({ store }: { store: Store }) {
  if (store.at === 0) return null;
  const step = store.walk.stepAt(store.at);
  const changes = changesOf(step);
  return (
    <section aria-label="Step">
      <h2>Step {store.at}</h2>
      <ul className="said">
        {step.messages.flatMap(({ from, to, event }, at) =>
          from === null
            ? []
            : [
                // biome-ignore lint/suspicious/noArrayIndexKey: the messages of a step stay as they are
                <li key={at}>
                  {from.address} → {to.address}: {inFull(event)}
                </li>,
              ],
        )}
      </ul>
      {changes.length > 0 && (
        <table className="changes">
          <thead>
            <tr>
              <th scope="col">field</th>
              <th scope="col">before</th>
              <th scope="col">after</th>
            </tr>
          </thead>
          <tbody>
            {changes.map(({ actor, path, before, after }) => (
              <tr key={`${actor} ${path}`}>
                <th scope="row">
                  {actor}
                  {path === null ? '' : `.${path}`}
                </th>
                <td>{shown(before)}</td>
                <td>{shown(after)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}
