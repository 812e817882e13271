import type { LiveStep } from '../live/live.js';
import type { Replay } from '../schedule/replay.js';
import { isMachine } from '../system/logic.js';
import { choiceAt, labelOf, type SystemActor } from '../system/system.js';
import type { AnySnapshot } from '../system/view.js';
import type { LocalDoor } from './server.js';

/** What a snapshot says to somebody who has not the machine. */
function plainSnapshot(snapshot: AnySnapshot): Record<string, unknown> {
  const { status, value, context, output, error } = snapshot as AnySnapshot & { value?: unknown };
  return { status, value, context, output, error };
}

/** A statechart as JSON, in document order and of any depth; of functions their names are left. */
function definitionOf({ logic, address }: SystemActor): string {
  const named = (_key: string, value: unknown): unknown => (typeof value === 'function' ? { type: (value as { type?: string }).type ?? value.name } : value);
  return JSON.stringify(isMachine(logic) ? logic.config : { id: address }, named);
}

/** Writes frames as `@statelyai/inspect` does; an actor's session is its address. */
class Frames {
  private written = 0;

  constructor(
    private readonly rootId: string,
    private readonly version: string,
  ) {}

  actor(actor: SystemActor, snapshot: AnySnapshot): object {
    return this.frame('@xstate.actor', actor.address, { name: actor.address, definition: definitionOf(actor), snapshot: plainSnapshot(snapshot) });
  }

  /** All messages in the order of sending, then every actor that changed, with the last message that it got. */
  step({ messages, changed, choice }: LiveStep): object[] {
    return [
      ...messages.map(({ from, to, event }) => this.frame('@xstate.event', to, { event, ...(from === null ? {} : { sourceId: from }) })),
      ...changed.map(({ actor: { address }, after }) => {
        const event = messages.findLast(({ to }) => to === address)?.event ?? choice.event;
        return this.frame('@xstate.snapshot', address, { event, snapshot: plainSnapshot(after) });
      }),
    ];
  }

  enabled({ live }: Replay): object {
    return { type: 'shootdown.enabled', choices: live.enabled().map((choice) => ({ index: choice.index, label: labelOf(choice) })), _version: this.version };
  }

  private frame(type: string, sessionId: string, fields: object): object {
    return { type, ...fields, sessionId, rootId: this.rootId, createdAt: String(Date.now()), id: String(++this.written), _version: this.version };
  }
}

/** The choice that a command takes; null for anything else that somebody may have sent. */
function choiceIn(command: unknown): number | null {
  if (typeof command !== 'object' || command === null) return null;
  const { type, choice } = command as { type?: unknown; choice?: unknown };
  return type === 'shootdown.take' && Number.isInteger(choice) ? (choice as number) : null;
}

export interface Steering {
  /** Of the program, for who reads the frames. */
  version: string;
  /** Told after each step that was commanded; it stands in the run by then. */
  onStep: () => void;
  /** Told why a commanded step was not taken, or failed. */
  onRefusal: (error: unknown) => void;
}

/** Shows a run through a door of the inspector, from its start to where it is, and takes the steps that the page commands. They go on with `run.steps`. */
export function steer(run: Replay, door: LocalDoor, { version, onStep, onRefusal }: Steering): void {
  const { system, live, steps } = run;
  const frames = new Frames(system.id, version);
  const atStart = (actor: SystemActor): AnySnapshot => {
    for (const { changed } of steps) for (const change of changed) if (change.actor === actor) return change.before;
    return live.snapshot(actor.address);
  };
  const show = (...shown: object[]): void => {
    for (const frame of shown) door.send(frame);
  };
  show(...system.actors.map((actor) => frames.actor(actor, atStart(actor))), ...steps.flatMap((step) => frames.step(step)), frames.enabled(run));
  door.onCommand((command) => {
    const index = choiceIn(command);
    if (index === null) return;
    try {
      const step = live.take(choiceAt(system, index, steps.length + 1));
      steps.push(step);
      show(...frames.step(step));
      onStep();
    } catch (error) {
      onRefusal(error);
    }
    show(frames.enabled(run));
  });
}
