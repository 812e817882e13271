const { assign, setup } = require('xstate');
const { actor, check, defineSystem } = require('shootdown');
const { scenarios } = require('shootdown/scenarios');

const counter = setup({ actions: { add: assign({ n: ({ context }) => context.n + 1 }) }, guards: { small: ({ context }) => context.n < 3 } }).createMachine({
  id: 'counter',
  context: { n: 0 },
  initial: 'counting',
  states: { counting: { tags: ['rest'], on: { step: { guard: 'small', actions: 'add' } } } },
});

check(defineSystem({ id: 'counter', actors: { counter: actor(counter) } })).then(({ verdict, exploration }) => {
  if (verdict !== 'holds' || exploration.states !== 4 || scenarios.length === 0) throw new Error(`got ${verdict} with ${exploration.states} states`);
  console.log('CommonJS: ok');
});
