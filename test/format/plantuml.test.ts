import fc from 'fast-check';
import { plantuml } from '../../src/format/plantuml.js';
import { replay } from '../../src/schedule/replay.js';
import { actor, defineSystem } from '../../src/system/system.js';
import { machine } from '../systems/small.js';
import { scheduleOf, turns, waiting } from '../systems/waiting.js';
import { drawn } from './drawn.js';
import { machineRoom, play } from './machines.js';
import { wanderings } from './wander.js';

/** What a text says, without what stands for something else: the reader shows exactly this. */
const shown = (text: string): string =>
  text.replaceAll('\\n', '\n').replace(/<U\+([0-9A-F]{4,6})>/g, (_, number: string) => String.fromCodePoint(Number.parseInt(number, 16)));

/** What PlantUML takes for markup, a comment, or a line of its own kind, where it stands in a text. */
const markup = /([_*/"~[\]{}=.<>|-])\1|[<>"'\\%$!#&~|^`]|^[^\p{L}\p{N}(\ufffd]/u;
const isPlain = (text: string): boolean =>
  text
    .replace(/<U\+[0-9A-F]{4,6}>/g, 'x')
    .split('\\n')
    .every((line) => !markup.test(line));

interface Diagram {
  /** Per alias, its name and its box. */
  participants: Map<string, { name: string; box: string | null }>;
  notes: string[];
  arrows: number;
  /** Notes before the loop; null without one. */
  loop: number | null;
  ending: string | null;
}

/** Reads the part of PlantUML's grammar that is used. @throws {Error} at a line that is not in it, or not there. */
class Reader {
  readonly diagram: Diagram = { participants: new Map(), notes: [], arrows: 0, loop: null, ending: null };
  box: string | null = null;
  inLoop = false;

  /** Per form of a line, what it does. */
  readonly forms: readonly [RegExp, (...found: string[]) => void][] = [
    [/^box "(.*)"$/, (name = '') => this.opens(name)],
    [/^end box$/, () => this.closes()],
    [/^(?: {2})?participant "(.*)" as (a\d+)$/, (name = '', alias = '') => this.declares(name, alias)],
    [/^ *note over (a\d+): (.+)$/, (alias = '', note = '') => this.diagram.notes.push(this.text(note, alias))],
    [/^ *(a\d+) -> (a\d+): (.+)$/, (from = '', to = '', said = '') => this.sends(this.text(said, from, to))],
    [/^loop for ever$/, () => this.begins()],
    [/^end$/, () => this.ends()],
    [/^note across: (.+)$/, (note = '') => this.says(this.text(note))],
  ];

  line(line: string): void {
    const fits = this.forms.flatMap(([form, take]) => {
      const found = form.exec(line);
      return found ? [() => take(...found.slice(1))] : [];
    });
    this.need(fits.length === 1, line);
    fits[0]?.();
  }

  need(holds: boolean, where: string): void {
    if (!holds) throw new Error(`PlantUML would not read '${where}'`);
  }

  private text(text: string, ...aliases: string[]): string {
    this.need(isPlain(text) && aliases.every((alias) => this.diagram.participants.has(alias)), text);
    return shown(text);
  }

  private opens(name: string): void {
    this.need(this.box === null, name);
    this.box = this.text(name);
  }

  private closes(): void {
    this.need(this.box !== null, 'end box');
    this.box = null;
  }

  private declares(name: string, alias: string): void {
    this.need(!this.diagram.participants.has(alias), alias);
    this.diagram.participants.set(alias, { name: this.text(name), box: this.box });
  }

  private sends(_said: string): void {
    this.diagram.arrows++;
  }

  private begins(): void {
    this.need(this.diagram.loop === null, 'loop');
    this.diagram.loop = this.diagram.notes.length;
    this.inLoop = true;
  }

  private ends(): void {
    this.need(this.inLoop, 'end');
    this.inLoop = false;
  }

  private says(ending: string): void {
    this.need(!this.inLoop, ending);
    this.diagram.ending = ending;
  }
}

function read(text: string): Diagram {
  const lines = text.split('\n');
  const reader = new Reader();
  reader.need(lines[0] === '@startuml' && lines.at(-1) === '@enduml', text);
  for (const line of lines.slice(1, -1)) reader.line(line);
  reader.need(!reader.inLoop && reader.box === null, 'the end');
  return reader.diagram;
}

test('boxes for lanes, notes for choices, arrows for messages', () => {
  expect(plantuml(play(machineRoom({ paths: { a: 'CPU 0 (a)', __b: undefined } }), 'a', 'cpu0 fill', '__b', '__b'), 'BUG: 100% wrong;\n//really//')).toBe(
    drawn(`
      @startuml
      participant "memory" as a0
      box "CPU 0 (a)"
        participant "a" as a1
        participant "cpu0" as a3
      end box
      participant "<U+005F><U+005F>b" as a2
      note over a1: 1. local_work
      note over a3: 2. fill vpn 0
      a3 -> a0: read
      a0 -> a3: pte {pte: {kind: present, pfn: 0, devmap: true, write: false<U+007D><U+007D>
      note over a2: 3. local_work
      note over a2: 4. ptep_get_lockless_of_a_pmd
      a2 -> a0: read
      a0 -> a2: pte {pte: {kind: present, pfn: 0, devmap: true, write: false<U+007D><U+007D>
      note across: BUG: 100<U+0025> wrong;\\n<U+002F><U+002F>really<U+002F><U+002F>
      @enduml`),
  );
});

test('a lasso has a loop', () => {
  const system = waiting(2);
  expect(plantuml(replay(system, scheduleOf(system, ...turns)), null, 2)).toBe(
    drawn(`
      @startuml
      participant "refs" as a0
      box "CPU 0 (unbind)"
        participant "unbind" as a1
      end box
      box "CPU 1 (gup)"
        participant "gup0" as a2
      end box
      box "CPU 2 (gup)"
        participant "gup1" as a3
      end box
      note over a2: 1. again
      a2 -> a0: get
      note over a1: 2. kill
      a1 -> a0: wait
      loop for ever
        note over a3: 3. again
        a3 -> a0: get
        note over a2: 4. put_page
        a2 -> a0: put
        note over a2: 5. again
        a2 -> a0: get
        note over a3: 6. put_page
        a3 -> a0: put
      end
      @enduml`),
  );
});

test('an empty schedule shows the actors', () => {
  const { participants, notes, ending } = read(plantuml(replay(machineRoom({ paths: { a: 'A' } }), []), 'bad'));
  expect([[...participants.values()].map(({ name }) => name), notes, ending]).toEqual([['memory', 'a', 'cpu0'], [], 'bad']);
  expect(plantuml(replay(defineSystem({ id: 'nobody', actors: {} }), []), 'nothing violated')).toBe('@startuml\ntitle nothing violated\n@enduml');
});

test('every schedule is read as it ran', () => {
  fc.assert(
    fc.property(wanderings, fc.option(fc.nat(12)), (run, loop) => {
      const { participants, notes, arrows, loop: at } = read(plantuml(run, 'P violated', loop));
      const lanes = new Map(run.system.actors.map(({ address, lane }) => [address, lane]));
      for (const { name, box } of participants.values()) expect(box).toBe(lanes.get(name));
      expect(notes).toHaveLength(run.steps.length);
      expect(arrows).toBe(run.steps.flatMap(({ messages }) => messages.slice(1).filter(({ from }) => from !== null)).length);
      expect(at).toBe(loop !== null && loop < run.steps.length ? loop : null);
    }),
    { seed: 2, numRuns: 150 },
  );
});

const marks = [
  '_',
  '__',
  '--',
  '**',
  '//',
  '""',
  '~',
  '\\n',
  '\\',
  '%date()',
  '$x',
  '!',
  '#',
  '<b>',
  '[[',
  '{{',
  '||',
  '==',
  '..',
  "'",
  "/'",
  "'/",
  '&#65;',
  '@enduml',
];
const hostile = fc
  .array(fc.constantFrom(...marks, ':', ';', ' ', 'a', 'end', 'é', '→', '<U+0041>', '1.'), { minLength: 1, maxLength: 5 })
  .map((parts) => parts.join('').replace(/ +/g, ' ').trim())
  .filter((text) => text !== '');

// A dot or an asterisk in the name of an event means others of its kind to XState.
const eventName = hostile.map((text) => text.replace(/[.*]/g, '')).filter((text) => text !== '' && text === text.trim());

test('whatever names and messages say, it is shown and not interpreted', () => {
  fc.assert(
    fc.property(hostile, hostile, hostile, eventName, (ending, lane, address, event) => {
      const logic = machine({ id: 'm', initial: 'one', states: { one: { on: { [event]: 'two' } }, two: {} } });
      const system = defineSystem({ id: 'hostile', actors: { [address]: actor(logic, { lane, choices: [event] }) } });
      const { participants, notes, ending: said } = read(plantuml(replay(system, [0]), ending));
      expect([[...participants.values()], notes, said]).toEqual([[{ name: address, box: lane }], [`1. ${event}`], ending]);
    }),
    { seed: 3, numRuns: 500 },
  );
});
