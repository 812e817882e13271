/** Local state numbers in the order of the module's variables. */
export type State = readonly number[];
type Condition = (state: State) => boolean;
type Row = { reads: Condition; step: (state: State) => State };

/** Reads the modules that the export writes, and no others. Whatever it does not know is an error. */
export class Module {
  readonly name: string;
  readonly variables: readonly string[];
  readonly initial: State;
  private readonly definitions = new Map<string, string[]>();
  private readonly actions = new Map<string, Row[]>();

  constructor(text: string) {
    const [head = '', ...lines] = text.split('\n').filter((line) => !line.startsWith('\\*') && line !== '');
    this.name = match(head, /^---- MODULE (\w+) ----$/)[1] as string;
    expect(lines.shift()).toBe('EXTENDS Integers');
    this.variables = (match(lines.shift() ?? '', /^VARIABLES (.*)$/)[1] as string).split(', ');
    expect(new Set(this.variables).size).toBe(this.variables.length);
    expect(lines.shift()).toBe(`vars == <<${this.variables.join(', ')}>>`);
    expect(lines.pop()).toBe('====');
    let body: string[] = [];
    for (const line of lines) {
      const [, name] = /^(\w+) ==$/.exec(line) ?? [];
      if (name !== undefined) {
        expect(this.definitions.has(name)).toBe(false);
        body = [];
        this.definitions.set(name, body);
      } else body.push(match(line, /^ {2}(.*)$/)[1] as string);
    }
    expect(this.body('Spec')).toEqual(['Init /\\ [][Next]_vars /\\ Fairness']);
    expect(this.body('Fairness')).toEqual(
      this.alternatives('Fair')
        .map((name) => `/\\ WF_vars(${name})`)
        .concat(this.alternatives('Fair').length === 0 ? ['TRUE'] : []),
    );
    this.initial = this.body('Init').map((line, index) => Number(match(line, new RegExp(`^/\\\\ ${this.variables[index]} = (\\d+)$`))[1]));
  }

  get names(): string[] {
    return [...this.definitions.keys()];
  }

  body(name: string): string[] {
    const found = this.definitions.get(name);
    if (!found) throw new Error(`the module does not define '${name}'`);
    return found;
  }

  /** The states that follow on a state by what is defined as `name`. */
  after(state: State, name = 'Next'): State[] {
    if (name === 'Next' || name === 'Fair') return this.alternatives(name).flatMap((one) => this.after(state, one));
    const rows = this.actions.get(name) ?? this.rows(name);
    this.actions.set(name, rows);
    const possible = rows.filter(({ reads }) => reads(state)).map(({ step }) => step(state));
    // Rows of one choice exclude each other.
    expect(possible.length).toBeLessThan(2);
    return possible;
  }

  /** All states that can be reached. */
  states(): State[] {
    const seen = new Map([[this.initial.join(), this.initial]]);
    for (const state of seen.values()) for (const next of this.after(state)) if (!seen.has(next.join())) seen.set(next.join(), next);
    return [...seen.values()];
  }

  /** An invariant: TypeOK, one that says what must not be, or freedom of deadlocks. */
  invariant(name: string): Condition {
    const body = this.body(name);
    if (name === 'TypeOK') return this.every(body.map((line) => match(line, /^\/\\ (.*)$/)[1] as string));
    const free = body[0] === '\\/ ENABLED Fair';
    expect(body[free ? 1 : 0]).toBe(free ? '\\/ ~(' : '~(');
    expect(body.at(-1)?.trim()).toBe(')');
    const never = this.region(body.slice(free ? 2 : 1, -1));
    return (state) => (free && this.after(state, 'Fair').length > 0) || !never(state);
  }

  /** What must follow on what; null where nothing is the premise. */
  following(name: string): { when: Condition | null; reach: Condition } {
    const body = this.body(name).map((line) => line.trim());
    const at = body.indexOf('~>');
    const inner = (lines: readonly string[]): Condition => {
      expect([lines[0], lines.at(-1)]).toEqual(['(', ')']);
      return this.region(lines.slice(1, -1));
    };
    if (at >= 0) return { when: inner(body.slice(0, at)), reach: inner(body.slice(at + 1)) };
    expect(body[0]).toBe('[]<>');
    return { when: null, reach: inner(body.slice(1)) };
  }

  private alternatives(name: string): string[] {
    const body = this.body(name);
    return body[0] === 'FALSE' ? [] : body.map((line) => match(line, /^\\\/ (\w+)$/)[1] as string);
  }

  private rows(name: string): Row[] {
    let first: Condition | null = null;
    return this.body(name).flatMap((line) => {
      const [, outer] = /^\\\/ \/\\ (.*)$/.exec(line) ?? [];
      if (outer !== undefined) {
        first = this.condition(outer);
        return [];
      }
      const begin = first as Condition;
      const { reads, step } = this.row(match(line, /^ {3}(?:\/\\| {2}) \\\/ (.*)$/)[1] as string);
      return [{ reads: (state: State) => begin(state) && reads(state), step }];
    });
  }

  private row(text: string): Row {
    const atoms = text.split(' /\\ ');
    const writes = atoms.flatMap((atom) => {
      const [, name, id] = /^(\w+)' = (\d+)$/.exec(atom) ?? [];
      return name === undefined ? [] : [[this.index(name), Number(id)] as const];
    });
    const keeps = atoms.flatMap((atom) => (/^Keep_\d+$/.test(atom) ? (match(this.body(atom)[0] ?? '', /^UNCHANGED <<(.*)>>$/)[1] as string).split(', ') : []));
    // Each variable gets a value in one way.
    expect([...writes.map(([index]) => this.variables[index]), ...keeps].sort()).toEqual([...this.variables].sort());
    return {
      reads: this.every(atoms.filter((atom) => !/^\w+' = |^Keep_/.test(atom))),
      step: (state) => {
        const next = [...state];
        for (const [index, id] of writes) next[index] = id;
        return next;
      },
    };
  }

  private region(lines: readonly string[]): Condition {
    const [only] = lines;
    if (only?.trim() === 'FALSE') return () => false;
    const parts = lines.map((line) => this.every((match(line.trim(), /^\\\/ (.*)$/)[1] as string).split(' /\\ ')));
    return (state) => parts.some((part) => part(state));
  }

  private every(atoms: readonly string[]): Condition {
    const conditions = atoms.map((atom) => this.condition(atom));
    return (state) => conditions.every((condition) => condition(state));
  }

  private condition(text: string): Condition {
    if (text === 'TRUE') return () => true;
    const [, name = '', is, from, to, members] = match(text, /^(\w+) (?:= (\d+)|\\in (?:(\d+)\.\.(\d+)|\{(.*)\}))$/);
    const index = this.index(name);
    if (is !== undefined) return (state) => state[index] === Number(is);
    if (members === undefined) return (state) => (state[index] as number) >= Number(from) && (state[index] as number) <= Number(to);
    const ids = new Set(members.split(', ').map(Number));
    return (state) => ids.has(state[index] as number);
  }

  private index(name: string): number {
    const index = this.variables.indexOf(name);
    if (index < 0) throw new Error(`'${name}' is no variable`);
    return index;
  }
}

function match(text: string, pattern: RegExp): RegExpExecArray {
  const found = pattern.exec(text);
  if (!found) throw new Error(`'${text}' does not read ${pattern}`);
  return found;
}
