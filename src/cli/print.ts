import { tokenOf } from '../check/check.js';
import { scheduleDocument } from '../format/json.js';
import { mermaid } from '../format/mermaid.js';
import { steps } from '../format/steps.js';
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

/** A schedule in one format, ending in a line feed. */
function inFormat(shown: Shown, format: FormatName): string {
  const { target, replay, found, fold = true } = shown;
  const ending = shown.ending !== undefined ? shown.ending : found && violationText(replay.system, found);
  const loop = lassoAt(replay, found)?.stem ?? null;
  switch (format) {
    case 'columns':
      return `${drawing(replay, found, ending, { fold })}\n`;
    case 'steps':
      return [steps(replay, ending, loop), reportOf(replay, found)].flatMap((text) => (text === '' ? [] : [`${text}\n`])).join('\n');
    case 'mermaid':
      return `${mermaid(replay, ending, loop)}\n`;
    case 'json':
      return `${JSON.stringify(scheduleDocument(replay, { id: target.subject.id, parameters: target.subject.case?.parameters ?? {}, token: tokenFor(shown), found }), null, 2)}\n`;
  }
}

/** A schedule in several formats, one below the other. */
export const inFormats = (shown: Shown, formats: readonly FormatName[]): string => formats.map((format) => inFormat(shown, format)).join('\n');
