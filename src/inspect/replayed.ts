/** Frames remembered of a connection. Apps keep up to 200 for viewers that come late, unless told otherwise. */
const remembered = 2_000;

/**
 * Tells the frames that an app sends once more from those that are alike. An app sends all that it kept, in order and without
 * a pause, each time that a viewer greets it; frames carry no number, only the millisecond they were made in, and two equal
 * events in one millisecond are two events.
 */
export class Replayed {
  private readonly sent: number[] = [];
  private latest = Number.NEGATIVE_INFINITY;
  /** Where in `sent` the replay under way may be: more than one place while equal frames leave it open. */
  private places: number[] = [];
  private awaited = false;

  /** The app was greeted again. Without this, a replay is seen by frames older than the latest, and by actors announced anew. */
  greeted(): void {
    this.awaited = this.sent.length > 0;
    this.places = [];
  }

  /** Whether the frame was sent before. If not, it is remembered. */
  has(text: string, stamp: number, announces: boolean): boolean {
    const hash = hashOf(text);
    const following = this.places.length > 0;
    this.places = this.places.filter((place) => this.sent[place] === hash).map((place) => place + 1);
    if (this.places.length > 0) return true;
    if (following) this.awaited = false;
    if (this.awaited || announces || stamp < this.latest) this.places = this.sent.flatMap((other, place) => (other === hash ? [place + 1] : []));
    if (this.places.length > 0) return true;
    if (stamp > this.latest) this.awaited = false;
    this.latest = Math.max(this.latest, stamp);
    this.sent.push(hash);
    if (this.sent.length > remembered) this.sent.shift();
    return false;
  }
}

const { imul } = Math;

/** 53 bits of a text (cyrb53, public domain). */
function hashOf(text: string): number {
  let high = 0xdeadbeef;
  let low = 0x41c6ce57;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    high = imul(high ^ code, 2654435761);
    low = imul(low ^ code, 1597334677);
  }
  high = imul(high ^ (high >>> 16), 2246822507) ^ imul(low ^ (low >>> 13), 3266489909);
  low = imul(low ^ (low >>> 16), 2246822507) ^ imul(high ^ (high >>> 13), 3266489909);
  return 4294967296 * (2097151 & low) + (high >>> 0);
}
