import { tokenOf } from '../check/check.js';
import { itf } from '../format/itf.js';
import { scheduleDocument } from '../format/json.js';
import { mermaid } from '../format/mermaid.js';
import { perfetto } from '../format/perfetto.js';
import { plantuml } from '../format/plantuml.js';
import { shiviz } from '../format/shiviz.js';
import { steps } from '../format/steps.js';
import { times } from '../format/times.js';
import { drawing, type Found, lassoAt, reportOf, violationText } from '../format/violation.js';
import type { Replay } from '../schedule/replay.js';
import type { FormatName } from './options.js';
import type { Target } from './resolve.js';

export interface Shown {
  target: Target;
  replay: Replay;
  found: Found | null;
  /** The last line, where it is not simply the violation. */
  ending?: string | null;
  fold?: boolean;
}

/** The token of the schedule that was run. */
export const tokenFor = ({ target, replay }: Shown): string =>
  tokenOf(
    target.subject,
    replay.steps.map(({ choice }) => choice.index),
  );

const document = (content: object): string => `${JSON.stringify(content, null, 2)}\n`;

/** A schedule in one format, ending in a line feed. */
function inFormat(shown: Shown, format: FormatName): string {
  const { target, replay, found, fold = true } = shown;
  const { id } = target.subject;
  const ending = shown.ending !== undefined ? shown.ending : found && violationText(replay.system, found);
  const loop = lassoAt(replay, found)?.stem ?? null;
  const explained = (text: string): string => [text, reportOf(replay, found)].flatMap((part) => (part === '' ? [] : [`${part}\n`])).join('\n');
  switch (format) {
    case 'columns':
      return `${drawing(replay, found, ending, { fold })}\n`;
    case 'steps':
      return explained(steps(replay, ending, loop));
    case 'times':
      return explained(times(replay, ending, { fold, loop }));
    case 'mermaid':
      return `${mermaid(replay, ending, loop)}\n`;
    case 'plantuml':
      return `${plantuml(replay, ending, loop)}\n`;
    case 'shiviz':
      return `${shiviz(replay, ending, loop)}\n`;
    case 'perfetto':
      return `${perfetto(replay, ending, loop)}\n`;
    case 'itf':
      return document(itf(replay, { id, ending, loop }));
    case 'json':
      return document(scheduleDocument(replay, { id, parameters: target.subject.case?.parameters ?? {}, token: tokenFor(shown), found }));
  }
}

/** A schedule in several formats, one below the other. */
export const inFormats = (shown: Shown, formats: readonly FormatName[]): string => formats.map((format) => inFormat(shown, format)).join('\n');
