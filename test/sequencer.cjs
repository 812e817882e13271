// Which test files begin first. Jest knows how long each took only after it has run once; without that the longest could be the last,
// and all but one core wait for it.
const { default: Sequencer } = require('@jest/test-sequencer');

const longest = [
  'scenarios/verdicts',
  'docs',
  'scenarios/live',
  'scenarios/luf',
  'scenarios/luf-free',
  'scenarios/device-exclusive',
  'scenarios/write-protect',
  'scenarios/write-protect-behaviour',
  'scenarios/passdown-mapping',
  'scenarios/vmemmap',
  'scenarios/compound-page',
  'machines/abstraction',
  'explore/eventuality-laws',
  'trace/moment',
  'trace/logs',
];
const rank = ({ path }) => {
  const at = longest.findIndex((name) => path.endsWith(`/test/${name}.test.ts`));
  return at < 0 ? longest.length : at;
};

module.exports = class LongestFirst extends Sequencer {
  sort(tests) {
    return super.sort(tests).sort((a, b) => rank(a) - rank(b));
  }
};
