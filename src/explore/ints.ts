const first = 1 << 10;

/** A list of numbers that grows as it needs to, and not beyond what it can ever hold. */
export class Ints {
  items: Int32Array<ArrayBuffer>;
  length = 0;

  constructor(private readonly most: number) {
    this.items = new Int32Array(Math.min(first, most));
  }

  get bytes(): number {
    return this.items.byteLength;
  }

  push(item: number): void {
    if (this.length === this.items.length) {
      const items = new Int32Array(Math.min(this.length * 2, this.most));
      items.set(this.items);
      this.items = items;
    }
    this.items[this.length++] = item;
  }
}
