import type { Replay } from '../schedule/replay.js';
import { becameText, changesOf, whereOf } from './changes.js';
import { loopMark } from './lasso.js';
import { choiceText, inFull } from './text.js';

/**
 * A schedule as a numbered list: each step's choice, its messages, and what it changed.
 * @param loop Steps before those that repeat for ever, if some do.
 */
export function steps(replay: Replay, ending: string | null, loop: number | null = null): string {
  const lines: string[] = [];
  for (const step of replay.steps) {
    if (step.number - 1 === loop) lines.push(loopMark(loop, replay.steps.length, 75));
    const indent = ' '.repeat(`${step.number}. `.length);
    lines.push(`${step.number}. ${step.choice.actor.address}: ${choiceText(step.choice)}`);
    // A message from nobody is the choice itself.
    for (const { from, to, event } of step.messages) if (from !== null) lines.push(`${indent}${from} -> ${to}: ${inFull(event)}`);
    for (const change of changesOf(step)) lines.push(`${indent}${whereOf(change)}: ${becameText(change)}`);
  }
  if (ending !== null) lines.push(`=> ${ending}`);
  return lines.join('\n');
}
