// Measures what judging an eventuality costs on top of the search that it follows, in time and memory: on the benchmark system with
// (4,2,1,1), whose runs all end, and on twenty switches, which are a single component of 2^20 states with 20 steps from each.
// `node bench/eventualities.mjs` after a build; part of `npm run bench`.
import { createMachine } from 'xstate';
import { tlbShootdown } from '../dist/esm/bench/tlb-shootdown.js';
import { actor, alwaysEventually, defineSystem, explore, leadsTo } from '../dist/esm/src/index.js';

const rounds = 3;
const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

const shootdown = () => tlbShootdown({ N: 4, P: 2, K: 1, T: 1 });
const toggle = createMachine({ id: 'switch', initial: 'off', states: { off: { on: { toggle: 'on' } }, on: { on: { toggle: 'off' } } } });
const switches = () =>
  defineSystem({
    id: 'bench/switches(20)',
    actors: Object.fromEntries([...Array(20).keys()].map((n) => [`s${n}`, actor(toggle, { choices: ['toggle'] })])),
  });

/** What is asked, of which system, and how it comes out. */
const questions = [
  {
    system: shootdown,
    verdict: 'holds',
    property: alwaysEventually('unmapped', 'all pages are unmapped in the end', {
      actors: ['unmapper'],
      reach: ({ unmapper }) => unmapper.context.page === unmapper.context.pages,
    }),
  },
  {
    system: shootdown,
    verdict: 'violated',
    property: alwaysEventually('unmaps', 'one page after the other is unmapped, for ever', {
      actors: ['unmapper'],
      reach: ({ unmapper }) => unmapper.value === 'SEND' && unmapper.context.page > 1,
    }),
  },
  {
    system: switches,
    verdict: 'holds',
    property: leadsTo('off', 'what is on is switched off', { actors: ['s0'], when: ({ s0 }) => s0.value === 'on', reach: ({ s0 }) => s0.value === 'off' }),
  },
  { system: switches, verdict: 'violated', property: alwaysEventually('never', 'what never happens', { actors: [], reach: () => false }) },
];

/** Runs with and without the property take turns. */
function measure({ system, verdict, property }) {
  const without = [];
  const judged = [];
  for (let round = 0; round < rounds; round++) {
    const plain = system();
    without.push(explore(plain, { stop: () => false }));
    judged.push(explore({ ...plain, properties: [...plain.properties, property] }, { stop: () => false }));
  }
  const { violation } = judged[0].properties.find(({ name }) => name === property.name);
  if ((violation ? 'violated' : 'holds') !== verdict || !judged[0].exhausted) throw new Error(`'${property.name}' was expected to come out as '${verdict}'`);
  const seconds = median(judged.map((run) => run.seconds));
  const search = median(without.map((run) => run.seconds));
  return {
    system: judged[0].system.id,
    verdict,
    states: judged[0].states,
    transitions: judged[0].transitions,
    counterexample: violation && { stem: violation.lasso.stem, loop: violation.schedule.length - violation.lasso.stem },
    seconds: Number(seconds.toFixed(2)),
    searchSeconds: Number(search.toFixed(2)),
    timeRatio: Number((seconds / search).toFixed(2)),
    bytesPerState: Number(judged[0].bytesPerState.toFixed(1)),
    memoryRatio: Number((judged[0].bytesPerState / without[0].bytesPerState).toFixed(2)),
  };
}

export function eventualities() {
  console.log('eventualities: time and memory of search and judging, and their ratios to those of the search alone');
  return questions.map((question) => {
    const row = measure(question);
    console.log(
      `${row.system}, ${row.verdict}: ${row.states} states, ${row.seconds} s (${row.timeRatio} x), ${row.bytesPerState} bytes/state (${row.memoryRatio} x)`,
    );
    return row;
  });
}

if (process.argv[1] === new URL(import.meta.url).pathname) eventualities();
