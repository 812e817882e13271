const none = -1;
/** What a name's entry in the table holds: its number, its hash, its length, and where its characters begin. */
const [hashField, lengthField, startField, fields] = [1, 2, 3, 4];
/** So many names are looked up side by side. */
const together = 1024;

function hashOf(name: string): number {
  let hash = name.length;
  for (let at = 0; at < name.length; at++) hash = (Math.imul(hash, 31) + name.charCodeAt(at)) | 0;
  hash = Math.imul(hash ^ (hash >>> 15), 0x9e3779b1);
  return hash ^ (hash >>> 13);
}

/**
 * Numbers for names, as a Map has them, made for looking up millions of strings that JSON.parse has just made: a Map takes most of a
 * microsecond for each, as V8 hashes it anew and compares it with a string elsewhere in memory. Here all is in two arrays, and the
 * processor waits for many names at once. Names are compared in full.
 */
export class Names {
  private readonly mask: number;
  private readonly entries: Int32Array;
  private characters = new Uint16Array(1024);
  private end = 0;
  private readonly hashes = new Int32Array(together);
  private readonly found = new Int32Array(together);

  /** @param most How many names there may be at most. */
  constructor(most: number) {
    let room = 16;
    while (room < 2 * most) room *= 2;
    this.mask = room - 1;
    this.entries = new Int32Array(fields * room).fill(none);
  }

  /** Adds a name with its number. One that is there already stays as it is, and its number is returned; else -1. */
  add(name: string, number: number): number {
    const hash = hashOf(name);
    const entry = this.find(name, hash);
    const before = this.entries[entry] as number;
    if (before !== none) return before;
    if (this.end + name.length > this.characters.length) this.grow(name.length);
    this.entries.set([number, hash, name.length, this.end], entry);
    for (let at = 0; at < name.length; at++) this.characters[this.end++] = name.charCodeAt(at);
    return none;
  }

  /** The number of each name; -1 for one that is not there, and for what is no string. */
  numbers(names: readonly unknown[]): Int32Array {
    const numbers = new Int32Array(names.length);
    for (let from = 0; from < names.length; from += together) this.some(names, from, Math.min(from + together, names.length), numbers);
    return numbers;
  }

  /** {@link numbers} for some of them. One loop for each thing that has to come from memory: there many can be under way. */
  private some(names: readonly unknown[], from: number, to: number, numbers: Int32Array): void {
    const { hashes, found, entries, mask } = this;
    for (let at = from; at < to; at++) {
      const name = names[at];
      hashes[at - from] = typeof name === 'string' ? hashOf(name) : 0;
    }
    for (let at = 0; at < to - from; at++) {
      const hash = hashes[at] as number;
      let place = hash & mask;
      while (entries[fields * place] !== none && entries[fields * place + hashField] !== hash) place = (place + 1) & mask;
      found[at] = fields * place;
    }
    for (let at = from; at < to; at++) {
      const name = names[at];
      const entry = found[at - from] as number;
      numbers[at] =
        typeof name !== 'string' ? none : this.is(name, entry) ? (entries[entry] as number) : (entries[this.find(name, hashes[at - from] as number)] as number);
    }
  }

  /** Where a name's entry is, or would be. */
  private find(name: string, hash: number): number {
    const { entries, mask } = this;
    for (let place = hash & mask; ; place = (place + 1) & mask) {
      const entry = fields * place;
      if (entries[entry] === none || (entries[entry + hashField] === hash && this.is(name, entry))) return entry;
    }
  }

  private is(name: string, entry: number): boolean {
    const { characters, entries } = this;
    if (entries[entry + lengthField] !== name.length) return false;
    const start = entries[entry + startField] as number;
    for (let at = 0; at < name.length; at++) if (characters[start + at] !== name.charCodeAt(at)) return false;
    return true;
  }

  private grow(more: number): void {
    const larger = new Uint16Array(2 * (this.end + more));
    larger.set(this.characters);
    this.characters = larger;
  }
}
