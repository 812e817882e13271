import type { Replay } from '../schedule/replay.js';
import type { AnySnapshot } from '../system/view.js';
import { actingBefore } from './before.js';
import { deedOf, takingPart } from './doing.js';
import { inFull } from './text.js';

/** Mermaid reads `#name;` as a character, `;` and line ends as the end of a statement, `%%{` as a directive, and renders HTML: all are spelled out. */
const spelled = (text: string): string => text.replace(/[#;<>&%]/g, (character) => `#${character.charCodeAt(0)};`).replace(/\s*[\r\n]+\s*/g, '<br/>');

/**
 * A schedule as a Mermaid sequence diagram: the choices as notes over who takes them, the messages as arrows.
 * @param loop Steps before those that repeat for ever, if some do.
 */
export function mermaid(replay: Replay, ending: string | null, loop: number | null = null): string {
  const { system, steps } = replay;
  const shown = takingPart(system.actors, steps);
  const aliases = new Map(shown.map(({ address }, at) => [address, `a${at}`]));
  const lines = [
    'sequenceDiagram',
    ...shown.map(({ address, lane }) => `  participant ${aliases.get(address)} as ${spelled(lane === null ? address : `${address}\n${lane}`)}`),
  ];
  const before = actingBefore(replay);
  const isLoop = loop !== null && loop < steps.length;
  for (const [at, { number, choice, messages }] of steps.entries()) {
    if (at === loop) lines.push('  loop for ever');
    const indent = isLoop && at >= loop ? '    ' : '  ';
    lines.push(`${indent}Note over ${aliases.get(choice.actor.address)}: ${number}. ${spelled(deedOf(choice, before[at] as AnySnapshot))}`);
    for (const { from, to, event } of messages) if (from !== null) lines.push(`${indent}${aliases.get(from)}->>${aliases.get(to)}: ${spelled(inFull(event))}`);
  }
  if (isLoop) lines.push('  end');
  const ends = [...new Set(['a0', `a${shown.length - 1}`])].join(',');
  if (ending !== null) lines.push(`  Note over ${ends}: ${spelled(ending)}`);
  return lines.join('\n');
}
