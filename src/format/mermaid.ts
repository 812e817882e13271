import type { Replay } from '../schedule/replay.js';
import { placeOf } from '../system/view.js';
import { actingBefore } from './before.js';
import { choiceText, inFull } from './text.js';

/** Mermaid reads `#name;` as a character, `;` and line ends as the end of a statement, `%%{` as a directive, and renders HTML: all are spelled out. */
const spelled = (text: string): string => text.replace(/[#;<>&%]/g, (character) => `#${character.charCodeAt(0)};`).replace(/\s*[\r\n]+\s*/g, '<br/>');

/**
 * A schedule as a Mermaid sequence diagram: the choices as notes over who takes them, the messages as arrows.
 * @param loop Steps before those that repeat for ever, if some do.
 */
export function mermaid(replay: Replay, ending: string | null, loop: number | null = null): string {
  const { system, steps } = replay;
  const spoken = new Set(
    steps.flatMap(({ choice, messages }) => [choice.actor.address, ...messages.flatMap(({ from, to }) => (from === null ? [to] : [from, to]))]),
  );
  const shown = spoken.size > 0 ? system.actors.filter(({ address }) => spoken.has(address)) : system.actors;
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
    const state = choice.event.type === 'step' ? placeOf(before[at] as (typeof before)[number]) : choiceText(choice);
    lines.push(`${indent}Note over ${aliases.get(choice.actor.address)}: ${number}. ${spelled(state)}`);
    for (const { from, to, event } of messages) if (from !== null) lines.push(`${indent}${aliases.get(from)}->>${aliases.get(to)}: ${spelled(inFull(event))}`);
  }
  if (isLoop) lines.push('  end');
  const ends = [...new Set(['a0', `a${shown.length - 1}`])].join(',');
  if (ending !== null) lines.push(`  Note over ${ends}: ${spelled(ending)}`);
  return lines.join('\n');
}
