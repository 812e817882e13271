import type { GraphFunction, MappingParameter } from './call-graph.js';

/** The parameter that functions get. */
export const newParameter = 'mapping';

export const hasMapping = ({ has }: GraphFunction): boolean => has !== undefined && has.length > 0;

/** What a function that has mappings of its own takes for that of the page. */
export interface Own {
  /** What is written for it; null where it is not known. */
  argument: string | null;
  /** Null where it is not known. */
  parameter: MappingParameter | null;
  /** Why it is not known: there are several, or all of them are known to be others. */
  unclear: 'several' | 'other' | null;
}

const own = (parameter: MappingParameter): Own => ({
  argument: parameter.type === 'file' ? `${parameter.name}->f_mapping` : parameter.name,
  parameter,
  unclear: null,
});

/** Where nothing says which it is: those that are known to be other mappings are left out, and one has to remain. */
function remaining(has: readonly MappingParameter[]): Own {
  const possible = has.filter(({ other }) => !other);
  if (possible.length === 1) return own(possible[0] as MappingParameter);
  return { argument: null, parameter: null, unclear: possible.length === 0 ? 'other' : 'several' };
}

/** The mappings that functions have had from the start, worked out once for each function. */
export class OwnMappings {
  private readonly unnamed: (Own | undefined)[];

  constructor(private readonly functions: readonly GraphFunction[]) {
    this.unnamed = new Array(functions.length);
  }

  /** What a function takes for the mapping of the page. `named`: the parameter that the graph says it is. */
  of(number: number, named?: string): Own {
    const { has = [] } = this.functions[number] as GraphFunction;
    if (named !== undefined) return own(has.find(({ name }) => name === named) as MappingParameter);
    const known = this.unnamed[number] ?? remaining(has);
    this.unnamed[number] = known;
    return known;
  }
}
