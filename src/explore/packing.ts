/** Where an actor's local state number lies within a packed state. */
export interface Field {
  word: number;
  shift: number;
  /** Bits: it holds numbers below `1 << bits`. */
  bits: number;
  /** `bits` ones. */
  mask: number;
}

/**
 * Global states packed into 32-bit words, each actor's local state number in the bits that it needs. An actor that
 * outgrows its field gets a wider one: then everything stored is packed anew.
 */
export class Packing {
  readonly fields: readonly Field[];
  /** Words per state. */
  readonly words: number;

  /** @param bits How many each actor needs. @param spare How many more an actor may get of those that would be left over in its word. */
  constructor(bits: readonly number[], spare = 0) {
    const free: number[] = [];
    const inside: number[][] = [];
    // Widest first, each into the first word with room: near enough to the fewest words.
    for (const actor of bits.map((_, index) => index).sort((a, b) => (bits[b] as number) - (bits[a] as number) || a - b)) {
      const need = bits[actor] as number;
      let word = free.findIndex((room) => room >= need);
      if (word < 0) {
        word = free.push(32) - 1;
        inside.push([]);
      }
      free[word] = (free[word] as number) - need;
      inside[word]?.push(actor);
    }
    const fields: Field[] = [];
    for (const [word, actors] of inside.entries()) {
      let left = free[word] as number;
      let shift = 0;
      for (const [index, actor] of actors.entries()) {
        const need = bits[actor] as number;
        const extra = Math.max(0, Math.min(spare, Math.floor(left / (actors.length - index)), 31 - need));
        left -= extra;
        fields[actor] = { word, shift, bits: need + extra, mask: 2 ** (need + extra) - 1 };
        shift += need + extra;
      }
    }
    this.fields = fields;
    this.words = free.length;
  }

  /** A packing for actors with so many local states each, with room for some more. */
  static for(counts: readonly number[]): Packing {
    return new Packing(
      counts.map((count) => Math.max(1, Math.ceil(Math.log2(count)))),
      2,
    );
  }

  /** Whether each actor's field can hold its number. */
  holds(ids: Iterable<[actor: number, id: number]>): boolean {
    for (const [actor, id] of ids) if (id > (this.fields[actor] as Field).mask) return false;
    return true;
  }

  read(words: Int32Array, at: number, actor: number): number {
    const { word, shift, mask } = this.fields[actor] as Field;
    return ((words[at + word] as number) >>> shift) & mask;
  }

  write(words: Int32Array, at: number, actor: number, id: number): void {
    const { word, shift, mask } = this.fields[actor] as Field;
    words[at + word] = ((words[at + word] as number) & ~(mask << shift)) | (id << shift);
  }
}
