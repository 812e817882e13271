import type { Packing } from './packing.js';

/** A BUG state entered, as the violation of a property (its number). */
export interface Charge {
  property: number;
  message: string;
}

/** An invariant that reads something that a leaf writes, and is not decided by what the leaf read and wrote. */
export interface Check {
  invariant: number;
  /** Actors that it reads and the leaf says nothing of. */
  open: readonly number[];
  /** Its decision tree over them; 0 if there are none, which means that it is broken. */
  root: number;
}

/** What a step does once it is known what it read. */
export interface Leaf {
  /** New local states of the actors that change. */
  writes: ReadonlyMap<number, number>;
  bugs: readonly Charge[];
  /** What has to be looked at in each new state that it leads to. */
  checks: readonly Check[];
}

/** The leaf changes the state. */
export const changes = 1;
/** The leaf enters BUG states. */
export const charged = 2;
/** The leaf writes what some invariant reads. */
export const checked = 4;

/** Leaves of the decision trees, each as a mask and a value over the words of a packed state. */
export class LeafTable {
  /** Per leaf and word: the bits that stay. */
  mask = new Int32Array(64);
  /** Per leaf and word: the bits that are new. */
  value = new Int32Array(64);
  /** Per leaf: {@link changes}, {@link charged} and {@link checked}, added up. */
  kind = new Uint8Array(64);
  private readonly leaves: Leaf[] = [];

  constructor(private packing: Packing) {}

  get count(): number {
    return this.leaves.length;
  }

  get bytes(): number {
    return this.mask.byteLength + this.value.byteLength + this.kind.byteLength;
  }

  at(index: number): Leaf {
    return this.leaves[index] as Leaf;
  }

  /** Returns the leaf's number. */
  add(leaf: Leaf): number {
    const index = this.leaves.push(leaf) - 1;
    this.place(index);
    return index;
  }

  /** Writes at `to[at ...]` what becomes of the state at `words[from ...]`. */
  apply(leaf: number, words: Int32Array, from: number, to: Int32Array, at: number): void {
    const { mask, value } = this;
    const width = this.packing.words;
    const row = leaf * width;
    for (let i = 0; i < width; i++) to[at + i] = ((words[from + i] as number) & (mask[row + i] as number)) | (value[row + i] as number);
  }

  repack(packing: Packing): void {
    this.packing = packing;
    for (let index = 0; index < this.leaves.length; index++) this.place(index);
  }

  private place(index: number): void {
    const { packing } = this;
    const { writes, bugs, checks } = this.at(index);
    const from = index * packing.words;
    if (from + packing.words > this.mask.length) {
      this.mask = enlarged(this.mask, new Int32Array((from + packing.words) * 2));
      this.value = enlarged(this.value, new Int32Array((from + packing.words) * 2));
    }
    if (index >= this.kind.length) this.kind = enlarged(this.kind, new Uint8Array(index * 2));
    this.mask.fill(-1, from, from + packing.words);
    this.value.fill(0, from, from + packing.words);
    for (const [actor, id] of writes) {
      packing.write(this.mask, from, actor, 0);
      packing.write(this.value, from, actor, id);
    }
    this.kind[index] = (writes.size > 0 ? changes : 0) + (bugs.length > 0 ? charged : 0) + (checks.length > 0 ? checked : 0);
  }
}

function enlarged<T extends Int32Array | Uint8Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
