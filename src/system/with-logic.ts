import type { AnyActorLogic } from 'xstate';
import { type ActorSpec, actor, defineSystem, type System, type SystemActor } from './system.js';

/** The same system, in which each actor has the logic that `logicOf` gives it. @throws {ModelError} as {@link defineSystem} */
export function withLogic(system: System, logicOf: (actor: SystemActor) => AnyActorLogic): System {
  const { id, properties, limits, choices } = system;
  const specOf = (one: SystemActor): ActorSpec => {
    const own = choices.filter((choice) => choice.actor.index === one.index && !choice.delayed);
    const eventsOf = (fair: boolean) => own.filter((choice) => choice.fair === fair).map(({ event }) => event);
    return actor(logicOf(one), {
      ...(one.input === undefined ? {} : { input: one.input }),
      ...(one.lane === null ? {} : { lane: one.lane }),
      choices: eventsOf(true),
      environment: eventsOf(false),
      path: one.path,
    });
  };
  return defineSystem({ id, limits, properties, actors: Object.fromEntries(system.actors.map((one) => [one.address, specOf(one)])) });
}
