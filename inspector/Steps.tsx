import { useVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useRef } from 'react';
import { changesOf } from '../src/format/changes.js';
import { inFull, plain } from '../src/format/text.js';
import { actionOf } from '../src/inspect/sentence.js';
import type { Store } from './store.js';

const titles = ['Step', 'Lane', 'Actor', 'Does', 'Messages', 'Changes'];

/** The same schedule as a table: for screen readers, and for who wants every word. */
export function Steps({ store }: { store: Store }) {
  const scroller = useRef<HTMLElement>(null);
  const virtual = useVirtualizer({ count: store.walk.length, getScrollElement: () => scroller.current, estimateSize: () => 54, overscan: 10 });
  useEffect(() => {
    if (store.at > 0) virtual.scrollToIndex(store.at - 1, { align: 'auto' });
  }, [store.at, virtual]);
  const items = virtual.getVirtualItems();
  const before = items[0]?.start ?? 0;
  const after = virtual.getTotalSize() - (items.at(-1)?.end ?? 0);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and must do so by keyboard
    <section className="steps" ref={scroller} tabIndex={0} aria-label="Schedule as a table">
      <table aria-rowcount={store.walk.length + 1}>
        <thead>
          <tr>
            {titles.map((title) => (
              <th scope="col" key={title}>
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {before > 0 && (
            <tr style={{ height: before }}>
              <td colSpan={titles.length} />
            </tr>
          )}
          {items.map(({ index, key }) => {
            const number = index + 1;
            const step = store.walk.stepAt(number);
            const { actor } = step.choice;
            return (
              <tr
                key={key}
                data-index={index}
                ref={virtual.measureElement}
                aria-rowindex={number + 1}
                className={number === store.at ? 'current' : number > store.at ? 'ahead' : ''}
              >
                <th scope="row">
                  <button type="button" onClick={() => store.jump(number)} aria-current={number === store.at ? 'step' : undefined}>
                    {number}
                  </button>
                </th>
                <td>{actor.lane ?? ''}</td>
                <td>{actor.address}</td>
                <td>{actionOf(step, store.walk.snapshot(actor, index))}</td>
                <td>{step.messages.flatMap(({ from, to, event }) => (from ? [`${from.address} → ${to.address}: ${inFull(event)}`] : [])).join('; ')}</td>
                <td>
                  {changesOf(step)
                    .map((change) => `${change.actor}${change.path === null ? '' : `.${change.path}`} = ${plain(change.after)}`)
                    .join('; ')}
                </td>
              </tr>
            );
          })}
          {after > 0 && (
            <tr style={{ height: after }}>
              <td colSpan={titles.length} />
            </tr>
          )}
        </tbody>
      </table>
    </section>
  );
}
