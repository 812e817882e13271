import { drawing, foundIn, violationText } from '../dist/esm/src/format/violation.js';

const few = 3;

/** A counterexample as the command line shows it, to be unfolded under a summary; wider where there are many columns. */
export function unfolded(summary, property) {
  const { replay, token } = property.counterexample;
  const found = foundIn(property);
  const lanes = new Set(replay.steps.map(({ choice }) => choice.actor.lane)).size;
  const drawn = drawing(replay, found, violationText(replay.system, found), { width: lanes > few ? 110 : 75 });
  return ['<details>', `<summary>${summary}</summary>`, '', '```', drawn, '```', '', `\`shootdown replay '${token}'\``, '', '</details>'].join('\n');
}
