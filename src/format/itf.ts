import { LiveCourse } from '../schedule/course.js';
import type { Replay } from '../schedule/replay.js';
import { labelOf, type SystemActor } from '../system/system.js';
import { type AnySnapshot, placeOf } from '../system/view.js';

/** A value as the Informal Trace Format (Apalache's ADR-015) writes it. */
export type ItfValue = boolean | string | ItfValue[] | { [key: string]: ItfValue | [ItfValue, ItfValue][] };

/** Of the format's author. */
const source = 'https://apalache-mc.org/docs/adr/015adr-trace.html';

const identifier = /^(?!_*$)[A-Za-z_][A-Za-z0-9_]*$/;

/** TLA+'s words; what begins with WF_ or SF_ is taken as well. */
const reserved = new Set(
  (
    'ASSUME ASSUMPTION AXIOM BY CASE CHOOSE CONSTANT CONSTANTS COROLLARY DEF DEFINE DEFS DOMAIN ELSE ENABLED EXCEPT EXTENDS HAVE HIDE IF IN INSTANCE ' +
    'LAMBDA LEMMA LET LOCAL MODULE NEW OBVIOUS OMITTED ONLY OTHER PICK PROOF PROPOSITION PROVE QED RECURSIVE SF_ STATE SUBSET SUFFICES TAKE TEMPORAL ' +
    'THEN THEOREM UNCHANGED UNION USE VARIABLE VARIABLES WF_ WITH WITNESS ACTION BOOLEAN FALSE STRING TRUE'
  ).split(' '),
);

/** A variable of TLA+ for each actor: its address where that is a name in TLA+, else one like it. */
function variablesOf(actors: readonly SystemActor[]): Map<string, string> {
  const names = new Map<string, string>();
  const taken = new Set<string>();
  for (const { address } of actors) {
    const word = address.replace(/[^A-Za-z0-9_]/g, '_').replace(/^(?=[0-9]|_*$)/, 'actor_');
    const base = reserved.has(word) || /^[WS]F_/.test(word) ? `actor_${word}` : word;
    let name = base;
    for (let n = 2; taken.has(name); n++) name = `${base}_${n}`;
    taken.add(name);
    names.set(address, name);
  }
  return names;
}

function inObject(value: object): ItfValue {
  const fields = Object.entries(value).map(([key, inner]): [string, ItfValue] => [key, itfValue(inner)]);
  const isVariant = fields.length === 2 && 'tag' in value && 'value' in value;
  // A record has at least one field, and names for them; with `tag` and `value` it would be read as a variant.
  if (fields.length > 0 && !isVariant && fields.every(([key]) => identifier.test(key))) return Object.fromEntries(fields);
  return { '#map': fields };
}

/** A value of a context. Integers are `#bigint`, `null` is the empty tuple, an object is a record, or a map where TLA+ has no such record. */
export function itfValue(value: unknown): ItfValue {
  if (typeof value === 'boolean' || typeof value === 'string') return value;
  if (Number.isInteger(value)) return { '#bigint': BigInt(value as number).toString() };
  if (value === null) return { '#tup': [] };
  if (Array.isArray(value)) return value.map(itfValue);
  return typeof value === 'object' ? inObject(value) : { '#unserializable': String(value) };
}

/** Where an actor is, and what it holds; what it says in the end, if it has. */
const stateOf = (snapshot: AnySnapshot): ItfValue => ({
  state: placeOf(snapshot),
  context: itfValue(snapshot.context ?? {}),
  ...('output' in snapshot && snapshot.output !== undefined ? { output: itfValue(snapshot.output) } : {}),
});

/** What an ITF file says of its schedule, beyond the states. */
export interface ItfHead {
  /** What it is a schedule of. */
  id: string;
  /** What the violation says; null if there is none. */
  ending: string | null;
  /** Steps before those that repeat for ever, of a violated eventuality; as many as there are: nothing more happens. */
  loop: number | null;
}

/** A schedule as a document of the Informal Trace Format: all states from the first on, each with the choice that led to it. */
export function itf(replay: Replay, { id, ending, loop }: ItfHead): object {
  const { system, steps } = replay;
  const variables = variablesOf(system.actors);
  const course = new LiveCourse(replay);
  const actionOf = (at: number): object => {
    const choice = steps[at - 1]?.choice;
    return choice ? { action: labelOf(choice), actor: choice.actor.address } : {};
  };
  return {
    '#meta': {
      format: 'ITF',
      'format-description': source,
      source: id,
      ...(ending === null ? {} : { description: ending }),
      actors: Object.fromEntries([...variables].map(([address, name]) => [name, address])),
    },
    vars: [...variables.values()],
    states: Array.from({ length: steps.length + 1 }, (_, at) => ({
      '#meta': { index: at, ...actionOf(at) },
      ...Object.fromEntries(system.actors.map((actor) => [variables.get(actor.address) as string, stateOf(course.snapshot(actor, at))])),
    })),
    // The last state is that before the loop once more, so that the one after it is the loop's first.
    ...(loop === null ? {} : { loop: Math.min(loop + 1, steps.length) }),
  };
}
