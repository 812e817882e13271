// Measures the explorer against its peers in one run: throughput and memory on the benchmark system, time to judge
// eventualities, time to all verdicts, and reading logs. `npm run bench` (sizes up to 2 million states), `-- --large` (up to 13 million), `-- --huge` (up to 62 million,
// once: 2 GB for us, 6 GB for SPIN).
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import { Readable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import { withXstateGraph } from '../dist/esm/bench/peers/xstate-graph.js';
import { tlbShootdown } from '../dist/esm/bench/tlb-shootdown.js';
import { check, explore, exploreNaively, traceLines, validate } from '../dist/esm/src/index.js';
import { protocols } from '../dist/esm/src/protocols/index.js';
import { build, scenarios } from '../dist/esm/src/scenarios/index.js';
import { eventualities } from './eventualities.mjs';
import { missingForSpin, spin } from './peers/spin.mjs';

const rounds = 3;
const sizes = [
  [3, 2, 1, 1],
  [4, 1, 1, 1],
  [4, 2, 1, 1],
  [5, 1, 1, 1],
  ...(process.argv.includes('--large') || process.argv.includes('--huge')
    ? [
        [4, 2, 1, 2],
        [5, 1, 1, 2],
      ]
    : []),
  ...(process.argv.includes('--huge') ? [[6, 1, 1, 1]] : []),
].map(([N, P, K, T]) => ({ N, P, K, T }));
const graphUpTo = 80_000;

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
const millions = (number) => (number / 1e6).toFixed(2);
const missing = missingForSpin();
if (missing) console.log(`SPIN is not measured: there is no '${missing}' (apt-get install -y spin gcc)\n`);

// Peers take turns with us, so that a machine whose speed drifts is no advantage.
function measure(size) {
  const ours = [];
  const theirs = [];
  for (let round = 0; round < (size.N === 6 ? 1 : rounds); round++) {
    ours.push(explore(tlbShootdown(size)));
    if (!missing) theirs.push(spin(size, ours[0].states));
  }
  const [{ states, transitions, bytesPerState, calls, localStates }] = ours;
  const seconds = median(ours.map((run) => run.seconds));
  const row = {
    size: Object.values(size),
    actors: localStates.length,
    states,
    transitions,
    seconds,
    statesPerSecond: Math.round(states / seconds),
    transitionsPerSecond: Math.round(transitions / seconds),
    bytesPerState: Number(bytesPerState.toFixed(1)),
    xstateCalls: calls,
  };
  if (theirs[0]) {
    const apart = Math.abs(theirs[0].transitions - transitions);
    if (theirs[0].states !== states || apart > (theirs[0].exact ? 0 : transitions / 1e7))
      throw new Error(`SPIN counts ${theirs[0].states} states and ${theirs[0].transitions} transitions, we ${states} and ${transitions}`);
    const spinSeconds = median(theirs.map((run) => run.seconds));
    row.spin = { seconds: spinSeconds, statesPerSecond: Math.round(states / spinSeconds), bytesPerState: theirs[0].bytesPerState };
  }
  if (states <= graphUpTo) {
    const graph = withXstateGraph(tlbShootdown(size));
    if (graph.states !== states) throw new Error(`xstate/graph counts ${graph.states} states, we ${states}`);
    row.xstateGraph = { seconds: graph.seconds, statesPerSecond: Math.round(states / graph.seconds) };
  }
  return row;
}

const columns = [
  ['(N,P,K,T)', 10, (row) => `(${row.size.join(',')})`],
  ['actors', 7, (row) => row.actors],
  ['states', 10, (row) => row.states],
  ['transitions', 12, (row) => row.transitions],
  ['seconds', 8, (row) => row.seconds.toFixed(2)],
  ['M states/s', 11, (row) => millions(row.statesPerSecond)],
  ['M trans./s', 11, (row) => millions(row.transitionsPerSecond)],
  ['bytes/state', 12, (row) => row.bytesPerState],
  ['XState calls', 13, (row) => row.xstateCalls],
  ['SPIN M st/s', 12, (row) => (row.spin ? millions(row.spin.statesPerSecond) : '-')],
  ['SPIN bytes', 11, (row) => (row.spin ? row.spin.bytesPerState : '-')],
  ['ratio', 7, (row) => (row.spin ? (row.statesPerSecond / row.spin.statesPerSecond).toFixed(2) : '-')],
  ['graph ratio', 12, (row) => (row.xstateGraph ? Math.round(row.statesPerSecond / row.xstateGraph.statesPerSecond) : '-')],
];
const printed = (cells) => console.log(cells.map(([text, width]) => String(text).padStart(width)).join(''));
console.log(`explorer, one thread, median of ${rounds} runs; ratio: our states/s over SPIN's (-O2, -DNOREDUCE), graph ratio: over xstate/graph's\n`);
printed(columns.map(([title, width]) => [title, width]));
const explorer = sizes.map((size) => {
  const row = measure(size);
  printed(columns.map(([, width, cell]) => [cell(row), width]));
  return row;
});

console.log();
const judged = eventualities();

let started = performance.now();
const naive = exploreNaively(tlbShootdown({ N: 2, P: 1, K: 2, T: 2 }));
const naiveRate = Math.round(naive.transitions / ((performance.now() - started) / 1000));
console.log(`\nthe naive search on live XState: ${naiveRate} transitions/s at (2,1,2,2)`);

started = performance.now();
let variants = 0;
for (const scenario of scenarios)
  for (const variant of scenario.variants) {
    await check(build(scenario, variant).system);
    variants++;
  }
const verdicts = { variants, seconds: Number(((performance.now() - started) / 1000).toFixed(2)) };
console.log(`all ${variants} shipped variants checked, counterexamples replayed: ${verdicts.seconds} s`);

// Logs one after the other, with a mark of lost events between them, as a stream.
const copies = 20;
async function* repeated(text) {
  for (let copy = 0; copy < copies; copy++) {
    yield Buffer.from('CPU:0 [LOST EVENTS]\n');
    yield text;
  }
}
const logs = [];
for (const name of ['01-shootdown', '03-gup-fast', '04a-reclaim-file']) {
  const text = gunzipSync(readFileSync(new URL(`../test/logs/${name}.trace.txt.gz`, import.meta.url)));
  started = performance.now();
  const { verdict, lines } = await validate(traceLines(Readable.from(repeated(text))), protocols);
  if (verdict !== 'accepted') throw new Error(`${name} is ${verdict}`);
  const rate = Math.round(lines / ((performance.now() - started) / 1000));
  logs.push({ name, lines, linesPerSecond: rate });
  console.log(`log ${name}, ${copies} times: ${lines} lines, ${rate} lines/s`);
}

const version = (name) => JSON.parse(readFileSync(createRequire(import.meta.url).resolve(`${name}/package.json`), 'utf8')).version;
const machine = { cpu: cpus()[0].model, cores: cpus().length, node: process.version, xstate: version('xstate') };
const file = new URL('results/latest.json', import.meta.url);
mkdirSync(new URL('.', file), { recursive: true });
writeFileSync(file, `${JSON.stringify({ machine, explorer, eventualities: judged, naive: { transitionsPerSecond: naiveRate }, verdicts, logs }, null, 2)}\n`);
console.log(`written to bench/results/latest.json (${machine.cpu}, ${machine.cores} cores, Node ${machine.node}, XState ${machine.xstate})`);
