import type { CallSite, GraphFunction } from './call-graph.js';
import type { NumberedGraph } from './numbered.js';

/** The file of a place `file:line`. */
export const fileOf = (at: string): string => at.replace(/:\d+$/, '');

/** Where call sites are: in the file of their caller, unless they name another (a macro's, say). */
export class Places {
  /** Per function; undefined: not looked at yet. */
  private readonly files: (string | null | undefined)[];

  constructor(private readonly numbered: NumberedGraph) {
    this.files = new Array(numbered.functions);
  }

  file(call: number): string | null {
    return (this.numbered.graph.calls[call] as CallSite).file ?? this.fileOfFunction(this.numbered.callers[call] as number);
  }

  line(call: number): number {
    return (this.numbered.graph.calls[call] as CallSite).line;
  }

  /** `file:line`, or what of it is known. */
  text(call: number): string {
    const file = this.file(call);
    return file === null ? `line ${this.line(call)}` : `${file}:${this.line(call)}`;
  }

  private fileOfFunction(number: number): string | null {
    const known = this.files[number];
    if (known !== undefined) return known;
    const { at } = this.numbered.graph.functions[number] as GraphFunction;
    const file = at === undefined ? null : fileOf(at);
    this.files[number] = file;
    return file;
  }
}
