import { choiceText } from '../format/text.js';
import type { Choice } from '../system/system.js';

/** Words that mean something in Promela, in C, or in the checker that SPIN writes. Those of TLA+ begin with a capital. */
const taken = new Set(
  (
    'active assert atomic bit bool break byte chan d_step do else empty enabled end eval false fi for full get_priority goto hidden if in init inline int len local ltl mtype nempty ' +
    'never nfull notrace np_ od of pc_value pid print printf priority progress proctype provided return run select set_priority short show skip timeout trace true typedef unless ' +
    'unsigned xr xs c_code c_decl c_expr c_state c_track weak until release always eventually next implies equivalent auto case char const continue default double enum extern float ' +
    'long register signed sizeof static struct switch union void volatile while restrict asm typeof unix linux errno cas final max min mix now rand rot this uchar uint ulong ushort ' +
    'wasnew vars stdin stdout stderr'
  ).split(' '),
);

/** Gives out identifiers, each once. */
export class Names {
  private readonly given = new Set<string>();

  /** For a variable: it begins with a small letter. */
  variable(text: string): string {
    const word = wordOf(text);
    return this.once(/^[a-z]/.test(word) && !taken.has(word) ? word : `a_${word}`);
  }

  /** For a definition of TLA+: it begins with a capital, and `suffix` keeps it apart from words of the language. */
  definition(text: string, suffix = ''): string {
    const word = wordOf(text);
    const capital = `${word.slice(0, 1).toUpperCase()}${word.slice(1)}`;
    // TLA+ reads names that begin so as fairness.
    return this.once(`${/^[A-Z]/.test(capital) && !/^[WS]F_/.test(capital) ? '' : 'A_'}${capital}${suffix}`);
  }

  private once(name: string): string {
    let free = name;
    for (let number = 2; this.given.has(free); number++) free = `${name}_${number}`;
    this.given.add(free);
    return free;
  }
}

/** The letters, digits and low lines of a text, a low line for whatever is between. */
export const wordOf = (text: string): string => text.replace(/[^A-Za-z0-9_]+/g, '_').replace(/^_+(?=.)|(?<=.)_+$/g, '');

/** The name of a file or module for a system. */
export const moduleName = (id: string): string => wordOf(id).replace(/^(?![A-Za-z])/, 'M_');

export const oneLine = (text: string): string => text.replace(/[\r\n]+/g, ' ');

/** `a: step`. */
export const choiceName = (choice: Choice): string => oneLine(`${choice.actor.address}: ${choiceText(choice)}`);

/** Numbers as runs of neighbours: `[1, 3]` is 1, 2 and 3. */
export function runs(ids: readonly number[]): [from: number, to: number][] {
  const found: [number, number][] = [];
  for (const id of ids) {
    const last = found.at(-1);
    if (last && id === last[1] + 1) last[1] = id;
    else found.push([id, id]);
  }
  return found;
}
