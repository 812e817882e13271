/** A function that gets the new parameter. */
export interface NewParameter {
  id: string;
  /** Where it is defined; null if the graph does not say. */
  at: string | null;
  /** `uses`: its body reads `page->mapping`. `slot NAME`: another function of that slot gets it. `calls NAME`: it calls that function, or through that slot. */
  why: string;
}

/** A slot whose type changes. */
export interface ChangedSlot {
  id: string;
  /** How many of its functions get the parameter, and how many call sites go through it: all change together. */
  functions: number;
  callSites: number;
}

/** Where a call site is. */
export interface SitePlace {
  /** Its number in the graph's `calls`, from 0. */
  call: number;
  /** The file, which is its caller's where the call does not say; null if neither is known. */
  file: string | null;
  line: number;
}

/** A call site that passes one argument more. */
export interface RewrittenSite extends SitePlace {
  caller: string;
  /** What is called: one of these two, the other is null. */
  callee: string | null;
  slot: string | null;
  /** What is passed; null where that has to be settled by hand. */
  argument: string | null;
  /** Where the caller has it from; null: it is an accessor, which has none. */
  from: 'new parameter' | 'own parameter' | null;
}

/** A body that reads a mapping at hand instead of `page->mapping`. */
export interface RewrittenBody {
  id: string;
  at: string | null;
  from: 'new parameter' | 'own parameter';
  /** What it reads instead; null where that has to be settled by hand. */
  argument: string | null;
  /** Whether `page->mapping` itself is in it; otherwise only calls of accessors are. */
  reads: boolean;
  /** Calls of accessors that are replaced, and by what. */
  accessors: readonly (SitePlace & { accessor: string; argument: string | null })[];
}

/** A function that gets the parameter and has nobody to pass it; or a circle of such. */
export interface Root {
  id: string;
  at: string | null;
  /** Slots that it is in: nothing is called through them, and it is not called otherwise. */
  slots: readonly string[];
  /** All functions of the circle, of which `id` is the first: they call each other, and nothing else calls any of them. Empty: there is no call site at all. */
  circle: readonly string[];
}

/** A slot whose functions cannot have one type. */
export interface Clash {
  slot: string;
  /** Whether it is one whose type changes. */
  changes: boolean;
  /** Its functions that had a mapping from the start. */
  with: readonly string[];
  /** Those that had none, without accessors. */
  without: readonly string[];
  /** Accessors that had none: they get no parameter. */
  accessors: readonly string[];
}

/** Something about the result that the pseudo code does not tell. */
export interface Diagnostic {
  /** Which gap of the pseudo code it is about. */
  gap: 'g1' | 'g2' | 'g3' | 'g4' | 'g5' | 'g6';
  /** A problem has to be settled by hand: the result is wrong or incomplete without. */
  kind: 'problem' | 'information';
  function: string | null;
  slot: string | null;
  /** The number of the call in the graph. */
  call: number | null;
  /** `file:line`, or the file alone; null if not known. */
  at: string | null;
  text: string;
}

/** What `passdownMapping` finds. All lists are in the order of the graph, diagnostics by gap first. */
export interface Passdown {
  /** The functions that get the parameter: the set N of the algorithm. */
  parameters: readonly NewParameter[];
  slots: readonly ChangedSlot[];
  callSites: readonly RewrittenSite[];
  bodies: readonly RewrittenBody[];
  roots: readonly Root[];
  clashes: readonly Clash[];
  diagnostics: readonly Diagnostic[];
}
