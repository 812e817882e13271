import type { Packing } from './packing.js';

// Jest runs modules in a context where every look-up of a global is slow.
const { imul } = Math;

/** How a state was first reached: not at all, it is the initial one. */
export const noParent = 0xffffffff;

/** Arrays grow by this factor once they are large; while small they double. */
const growth = 1.15;
const small = 1 << 18;
/** From here on the hash table grows by halves; below it doubles. */
const largeTable = 1 << 22;
/** Slots used at most, as a share of all. Tags keep long probes cheap. */
const load = 0.8;

/** Successors gathered before they are looked up: enough for their cache misses to overlap, few enough to stay in cache. */
export const batchSize = 1024;
/** Most successors that are not new were met a short while ago: these are told without a look at the table. */
const recentSize = 1 << 16;

/** States on their way into the visited table, hashed. */
export class Batch {
  words: Int32Array;
  readonly hashes = new Int32Array(batchSize);
  readonly parents = new Uint32Array(batchSize);
  readonly choices = new Uint16Array(batchSize);
  /** After {@link StateStore.addAll}: which of them were new. */
  readonly fresh = new Int32Array(batchSize);
  readonly entries = new Int32Array(batchSize);
  readonly touched = new Int32Array(batchSize);
  count = 0;
  /** States that passed through lately, by some bits of their hash. */
  private recent: Int32Array;
  private readonly isRecent = new Uint8Array(recentSize);

  constructor(private width: number) {
    this.words = new Int32Array(batchSize * width);
    this.recent = new Int32Array(recentSize * width);
  }

  /** The state written at the end of the batch joins it, unless it did so a short while ago: then it is there already, or will be. */
  enter(hash: number, parent: number, choice: number): void {
    const { words, recent, isRecent, width, count } = this;
    const slot = hash & (recentSize - 1);
    const at = count * width;
    const seen = slot * width;
    if (isRecent[slot] === 1) {
      let word = 0;
      while (word < width && recent[seen + word] === words[at + word]) word++;
      if (word === width) return;
    }
    isRecent[slot] = 1;
    for (let word = 0; word < width; word++) recent[seen + word] = words[at + word] as number;
    this.hashes[count] = hash;
    this.parents[count] = parent;
    this.choices[count] = choice;
    this.count = count + 1;
  }

  get bytes(): number {
    const arrays = [this.words, this.hashes, this.parents, this.choices, this.fresh, this.entries, this.touched, this.recent, this.isRecent];
    return arrays.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** Empty, for states of another width or packing. */
  reset(width: number): void {
    this.width = width;
    this.words = new Int32Array(batchSize * width);
    this.recent = new Int32Array(recentSize * width);
    this.isRecent.fill(0);
    this.count = 0;
  }
}

/** States that are looked up together: `count` of them, which follow on each other in `words`. */
export class Lookups {
  readonly words: Int32Array;
  /** Afterwards, the numbers of the states; -1 of those that are not there. */
  readonly hashes: Int32Array;
  readonly entries: Int32Array;
  readonly touched: Int32Array;
  count = 0;

  constructor(most: number, width: number) {
    this.words = new Int32Array(most * width);
    this.hashes = new Int32Array(most);
    this.entries = new Int32Array(most);
    this.touched = new Int32Array(most);
  }
}

/**
 * The visited table: every state once, in the order of discovery (which makes it the search's queue too), with its parent
 * and the choice that led to it. A slot of the hash table holds a state's number and, in the bits above, a tag of its
 * hash, so that an unequal state is hardly ever looked at.
 */
export class StateStore {
  count = 0;
  /** Words per state. */
  width: number;
  words: Int32Array<ArrayBuffer>;
  parents: Uint32Array<ArrayBuffer>;
  choices: Uint8Array<ArrayBuffer> | Uint16Array<ArrayBuffer>;
  slots: Int32Array<ArrayBuffer>;
  /** How many low bits of a slot hold a state's number plus one. The rest is the tag: low bits of the hash, since its high bits choose the slot. */
  private numberBits = 0;
  /** A hash becomes a slot by `((hash >>> slotShift) * slotFactor) >>> 2`: 2^k slots with factor 2, half as many again with 3. */
  private slotShift = 0;
  private slotFactor = 2;
  private full = 0;

  constructor(
    public packing: Packing,
    choiceCount: number,
    capacity = 1 << 10,
  ) {
    this.width = packing.words;
    this.words = new Int32Array(capacity * packing.words);
    this.parents = new Uint32Array(capacity);
    this.choices = choiceCount <= 0x100 ? new Uint8Array(capacity) : new Uint16Array(capacity);
    this.slots = new Int32Array(0);
    this.resize(11, 2);
  }

  /** Bytes held, table, parents and choices included. */
  get bytes(): number {
    return this.words.byteLength + this.parents.byteLength + this.choices.byteLength + this.slots.byteLength;
  }

  /** The hash of the state at `words[at ...]`. */
  hash(words: Int32Array, at: number): number {
    let h = 0x9e3779b9;
    for (let i = 0; i < this.width; i++) {
      h = imul(h ^ (words[at + i] as number), 0x85ebca6b);
      h ^= h >>> 15;
    }
    h = imul(h, 0xc2b2ae35);
    return h ^ (h >>> 16);
  }

  /** Adds the states of a batch that are not there yet, in order, and empties it. Returns how many were new; their numbers follow on each other. */
  addAll(batch: Batch): number {
    const before = this.count;
    this.reserve(before + batch.count);
    this.fetch(batch);
    const { slots, words, parents, choices, slotShift, slotFactor, numberBits, width } = this;
    const { words: from, hashes, entries, count } = batch;
    const numberMask = 2 ** numberBits - 1;
    const last = slots.length - 1;
    let next = before;
    for (let i = 0; i < count; i++) {
      const hash = hashes[i] as number;
      const tag = hash << numberBits;
      const at = i * width;
      // Most are where their slot pointed when it was fetched; else it is looked for from there, past what this batch added.
      let slot = imul(hash >>> slotShift, slotFactor) >>> 2;
      let entry = entries[i] as number;
      if (entry === 0) entry = slots[slot] as number;
      let there = false;
      while (entry !== 0) {
        if ((entry ^ tag) >>> numberBits === 0) {
          const state = ((entry & numberMask) - 1) * width;
          let word = 0;
          while (word < width && words[state + word] === from[at + word]) word++;
          there = word === width;
          if (there) break;
        }
        slot = slot === last ? 0 : slot + 1;
        entry = slots[slot] as number;
      }
      if (there) continue;
      for (let word = 0, to = next * width; word < width; word++) words[to + word] = from[at + word] as number;
      parents[next] = batch.parents[i] as number;
      choices[next] = batch.choices[i] as number;
      batch.fresh[next - before] = i;
      next++;
      slots[slot] = tag | next;
    }
    batch.count = 0;
    this.count = next;
    return next - before;
  }

  /** The number of the state at `words[at ...]`; -1 if it is not there. */
  find(words: Int32Array, at: number): number {
    const { slots, slotShift, slotFactor, numberBits, width } = this;
    const hash = this.hash(words, at);
    const tag = hash << numberBits;
    let slot = imul(hash >>> slotShift, slotFactor) >>> 2;
    for (let entry = slots[slot] as number; entry !== 0; entry = slots[slot] as number) {
      if ((entry ^ tag) >>> numberBits === 0) {
        const state = (entry & (2 ** numberBits - 1)) - 1;
        let word = 0;
        while (word < width && this.words[state * width + word] === words[at + word]) word++;
        if (word === width) return state;
      }
      slot = slot + 1 === slots.length ? 0 : slot + 1;
    }
    return -1;
  }

  /** The numbers of several states, as {@link find} tells them, in place of their hashes. */
  findAll(looked: Lookups): void {
    const { words: from, hashes, entries, count } = looked;
    for (let i = 0; i < count; i++) hashes[i] = this.hash(from, i * this.width);
    this.fetch(looked);
    const { slots, words, slotShift, slotFactor, numberBits, width } = this;
    const numberMask = 2 ** numberBits - 1;
    const last = slots.length - 1;
    for (let i = 0; i < count; i++) {
      const hash = hashes[i] as number;
      const tag = hash << numberBits;
      const at = i * width;
      let slot = imul(hash >>> slotShift, slotFactor) >>> 2;
      let state = -1;
      for (let entry = entries[i] as number; entry !== 0; entry = slots[slot] as number) {
        if ((entry ^ tag) >>> numberBits === 0) {
          const candidate = (entry & numberMask) - 1;
          let word = 0;
          while (word < width && words[candidate * width + word] === from[at + word]) word++;
          if (word === width) {
            state = candidate;
            break;
          }
        }
        slot = slot === last ? 0 : slot + 1;
      }
      hashes[i] = state;
    }
  }

  /**
   * Reads the slots of a batch's hashes, and a word of each state that they name. The loops have nothing to decide, so
   * that the reads, nearly all of them cache misses, overlap; what looks closely afterwards finds them in the cache.
   */
  private fetch({ entries, touched, hashes, count }: Pick<Lookups, 'entries' | 'touched' | 'hashes' | 'count'>): void {
    const { slots, slotShift, slotFactor, words, width, numberBits } = this;
    const numberMask = 2 ** numberBits - 1;
    for (let i = 0; i < count; i++) entries[i] = slots[imul((hashes[i] as number) >>> slotShift, slotFactor) >>> 2] as number;
    for (let i = 0; i < count; i++) {
      const number = (entries[i] as number) & numberMask;
      touched[i] = words[(number - ((number | -number) >>> 31)) * width] as number;
    }
  }

  /** Packs every stored state anew. The states keep their numbers. */
  repack(packing: Packing): void {
    const old = this.packing;
    const words = new Int32Array(this.parents.length * packing.words);
    for (let index = 0; index < this.count; index++)
      for (let actor = 0; actor < old.fields.length; actor++)
        packing.write(words, index * packing.words, actor, old.read(this.words, index * old.words, actor));
    this.packing = packing;
    this.width = packing.words;
    this.words = words;
    this.rehash();
  }

  /** Makes room for `count` states. */
  private reserve(count: number): void {
    while (count >= this.full) this.widenTable();
    if (count <= this.parents.length) return;
    const capacity = Math.max(count, Math.ceil(this.parents.length * (this.parents.length < small ? 2 : growth)));
    const words = new Int32Array(capacity * this.width);
    words.set(this.words);
    this.words = words;
    const parents = new Uint32Array(capacity);
    parents.set(this.parents);
    this.parents = parents;
    const choices = this.choices instanceof Uint8Array ? new Uint8Array(capacity) : new Uint16Array(capacity);
    choices.set(this.choices);
    this.choices = choices;
  }

  private widenTable(): void {
    const bits = 31 - this.slotShift;
    if (this.slotFactor === 2 && this.slots.length >= largeTable) this.resize(bits, 3);
    else this.resize(bits + 1, 2);
  }

  private resize(bits: number, factor: 2 | 3): void {
    const size = (2 ** bits * factor) / 2;
    this.slotShift = 31 - bits;
    this.slotFactor = factor;
    this.full = Math.floor(size * load);
    this.numberBits = Math.ceil(Math.log2(this.full + 2));
    this.slots = new Int32Array(size);
    this.rehash();
  }

  private rehash(): void {
    const { slots, words, width, count, numberBits, slotShift, slotFactor } = this;
    slots.fill(0);
    for (let index = 0; index < count; index++) {
      const hash = this.hash(words, index * width);
      let slot = imul(hash >>> slotShift, slotFactor) >>> 2;
      while (slots[slot] !== 0) slot = slot + 1 === slots.length ? 0 : slot + 1;
      slots[slot] = (hash << numberBits) | (index + 1);
    }
  }
}
