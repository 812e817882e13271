import type { Replay } from '../schedule/replay.js';
import type { SystemActor } from '../system/system.js';
import type { AnySnapshot } from '../system/view.js';
import { actingBefore } from './before.js';
import { deedOf, spokenIn, takingPart } from './doing.js';
import { inFull } from './text.js';

const codePoint = (character: string): string => `<U+${(character.codePointAt(0) as number).toString(16).toUpperCase().padStart(4, '0')}>`;

/**
 * A text in which PlantUML finds nothing to interpret. It reads Creole (doubled marks, tags, and marks at the start of a line),
 * `\n`, its preprocessor's `%name()` and `$name`, and comments from `/'` on: such characters are spelled by their numbers.
 */
const spelled = (text: string): string =>
  text
    .replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, '\ufffd')
    .trim()
    .split(/\s*[\r\n\u2028\u2029]+\s*/)
    .map((line) =>
      line
        .replace(/\s/g, ' ')
        // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
        .replace(/[\u0000-\u001f\u007f]/g, '\ufffd')
        .replace(/([^\p{L}\p{N} ])\1+|[<>"'\\%$!#&~|^`]|^[^\p{L}\p{N}(\ufffd]/gu, (found) => [...found].map(codePoint).join('')),
    )
    .join('\\n');

/** The participants, those of one lane in a box. */
function participants(actors: readonly SystemActor[], aliases: ReadonlyMap<string, string>): string[] {
  const line = ({ address }: SystemActor): string => `participant "${spelled(address)}" as ${aliases.get(address)}`;
  return actors.flatMap((actor, at) => {
    const { lane } = actor;
    if (lane === null) return line(actor);
    const together = actors.filter((other) => other.lane === lane);
    return actors.findIndex((other) => other.lane === lane) === at ? [`box "${spelled(lane)}"`, ...together.map((other) => `  ${line(other)}`), 'end box'] : [];
  });
}

/**
 * A schedule as a PlantUML sequence diagram: actors in boxes by lane, the choices as notes over who takes them, the messages as arrows.
 * @param loop Steps before those that repeat for ever, if some do.
 */
export function plantuml(replay: Replay, ending: string | null, loop: number | null = null): string {
  const { system, steps } = replay;
  const shown = takingPart(system.actors, steps);
  const aliases = new Map(shown.map(({ address }, at) => [address, `a${at}`]));
  const before = actingBefore(replay);
  const isLoop = loop !== null && loop < steps.length;
  const lines = ['@startuml', ...participants(shown, aliases)];
  for (const [at, step] of steps.entries()) {
    if (at === loop) lines.push('loop for ever');
    const indent = isLoop && at >= loop ? '  ' : '';
    lines.push(`${indent}note over ${aliases.get(step.choice.actor.address)}: ${spelled(`${step.number}. ${deedOf(step.choice, before[at] as AnySnapshot)}`)}`);
    for (const { from, to, event } of spokenIn(step)) lines.push(`${indent}${aliases.get(from)} -> ${aliases.get(to)}: ${spelled(inFull(event))}`);
  }
  if (isLoop) lines.push('end');
  if (ending !== null) lines.push(shown.length > 0 ? `note across: ${spelled(ending)}` : `title ${spelled(ending)}`);
  return [...lines, '@enduml'].join('\n');
}
