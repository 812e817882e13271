import { mermaid } from '../../src/format/mermaid.js';
import { replay } from '../../src/schedule/replay.js';
import { drawn } from './drawn.js';
import { machineRoom, play } from './machines.js';

test('notes for choices, arrows for messages; what Mermaid would read as syntax is spelled out', () => {
  expect(mermaid(play(machineRoom({ paths: { a: undefined, b: 'CPU 1; #2 <b>' } }), 'a', 'b', 'b', 'cpu0 fill'), 'BUG: 100% wrong;\nreally')).toBe(
    drawn(`
      sequenceDiagram
        participant a0 as memory
        participant a1 as a
        participant a2 as b<br/>CPU 1#59; #35;2 #60;b#62;
        participant a3 as cpu0<br/>CPU 0 (a)
        Note over a1: 1. local_work
        Note over a2: 2. local_work
        Note over a2: 3. ptep_get_lockless_of_a_pmd
        a2->>a0: read
        a0->>a2: pte {pte: {kind: present, pfn: 0, devmap: true, write: false}}
        Note over a3: 4. fill vpn 0
        a3->>a0: read
        a0->>a3: pte {pte: {kind: present, pfn: 0, devmap: true, write: false}}
        Note over a0,a3: BUG: 100#37; wrong#59;<br/>really`),
  );
});

test('an empty schedule shows the actors', () => {
  expect(mermaid(replay(machineRoom({ paths: { a: 'A' } }), []), 'bad')).toBe(
    drawn(`
      sequenceDiagram
        participant a0 as memory
        participant a1 as a<br/>A
        participant a2 as cpu0<br/>CPU 0 (a)
        Note over a0,a2: bad`),
  );
});
