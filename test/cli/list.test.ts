import { drawn } from '../format/drawn.js';
import { call } from './call.js';
import { lockScenario } from './lock.js';

test('list prints questions, parameters and variants, wrapped to the terminal', async () => {
  expect(await call(['list'], { columns: 72 })).toEqual({
    code: 0,
    out: `${drawn(`
      lock: Can both paths be in the critical section?
        --param how=exchange: how the lock is taken (exchange, write)
        --param rounds=1: how often (not used) (1 to 3)
        safe      holds            the lock is taken by one exchange
                                   [how=exchange] (any textbook)
        broken    violated         the lock is read, then written [how=write]
                                   (any textbook)`)}\n`,
    err: '',
  });
});

test('list --json prints one document', async () => {
  const { code, out } = await call(['list', '--json']);
  expect(JSON.parse(out)).toEqual({
    format: 'shootdown.list/1',
    scenarios: [
      {
        id: 'lock',
        title: 'a lock',
        question: 'Can both paths be in the critical section?',
        parameters: {
          how: { description: 'how the lock is taken', default: 'exchange', values: ['exchange', 'write'] },
          rounds: { description: 'how often (not used)', default: 1, min: 1, max: 3 },
        },
        variants: [
          {
            id: 'lock/safe',
            variant: 'safe',
            row: 'L1',
            summary: 'the lock is taken by one exchange',
            parameters: { how: 'exchange', rounds: 1 },
            fixed: ['how'],
            least: {},
            expected: 'holds',
            properties: { mutex: 'holds' },
            source: 'any textbook',
          },
          {
            id: 'lock/broken',
            variant: 'broken',
            row: 'L2',
            summary: 'the lock is read, then written',
            parameters: { how: 'write', rounds: 1 },
            fixed: ['how'],
            least: {},
            expected: 'violated',
            properties: { mutex: 'violated' },
            source: 'any textbook',
          },
        ],
      },
    ],
  });
  expect(code).toBe(0);
});

test('without scenarios', async () => {
  expect(await call(['list'], {}, [])).toEqual({ code: 0, out: 'no scenarios\n', err: '' });
  const [variant] = lockScenario.variants;
  expect((await call(['list'], {}, [{ ...lockScenario, parameters: {}, variants: variant ? [{ ...variant, expected: { mutex: null } }] : [] }])).out).toContain(
    '  safe    open question    the lock',
  );
});
