/** Where a word that does not fit is cut: after the last `_`, `.`, `/` or `-` that fits, else anywhere. */
function cutOf(word: string, room: number): number {
  const fitting = word.slice(0, room);
  const last = Math.max(...['_', '.', '/', '-'].map((mark) => fitting.lastIndexOf(mark)));
  return last > 0 ? last + 1 : room;
}

/** Texts side by side in columns of one width, each wrapped. */
export function row(texts: readonly string[], width: number, gap: number): string[] {
  const wrapped = texts.map((text) => (text === '' ? [] : wrap(text, width)));
  return Array.from({ length: Math.max(...wrapped.map((lines) => lines.length)) }, (_, at) =>
    wrapped
      .map((lines) => (lines[at] ?? '').padEnd(width))
      .join(' '.repeat(gap))
      .trimEnd(),
  );
}

/** Breaks a text into lines of at most `width` characters, those after the first set in by `indent`. */
export function wrap(text: string, width: number, indent = 2): string[] {
  const lines: string[] = [];
  let line = '';
  const room = (): number => width - (lines.length > 0 ? indent : 0);
  const flush = (): void => {
    lines.push(lines.length > 0 ? ' '.repeat(indent) + line : line);
    line = '';
  };
  for (let word of text.split(/\s+/).filter((part) => part !== '')) {
    if (line !== '' && line.length + 1 + word.length > room()) flush();
    for (; word.length > room(); flush()) {
      const cut = cutOf(word, room());
      line = word.slice(0, cut);
      word = word.slice(cut);
    }
    line = line === '' ? word : `${line} ${word}`;
  }
  if (line !== '' || lines.length === 0) flush();
  return lines;
}
