import { useVirtualizer } from '@tanstack/react-virtual';
import { type KeyboardEvent, type ReactNode, useId, useLayoutEffect, useRef } from 'react';

const rowHeight = 26;

export interface LiveListProps<Item> {
  label: string;
  items: readonly Item[];
  keyOf: (item: Item) => string | number;
  selected: string | number | null;
  onSelect: (item: Item) => void;
  render: (item: Item) => ReactNode;
  /** Keeps the end in view, until it is scrolled away from. */
  follows?: boolean;
  /** What stands there while there are no items. */
  empty: string;
}

/** A list of any length to choose one item from; only the rows in view are drawn. Whoever reads keeps their place when old items go. */
export function LiveList<Item>({ label, items, keyOf, selected, onSelect, render, follows = false, empty }: LiveListProps<Item>) {
  const scroller = useRef<HTMLDivElement>(null);
  const isAtEnd = useRef(follows);
  /** The first row in view. */
  const anchor = useRef<{ key: string | number; index: number } | null>(null);
  const id = useId();
  const chosen = selected === null ? -1 : items.findIndex((item) => keyOf(item) === selected);
  const rows = useVirtualizer({ count: items.length, getScrollElement: () => scroller.current, estimateSize: () => rowHeight, overscan: 8 });
  const shown = rows.getVirtualItems();

  const scrolled = (): void => {
    const box = scroller.current;
    if (!box) return;
    isAtEnd.current = follows && box.scrollHeight - box.scrollTop - box.clientHeight < rowHeight;
    const index = Math.min(Math.floor(box.scrollTop / rowHeight), items.length - 1);
    const first = items[index];
    anchor.current = first === undefined ? null : { key: keyOf(first), index };
  };

  // biome-ignore lint/correctness/useExhaustiveDependencies: only other items may move what is in view
  useLayoutEffect(() => {
    const box = scroller.current;
    if (!box || items.length === 0) return;
    if (isAtEnd.current) rows.scrollToIndex(items.length - 1, { align: 'end' });
    else if (follows && anchor.current) {
      const { key, index } = anchor.current;
      const now = Math.max(
        items.findIndex((item) => keyOf(item) === key),
        0,
      );
      if (now !== index) box.scrollTop += (now - index) * rowHeight;
      anchor.current.index = now;
    }
  }, [items]);

  const pressed = (event: KeyboardEvent): void => {
    const page = Math.max(1, Math.floor((scroller.current?.clientHeight ?? 0) / rowHeight) - 1);
    const steps: Record<string, number> = {
      ArrowDown: chosen + 1,
      ArrowUp: chosen < 0 ? items.length - 1 : chosen - 1,
      PageDown: chosen + page,
      PageUp: chosen - page,
      Home: 0,
      End: items.length - 1,
    };
    const wanted = steps[event.key];
    if (wanted === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    // The page has keys of its own.
    event.preventDefault();
    event.stopPropagation();
    const index = Math.max(0, Math.min(wanted, items.length - 1));
    const item = items[index];
    if (item === undefined) return;
    onSelect(item);
    rows.scrollToIndex(index);
  };

  // A listbox has options.
  if (items.length === 0) return <p className="live-list muted">{empty}</p>;
  return (
    <div
      ref={scroller}
      className="live-list"
      role="listbox"
      aria-label={label}
      tabIndex={0}
      aria-activedescendant={chosen >= 0 && shown.some(({ index }) => index === chosen) ? `${id}-${chosen}` : undefined}
      onScroll={scrolled}
      onKeyDown={pressed}
    >
      <div role="presentation" style={{ height: rows.getTotalSize() }}>
        {shown.map(({ index, start }) => {
          const item = items[index] as Item;
          return (
            // biome-ignore lint/a11y/useKeyWithClickEvents: the listbox has the keys
            // biome-ignore lint/a11y/useFocusableInteractive: the listbox has the focus
            <div
              key={keyOf(item)}
              id={`${id}-${index}`}
              role="option"
              aria-selected={index === chosen}
              aria-setsize={items.length}
              aria-posinset={index + 1}
              className="live-row"
              style={{ height: rowHeight, transform: `translateY(${start}px)` }}
              onClick={() => onSelect(item)}
            >
              {render(item)}
            </div>
          );
        })}
      </div>
    </div>
  );
}
