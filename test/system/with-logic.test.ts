import { scenarios } from '../../src/scenarios/index.js';
import { build } from '../../src/scenarios/scenario.js';
import { isMachine } from '../../src/system/logic.js';
import { withLogic } from '../../src/system/with-logic.js';
import { lockSystem } from '../cli/lock.js';

test('a system with the logic that it has is the same system', () => {
  for (const scenario of scenarios) {
    const { system } = build(scenario, scenario.variants[0] as (typeof scenario.variants)[number]);
    const same = withLogic(system, ({ logic }) => logic);
    expect(same).toEqual(system);
    expect(same.digest).toBe(system.digest);
    expect(same.choices.map(({ index, fair, delayed, actor }) => [index, fair, delayed, same.actors[actor.index] === actor])).toEqual(
      system.choices.map(({ index, fair, delayed }) => [index, fair, delayed, true]),
    );
  }
});

test('other logic is another system, and its choices are of its own actors', () => {
  const [safe, broken] = [lockSystem('lock', true), lockSystem('lock', false)];
  const mixed = withLogic(safe, (actor) => (actor.address === 'a' ? (broken.actors[actor.index]?.logic ?? actor.logic) : actor.logic));
  expect(mixed.actors.map(({ logic }) => isMachine(logic) && logic.id)).toEqual(['lock', 'careless', 'careful']);
  expect(mixed.digest).not.toBe(safe.digest);
  expect(mixed.choices.map(({ actor }) => mixed.actors[actor.index])).toEqual(mixed.choices.map(({ actor }) => actor));
});
