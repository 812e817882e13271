import type { Field, Packing } from './packing.js';

/**
 * Decision trees over packed states. A node names an actor, its branches are that actor's local state numbers, and a leaf
 * is whatever the owner keeps under its number. A path is exactly what was read on the way to the leaf. Branch values:
 * 0 not seen yet, positive the next node, negative a leaf (its number is the complement).
 */
export class DecisionTrees {
  /** Four numbers a node: the word, shift and mask of the field to read, and where its branches begin. Node 0 is never used. */
  private table = new Int32Array(64);
  private branches = new Int32Array(256);
  private readonly actors: number[] = [-1];
  private used = 0;

  constructor(private packing: Packing) {}

  get nodes(): number {
    return this.actors.length - 1;
  }

  get bytes(): number {
    return this.branches.byteLength + this.table.byteLength;
  }

  /** A new node that branches on `actor`. */
  node(actor: number): number {
    const node = this.actors.push(actor) - 1;
    if (node * 4 === this.table.length) this.table = grown(this.table, node * 8);
    this.place(node);
    return node;
  }

  private place(node: number): void {
    const { word, shift, mask } = this.packing.fields[this.actors[node] as number] as Field;
    this.table.set([word, shift, mask, this.used], node * 4);
    this.used += mask + 1;
    if (this.used > this.branches.length) this.branches = grown(this.branches, Math.max(this.used, this.branches.length * 2));
  }

  /** {@link find} where the local state number that the root reads is known. */
  findFrom(root: number, id: number, words: Int32Array, at: number): number {
    const next = this.branches[(this.table[root * 4 + 3] as number) + id] as number;
    return next > 0 ? this.find(next, words, at) : next;
  }

  /** Follows the tree from `root` on the state at `words[at ...]`: a negative leaf, or 0 where nobody went yet. */
  find(root: number, words: Int32Array, at: number): number {
    const { table, branches } = this;
    let node = root;
    while (node > 0) {
      const row = node * 4;
      const id = ((words[at + (table[row] as number)] as number) >>> (table[row + 1] as number)) & (table[row + 2] as number);
      node = branches[(table[row + 3] as number) + id] as number;
    }
    return node;
  }

  /** Grows the tree by the path through `reads` (the first is the root's actor) to `leaf`. */
  insert(root: number, reads: readonly { actor: number; id: number }[], leaf: number): void {
    let node = root;
    for (const [depth, { id }] of reads.entries()) {
      const branch = (this.table[node * 4 + 3] as number) + id;
      if (depth === reads.length - 1) this.branches[branch] = ~leaf;
      else {
        if (this.branches[branch] === 0) {
          const next = this.node((reads[depth + 1] as { actor: number }).actor);
          this.branches[branch] = next;
        }
        node = this.branches[branch] as number;
      }
    }
  }

  /** Moves all branches to where a wider packing wants them. */
  repack(packing: Packing): void {
    const old = { table: this.table.slice(), branches: this.branches };
    this.packing = packing;
    this.used = 0;
    this.branches = new Int32Array(old.branches.length);
    for (let node = 1; node < this.actors.length; node++) {
      this.place(node);
      const row = node * 4;
      const from = old.table[row + 3] as number;
      // A field that had room to grow may have less of it now; what is beyond was never used.
      const length = Math.min(old.table[row + 2] as number, this.table[row + 2] as number) + 1;
      this.branches.set(old.branches.subarray(from, from + length), this.table[row + 3]);
    }
  }
}

function grown(from: Int32Array<ArrayBuffer>, size: number): Int32Array<ArrayBuffer> {
  const to = new Int32Array(size);
  to.set(from);
  return to;
}
