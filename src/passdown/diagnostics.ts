import type { OwnMappings } from './arguments.js';
import type { CallSite, GraphFunction } from './call-graph.js';
import { accessor, inFs, type NumberedGraph, uses } from './numbered.js';
import type { Clash, Diagnostic, Passdown, RewrittenBody, Root } from './passdown.js';
import type { Places } from './place.js';

type Gap = Diagnostic['gap'];
type Found = Omit<Passdown, 'diagnostics'>;

/** So many names are told in a sentence. */
const told = 3;

function list(names: readonly string[]): string {
  const shown = names.slice(0, told).map((name) => `'${name}'`);
  return names.length > told ? `${shown.join(', ')} and ${names.length - told} more` : shown.join(', ');
}

const verb = (names: readonly string[], one: string, several: string): string => (names.length === 1 ? one : several);

/** Collects diagnostics, gap by gap. */
class Diagnostics {
  private readonly byGap: Record<Gap, Diagnostic[]> = { g1: [], g2: [], g3: [], g4: [], g5: [], g6: [] };

  add(gap: Gap, text: string, about: Partial<Omit<Diagnostic, 'gap' | 'text'>>): void {
    this.byGap[gap].push({ gap, kind: 'problem', function: null, slot: null, call: null, at: null, ...about, text });
  }

  all(): Diagnostic[] {
    return Object.values(this.byGap).flat();
  }
}

/** g1: what the functions of a slot have is not one type. */
function clashText({ slot, changes, with: having, without, accessors }: Clash): string {
  const parts = [
    ...(having.length > 0 ? [`${list(having)} ${verb(having, 'has', 'have')} a mapping from the start`] : []),
    ...(without.length > 0 ? [`${list(without)} ${changes ? verb(without, 'gets', 'get') : verb(without, 'has', 'have')} ${changes ? 'one' : 'none'}`] : []),
    ...(accessors.length > 0 ? [`${list(accessors)} ${verb(accessors, 'is an accessor and gets', 'are accessors and get')} none`] : []),
  ];
  const todo = changes ? 'give all of them one type by hand, or correct the graph' : 'correct the graph: in C they have one type';
  return `the functions of slot '${slot}' have no one type: ${parts.join(', ')}; ${todo}`;
}

/** g5: nobody has a mapping to pass. */
function rootText({ id, slots, circle }: Root): string {
  const todo = 'add the calls that the graph lacks, or find a source by hand';
  if (circle.length > 1)
    return `${list(circle)} get the parameter, and nobody has a mapping to pass: they call each other, and nothing else calls them; ${todo}`;
  const through = `nothing is called through ${verb(slots, 'slot', 'slots')} ${list(slots)}, and nothing calls it otherwise`;
  const nobody = circle.length === 1 ? 'nothing but itself calls it' : slots.length > 0 ? through : 'nothing calls it';
  return `'${id}' gets the parameter, and nobody has a mapping to pass: ${nobody}; ${todo}`;
}

/** What the parts of a result were found from. */
interface Sources {
  numbered: NumberedGraph;
  own: OwnMappings;
  places: Places;
}

/** Goes through the parts of a result once more, for everything that a reader of it has to know. */
class Examination {
  private readonly diagnostics = new Diagnostics();
  private readonly names = new Map<number, string>();

  constructor(
    private readonly from: Sources,
    private readonly found: Found,
  ) {}

  run(): Diagnostic[] {
    const { clashes, roots } = this.found;
    for (const clash of clashes) this.diagnostics.add('g1', clashText(clash), { slot: clash.slot });
    for (const root of roots) this.diagnostics.add('g5', rootText(root), { function: root.id, at: root.at });
    this.bodies();
    this.callSites();
    this.possibleAccessors();
    return this.diagnostics.all();
  }

  private bodies(): void {
    const { functions } = this.from.numbered.graph;
    let at = 0;
    // Both are in the order of the graph.
    for (const body of this.found.bodies) {
      while ((functions[at] as GraphFunction).id !== body.id) at++;
      this.body(at, body);
    }
  }

  private body(number: number, { id, at, from, argument, reads, accessors }: RewrittenBody): void {
    const about = { function: id, at };
    const [first] = accessors;
    if (!reads && first) {
      const names = list([...new Set(accessors.map(({ accessor }) => accessor))]);
      const text = `'${id}' reads page->mapping only by way of ${names}, where no search of the text finds it; the call is replaced all the same`;
      this.diagnostics.add('g2', text, { kind: 'information', function: id, call: first.call, at: this.from.places.text(first.call) });
    }
    if (from !== 'own parameter') return;
    const todo = argument === null ? 'to that of the page' : `to ${argument}`;
    const text = `'${id}' has a mapping already (${this.mappings(number)}) and reads page->mapping all the same, which the pseudo code skips; change its body by hand ${todo}`;
    this.diagnostics.add('g3', text, about);
    if (reads) this.source(number, undefined, 'its body', about);
    for (const { call, accessor } of accessors) this.source(number, call, `the call of '${accessor}'`, { function: id });
  }

  /** The names of the mappings that a function has had from the start: one text for all that is said of it. */
  private mappings(number: number): string {
    const known = this.names.get(number);
    if (known !== undefined) return known;
    const { has = [] } = this.from.numbered.graph.functions[number] as GraphFunction;
    const names = list(has.map(({ name }) => name));
    this.names.set(number, names);
    return names;
  }

  /** g4 and g6: whether a function's own mapping is that of the page. */
  private source(number: number, call: number | undefined, what: string, about: Partial<Diagnostic>): void {
    const { own, places, numbered } = this.from;
    const { parameter, unclear } = own.of(number, call === undefined ? undefined : (numbered.graph.calls[call] as CallSite).mapping);
    if (unclear === null && !parameter?.stacked) return;
    const id = numbered.ids[number];
    const place = call === undefined ? about : { ...about, call, at: places.text(call) };
    if (unclear === 'several') {
      const todo = call === undefined ? "settle it by hand, or mark those that are not with 'other'" : "name it in the call's 'mapping'";
      const text = `'${id}' has several mappings in scope (${this.mappings(number)}), and ${what} does not say which is that of the page; ${todo}`;
      this.diagnostics.add('g4', text, place);
    } else if (unclear === 'other') {
      const text = `'${id}' has ${this.mappings(number)} in scope, known not to be the mapping of the page, and ${what} needs that one; pass it down by hand`;
      this.diagnostics.add('g4', text, place);
    } else {
      const text = `${what} in '${id}' takes the mapping of '${parameter?.name}', a stacked filesystem's, whose pages belong to the file below; take that one's by hand`;
      this.diagnostics.add('g6', text, place);
    }
  }

  private callSites(): void {
    for (const { call, caller, callee, slot, from } of this.found.callSites) {
      if (from === 'new parameter') continue;
      const about = { function: caller, slot };
      const what = callee === null ? `the call through '${slot}'` : `the call of '${callee}'`;
      if (from === 'own parameter') this.source(this.from.numbered.callers[call] as number, call, what, about);
      else {
        const text = `'${caller}' is marked as an accessor, which gets no parameter, and has no mapping for ${what}; unmark it, or settle the call by hand`;
        this.diagnostics.add('g2', text, { ...about, call, at: this.from.places.text(call) });
      }
    }
  }

  /** g2: functions outside the filesystems that may be accessors, each told once. */
  private possibleAccessors(): void {
    const { functions } = this.from.numbered.graph;
    const { targets, callers, kinds, ids } = this.from.numbered;
    const times = new Map<number, { first: number; count: number }>();
    for (let call = 0; call < targets.length; call++) {
      const target = targets[call] as number;
      if (((kinds[target] as number) & (uses | inFs | accessor)) !== uses || functions[target]?.accessor === false) continue;
      if (((kinds[callers[call] as number] as number) & (inFs | accessor)) !== inFs) continue;
      const known = times.get(target);
      if (known) known.count++;
      else times.set(target, { first: call, count: 1 });
    }
    for (const [target, { first, count }] of [...times].sort(([a], [b]) => a - b)) {
      const id = ids[target] as string;
      const where = `${ids[callers[first] as number]}, ${this.from.places.text(first)}${count > 1 ? `, and ${count - 1} more` : ''}`;
      const text = `'${id}' is outside the filesystems, reads page->mapping and is called from them (${where}); mark it with 'accessor' if it hands that out (with 'accessor': false if not), or with 'fs' to have it converted`;
      this.diagnostics.add('g2', text, { function: id, call: first, at: functions[target]?.at ?? null });
    }
  }
}

/** What the pseudo code does not tell about a result. */
export const diagnosticsOf = (from: Sources, found: Found): Diagnostic[] => new Examination(from, found).run();
