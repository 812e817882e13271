import { steps } from '../../src/format/steps.js';
import { drawn } from './drawn.js';
import { machineRoom, play } from './machines.js';

test('choices, messages, and what changed', () => {
  expect(steps(play(machineRoom(), 'a', 'a', 'cpu0 fill', 'cpu0 interrupt', 'a'), 'BUG: too late')).toBe(
    drawn(`
      1. a: step
         a: local_work -> ptep_get_lockless_of_a_pmd
      2. a: step
         a -> memory: read
         memory -> a: pte {pte: {kind: present, pfn: 0, devmap: true, write: false}}
         a: ptep_get_lockless_of_a_pmd -> set_pte_at
      3. cpu0: fill vpn 0
         cpu0 -> memory: read
         memory -> cpu0: pte {pte: {kind: present, pfn: 0, devmap: true, write: false}}
      4. cpu0: interrupt
         cpu0: on -> off
      5. a: step
         a -> memory: write {pfn: 7}
         memory -> a: written {late: false}
         memory.pte.pfn: 0 -> 7
         memory.pte.write: false -> true
         memory.log.0: (absent) -> 7
         a: set_pte_at -> nested.end
      => BUG: too late`),
  );
});

test('later lines are set in as far as the number is wide', () => {
  const lines = steps(play(machineRoom({ work: 9 }), ...Array.from({ length: 10 }, () => 'a')), null).split('\n');
  expect(lines.slice(-4)).toEqual(['9. a: step', '   a.at: 8 -> 9', '10. a: step', '    a: local_work -> ptep_get_lockless_of_a_pmd']);
});
