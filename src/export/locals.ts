import type { LocalState } from '../explore/local.js';
import { plain } from '../format/text.js';
import { isFields } from '../system/canonical.js';
import { identityOf, placeOf } from '../system/view.js';
import { oneLine } from './names.js';

type Fields = Record<string, unknown>;

const longest = 160;

/** What makes up a local state besides its place. */
function fieldsOf({ snapshot, waiting }: LocalState): Fields {
  const { status: _status, value: _value, children: _children, context, ...rest } = identityOf(snapshot, waiting);
  return isFields(context) ? { ...context, ...rest } : { ...(context === undefined ? {} : { context }), ...rest };
}

/** An actor's local states in words: where it is, and those fields that are not the same in all. */
export function localNames(states: readonly LocalState[]): string[] {
  const all = states.map(fieldsOf);
  const varying = [...new Set(all.flatMap((fields) => Object.keys(fields)))].filter(
    (name) => new Set(all.map((fields) => JSON.stringify(fields[name]))).size > 1,
  );
  return states.map((state, index) => {
    const fields = Object.fromEntries(varying.flatMap((name) => (all[index]?.[name] === undefined ? [] : [[name, all[index]?.[name]]])));
    const text = `${placeOf(state.snapshot)}${Object.keys(fields).length > 0 ? ` ${plain(fields)}` : ''}`;
    // One line each, whatever is in a name.
    const line = oneLine(text);
    return line.length > longest ? `${line.slice(0, longest - 3)}...` : line;
  });
}
