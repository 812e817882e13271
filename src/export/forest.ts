/** Local state numbers that one actor may have. */
export interface Condition {
  actor: number;
  /** In rising order; never all that the actor has. */
  ids: readonly number[];
}

export type Write = readonly [actor: number, id: number];

/** Where all conditions hold, the writes follow. */
export interface Row {
  reads: readonly Condition[];
  writes: readonly Write[];
}

/** A set of global states: those that meet all conditions of one of its parts. A part without conditions is all states. */
export type Region = readonly (readonly Condition[])[];

/** What follows from the local states of some actors, read one after the other. */
export type Tree = Leaf | Branch;
interface Leaf {
  number: number;
  writes: readonly Write[];
}
interface Branch {
  number: number;
  actor: number;
  cases: readonly { ids: readonly number[]; follows: Tree }[];
}

/**
 * Decision trees in the fewest rows that keep their order of reading: local states after which all is the same are one case, and an
 * actor of which it does not matter where it is is not read. Equal trees are one object, told by its number.
 */
export class Forest {
  private readonly known = new Map<string, Tree>();

  /** @param counts How many local states each actor has. */
  constructor(private readonly counts: readonly number[]) {}

  leaf(writes: Iterable<Write>): Leaf {
    const sorted = [...writes].sort(([a], [b]) => a - b);
    return this.shared(`=${sorted.map(([actor, id]) => `${actor}:${id}`).join()}`, (number) => ({ number, writes: sorted }));
  }

  /** Where `cases` has no entry for a local state, nothing follows. Null if it has none at all. */
  branch(actor: number, cases: Iterable<readonly [id: number, follows: Tree | null]>): Tree | null {
    const groups = new Map<Tree, number[]>();
    for (const [id, tree] of cases) if (tree) groups.set(tree, [...(groups.get(tree) ?? []), id]);
    const [first] = groups;
    if (!first) return null;
    if (first[1].length === this.counts[actor]) return first[0];
    const key = [...groups].map(([tree, ids]) => `${ids.join()}>${tree.number}`).join(' ');
    return this.shared(`${actor}?${key}`, (number) => ({
      number,
      actor,
      cases: [...groups].map(([tree, ids]) => ({ ids: ids.sort((a, b) => a - b), follows: tree })),
    }));
  }

  private shared<T extends Tree>(key: string, make: (number: number) => T): T {
    const known = this.known.get(key);
    if (known) return known as T;
    const tree = make(this.known.size);
    this.known.set(key, tree);
    return tree;
  }
}

/** A tree's paths. */
export function* rowsOf(tree: Tree | null, reads: readonly Condition[] = []): Generator<Row> {
  if (tree === null) return;
  if ('writes' in tree) yield { reads, writes: tree.writes };
  else for (const { ids, follows } of tree.cases) yield* rowsOf(follows, [...reads, { actor: tree.actor, ids }]);
}

/** What was read, in the order of reading, and what follows; grown path by path. After the same reads, the same actor is read next. */
export class Trie {
  private actor = -1;
  private readonly next = new Map<number, Trie>();
  private writes: readonly Write[] | null = null;

  add(reads: readonly { actor: number; id: number }[], writes: Iterable<Write>): void {
    const [first, ...rest] = reads;
    if (!first) {
      this.writes = [...writes];
      return;
    }
    this.actor = first.actor;
    const next = this.next.get(first.id) ?? new Trie();
    this.next.set(first.id, next);
    next.add(rest, writes);
  }

  reduced(forest: Forest): Tree | null {
    if (this.writes) return forest.leaf(this.writes);
    return forest.branch(
      this.actor,
      [...this.next].sort(([a], [b]) => a - b).map(([id, next]) => [id, next.reduced(forest)] as const),
    );
  }
}
