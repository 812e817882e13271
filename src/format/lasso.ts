import type { Assumption } from '../explore/explorer.js';
import type { JudgedLasso, Obligation } from '../schedule/lasso.js';
import type { Choice, System } from '../system/system.js';
import { choiceText, count } from './text.js';
import { wrap } from './wrap.js';

/** A schedule that ends with a loop, as far as it is told in words. */
export interface Looping {
  system: System;
  /** The choices taken. */
  taken: readonly Choice[];
  /** What should come and does not: the property's description. */
  description: string;
  lasso: JudgedLasso;
}

const defaultWidth = 75;

/** Added to a violation's text: how a loop of so many steps goes on. */
export const goesOn = (length: number): string =>
  length === 0 ? '(nothing more happens)' : length === 1 ? '(the last step repeats for ever)' : `(the last ${length} steps repeat for ever)`;

/** `12 steps`, and of a lasso how they divide: `12 steps (8, then 4 for ever)`. */
export const lengthText = (length: number, lasso: Pick<JudgedLasso, 'stem'> | null): string =>
  lasso === null
    ? count(length, 'step')
    : `${count(length, 'step')} (${lasso.stem === length ? 'after which nothing more happens' : `${lasso.stem}, then ${length - lasso.stem} for ever`})`;

/** The line above the first step of a loop, in a list of so many steps. */
export function loopMark(stem: number, steps: number, width: number): string {
  const which = steps - stem === 1 ? `step ${steps}` : `steps ${stem + 1} to ${steps}`;
  return `---- from here on, for ever (${which}) `.padEnd(width, '-').slice(0, width);
}

const nameOf = (choice: Choice): string => `${choice.actor.address}: ${choiceText(choice)}`;
const isStepOfPath = ({ actor, event }: Choice): boolean => actor.path && event.type === 'step';
const afterStep = (number: number): string => (number === 0 ? 'at the start' : `after step ${number}`);

/** `1, 2 and 3`; of many, the first ones and how many more. */
function listed(items: readonly (string | number)[], most = 6): string {
  const shown = items.length > most ? [...items.slice(0, most - 1), `${items.length - most + 1} more`] : items;
  return shown.length > 1 ? `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)}` : `${shown[0] ?? ''}`;
}

const inSteps = (steps: readonly number[]): string => `${steps.length === 1 ? 'step' : 'steps'} ${listed(steps)}`;

/** `cpu0: interrupt`; of several with one event `cpu0 and cpu1: interrupt`, of one actor `cpu0: step and interrupt`. */
function namesOf(choices: readonly Choice[]): string {
  const [actors, texts] = [new Set(choices.map(({ actor }) => actor.address)), new Set(choices.map(choiceText))];
  return actors.size === 1 || texts.size === 1 ? `${listed([...actors])}: ${listed([...texts])}` : listed(choices.map(nameOf));
}

/** Where the actors of some choices are. A path that cannot take its next step waits. */
function whereabouts(choices: readonly Choice[], why: 'disabled' | 'idle', place: string): string {
  const actors = [...new Set(choices.map(({ actor }) => actor))];
  const waits = why === 'disabled' && choices.every(isStepOfPath);
  const [who, verb] = actors.length === 1 ? [actors[0]?.address, waits ? 'waits' : 'is'] : ['they', waits ? 'wait' : 'are'];
  return `${who} ${verb} in '${place}'`;
}

/** What has finished or rests is not told one by one. */
const hasNothingToDo = (obligation: Obligation): boolean => obligation.why === 'disabled' && obligation.rests;

/** Choices of which the same is said. */
function grouped(obligations: readonly Obligation[]): { choices: Choice[]; obligation: Obligation }[] {
  const groups = new Map<string, { choices: Choice[]; obligation: Obligation }>();
  for (const obligation of obligations) {
    const { choice, why } = obligation;
    const key = why === 'disabled' || why === 'idle' ? [why, obligation.after, obligation.place, isStepOfPath(choice)] : [why, choice.index];
    const group = groups.get(JSON.stringify(key)) ?? { choices: [], obligation };
    group.choices.push(choice);
    groups.set(JSON.stringify(key), group);
  }
  return [...groups.values()];
}

function reasonOf({ choices, obligation }: { choices: readonly Choice[]; obligation: Obligation }): string {
  switch (obligation.why) {
    case 'taken':
      return `happens in ${inSteps(obligation.steps)}`;
    case 'disabled':
      return `cannot happen ${afterStep(obligation.after)} (${whereabouts(choices, obligation.why, obligation.place)})`;
    case 'idle':
      return `would change nothing ${afterStep(obligation.after)} (${whereabouts(choices, obligation.why, obligation.place)})`;
    case 'owed':
      return 'is owed';
  }
}

const order: readonly Obligation['why'][] = ['taken', 'disabled', 'idle', 'owed'];
/** Of the width, for names. */
const widestName = 0.4;

/** A line or more for each reason: whose it is on the left, the reason on the right. Empty if nobody has anything to do. */
function reasons(obligations: readonly Obligation[], width: number): string[] {
  const groups = order.flatMap((why) => grouped(obligations.filter((obligation) => obligation.why === why && !hasNothingToDo(obligation))));
  const left = groups.map(({ choices }) => wrap(namesOf(choices), Math.floor(width * widestName), 0));
  const room = Math.max(0, ...left.flat().map(({ length }) => length));
  const rows = groups.flatMap((group, at) => {
    const [names, says] = [left[at] as string[], wrap(reasonOf(group), width - room - 4)];
    return Array.from({ length: Math.max(names.length, says.length) }, (_, line) => `  ${(names[line] ?? '').padEnd(room)}  ${says[line] ?? ''}`.trimEnd());
  });
  const others = [...new Set(obligations.filter(hasNothingToDo).map(({ choice }) => choice.actor.address))];
  if (others.length === 0 || rows.length === 0) return rows;
  const who = others.length > 4 ? `${others.length} others` : listed(others);
  return [...rows, ...wrap(`and ${who}, which ${others.length === 1 ? 'has' : 'have'} nothing to do`, width - 2).map((line) => `  ${line}`)];
}

/** What happens in the loop and need not. */
function environment({ taken, lasso: { stem } }: Looping): string {
  const steps = new Map<Choice, number[]>();
  for (const [at, choice] of taken.entries()) if (at >= stem && !choice.fair) steps.set(choice, [...(steps.get(choice) ?? []), at + 1]);
  if (steps.size === 0) return '';
  return ` What may happen and does not have to: ${listed([...steps].map(([choice, numbers]) => `${nameOf(choice)} (${inSteps(numbers)})`))}.`;
}

/** An assumption in words that follow 'if'. */
export function assumptionText(system: System, { kind, choice }: Assumption): string {
  const name = `'${nameOf(system.choices[choice] as Choice)}'`;
  if (kind === 'strong') return `${name}, possible again and again, is not put off for ever (strong fairness)`;
  return kind === 'weak' ? `${name} (environment) is not put off for ever` : `${name} happens only so often`;
}

/** Which single assumptions would make the property hold, as lines. */
export function curesText(system: System, { cures, untried }: Pick<JudgedLasso, 'cures' | 'untried'>, width = defaultWidth): string[] {
  if (cures === null) return [];
  const left = untried === 0 ? '' : ` ${count(untried, 'assumption')} ${untried === 1 ? 'was' : 'were'} not tried: there are too many states to search again.`;
  const [first] = cures;
  if (cures.length > 1)
    return [
      ...wrap('With any one of these assumptions the property holds: if', width, 0),
      ...cures.flatMap((cure, at) => wrap(`- ${assumptionText(system, cure)}${at < cures.length - 1 ? ',' : '.'}`, width - 2).map((line) => `  ${line}`)),
      ...(left === '' ? [] : wrap(left.trim(), width, 0)),
    ];
  if (first) return wrap(`With one more assumption the property holds: if ${assumptionText(system, first)}.${left}`, width, 0);
  const none =
    untried === 0
      ? 'No single assumption of this kind helps: that a choice is not put off for ever, or that one of the environment happens only so often.'
      : 'None of the assumptions tried makes the property hold.';
  return wrap(`${none}${left}`, width, 0);
}

/** What is so at the end, for ever. */
function situation({ taken, description, lasso: { stem, length } }: Looping): string {
  const end = afterStep(taken.length);
  const missing = `'${description}' has not come`;
  if (length === 0) return `${end[0]?.toUpperCase()}${end.slice(1)} nothing that is bound to happen is left, and ${missing}.`;
  const repeats = length === 1 ? 'The last step repeats' : `The last ${length} steps repeat`;
  return `${repeats} for ever: ${end} every actor is as it was ${afterStep(stem)}, and ${missing}. No one is held up by an unfair scheduler meanwhile.`;
}

/** Why a schedule that ends with a loop is a run that nobody can complain of, and does not bring what should come: for who has never seen a lasso. */
export function fairnessReport(looping: Looping, width = defaultWidth): string {
  const { system, lasso } = looping;
  const rows = reasons(lasso.obligations, width);
  const verdict = `nothing is owed, and ${lasso.length === 0 ? 'the run may stay as it is' : 'the loop never has to end'}.${environment(looping)}`;
  const nobody = lasso.obligations.length === 0 ? 'Nothing in this system is ever bound to happen' : 'Nobody has anything to do that is bound to happen';
  const why =
    rows.length === 0
      ? wrap(`${situation(looping)} ${nobody}, so ${verdict}`, width, 0)
      : [...wrap(`${situation(looping)} Of everything that can be bound to happen,`, width, 0), ...rows, ...wrap(`so ${verdict}`, width, 0)];
  return [...why, ...curesText(system, lasso, width)].join('\n');
}
