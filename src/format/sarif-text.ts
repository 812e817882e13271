import type { Message } from 'sarif';

/** SARIF 2.1.0, 3.11.5: braces stand for placeholders, doubled ones for themselves. */
const doubled = (text: string): string => text.replace(/[{}]/g, '$&$&');

/** What looks like an embedded link (3.11.6) and is none. */
const unlinked = (text: string): string => (/\]\(/.test(text) ? text.replace(/[\\[\]]/g, '\\$&') : text);

const oneLine = (text: string): string => text.replace(/\s+/g, ' ').trim();

/** A text of ours as one line of SARIF's plain text. */
export const plainText = (text: string): string => doubled(unlinked(oneLine(text)));

const inMarkdown = (text: string): string => oneLine(text).replace(/[\\`*_[\]<>~|&#]/g, '\\$&');

/** Text that Markdown leaves as it is. Its fence is longer than any that it has inside. */
function fenced(text: string): string {
  const longest = Math.max(0, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
  const fence = '`'.repeat(Math.max(3, longest + 1));
  return `${fence}text\n${text}\n${fence}`;
}

export interface Saying {
  /** What is wrong, as a sentence. */
  sentence: string;
  /** Lines to be shown as they are, in Markdown only: plain text is shown as a title. */
  diagram?: string;
  /** A command line. */
  command?: string;
}

/** A message in plain text and in Markdown. */
export function message({ sentence, diagram, command }: Saying): Message & { text: string; markdown: string } {
  const says = (named: string): string => (named === '' ? sentence : `${sentence} ${named}`);
  return {
    text: plainText(says(command === undefined ? '' : `Replay it: ${command}`)),
    markdown: doubled([inMarkdown(sentence), ...(diagram ? [fenced(diagram)] : []), ...(command === undefined ? [] : [fenced(command)])].join('\n\n')),
  };
}
