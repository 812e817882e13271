import { parseLine, type TraceLine } from './parse.js';

/** Longer lines are no lines of a log. */
const longest = 64 * 1024;

/** Batches of the whole lines in a text that comes in pieces, numbered and parsed. */
export async function* linesIn(pieces: AsyncIterable<string>): AsyncGenerator<TraceLine[]> {
  let number = 0;
  const parsed = (text: string): TraceLine => {
    number++;
    return parseLine(text.endsWith('\r') ? text.slice(0, -1) : text, number);
  };
  let rest = '';
  for await (const piece of pieces) {
    const lines = (rest + piece).split('\n');
    rest = lines.pop() as string;
    if (rest.length > longest) {
      // The rest of this line is dropped as it comes; what is kept is broken, and counted as such.
      lines.push('\u0000');
      rest = '';
    }
    yield lines.map(parsed);
  }
  if (rest !== '') yield [parsed(rest)];
}
