import { scheduleDocument } from '../../src/format/json.js';
import { machineRoom, play } from './machines.js';

test('the document of a schedule', () => {
  const replay = play(machineRoom(), 'a', 'a');
  expect(scheduleDocument(replay, { id: 'room/one', parameters: { cpus: 2 }, token: 'sd1:x', found: { property: 'BUG', message: 'a: late' } })).toEqual({
    format: 'shootdown.schedule/1',
    id: 'room/one',
    parameters: { cpus: 2 },
    token: 'sd1:x',
    property: 'BUG',
    message: 'a: late',
    loop: null,
    fairness: null,
    cures: null,
    untried: null,
    steps: [
      {
        number: 1,
        actor: 'a',
        choice: 0,
        event: { type: 'step' },
        messages: [],
        changes: [{ actor: 'a', path: null, before: 'local_work', after: 'ptep_get_lockless_of_a_pmd' }],
      },
      {
        number: 2,
        actor: 'a',
        choice: 0,
        event: { type: 'step' },
        messages: [
          { from: 'a', to: 'memory', event: { type: 'read' } },
          { from: 'memory', to: 'a', event: { type: 'pte', pte: { kind: 'present', pfn: 0, devmap: true, write: false } } },
        ],
        changes: [{ actor: 'a', path: null, before: 'ptep_get_lockless_of_a_pmd', after: 'set_pte_at' }],
      },
    ],
  });
});

test('a schedule that violates nothing', () => {
  const document = scheduleDocument(play(machineRoom()), { id: 'room', parameters: {}, token: 'sd1:x', found: null });
  expect(document).toMatchObject({ property: null, message: null, steps: [] });
});
