import type { Location, Log, Run } from 'sarif';

/** The keys that an object of SARIF may have here, and whether it must. */
const keys: Record<string, { must: string[]; may?: string[] }> = {
  log: { must: ['$schema', 'version', 'runs'] },
  run: { must: ['tool', 'invocations', 'originalUriBaseIds', 'columnKind', 'results', 'properties'] },
  driver: { must: ['name', 'version', 'semanticVersion', 'rules'] },
  rule: { must: ['id', 'shortDescription', 'fullDescription', 'help', 'defaultConfiguration', 'properties'] },
  result: { must: ['ruleId', 'ruleIndex', 'level', 'message', 'locations', 'partialFingerprints', 'properties'], may: ['codeFlows'] },
  location: { must: ['physicalLocation'], may: ['logicalLocations', 'message'] },
  physicalLocation: { must: ['artifactLocation', 'region'] },
  artifactLocation: { must: ['uri'], may: ['uriBaseId'] },
  region: { must: ['startLine', 'startColumn'], may: ['endLine', 'endColumn'] },
  threadFlow: { must: ['id', 'message', 'locations'] },
  threadFlowLocation: { must: ['executionOrder', 'location'], may: ['state'] },
};

function has(kind: string, value: object): void {
  const { must, may = [] } = keys[kind] as { must: string[]; may?: string[] };
  expect([kind, must.filter((key) => !(key in value)), Object.keys(value).filter((key) => ![...must, ...may].includes(key))]).toEqual([kind, [], []]);
}

/** Texts say something, in braces that stand for themselves. */
function says(message: { text?: string | undefined; markdown?: string | undefined } | undefined): void {
  expect(message?.text).toBeTruthy();
  for (const text of [message?.text, message?.markdown]) expect(text?.replace(/\{\{|\}\}/g, '') ?? '').not.toMatch(/[{}]/);
}

function located(location: Location | undefined, { originalUriBaseIds = {} }: Run): void {
  if (!location?.physicalLocation) throw new Error('a location without a file: GitHub refuses the whole document');
  const { physicalLocation } = location;
  has('location', location);
  has('physicalLocation', physicalLocation);
  const { artifactLocation = {}, region = {} } = physicalLocation;
  has('artifactLocation', artifactLocation);
  has('region', region);
  const { uri = '', uriBaseId } = artifactLocation;
  expect(uri).toMatch(uriBaseId === undefined ? /^file:\/\/\// : /^[^/\\:\s]+(\/[^/\\:\s]+)*$/);
  if (uriBaseId !== undefined) expect(Object.keys(originalUriBaseIds)).toContain(uriBaseId);
  const { startLine = 0, startColumn = 0, endLine = startLine, endColumn = startColumn + 1 } = region;
  expect(Math.min(startLine, startColumn)).toBeGreaterThanOrEqual(1);
  expect([endLine, endColumn > startColumn]).toEqual([startLine, true]);
  for (const { name, fullyQualifiedName } of location.logicalLocations ?? []) expect(name && fullyQualifiedName).toBeTruthy();
}

/** The steps of each thread in order; together all of them. */
function flows(run: Run): void {
  for (const { codeFlows = [], properties } of run.results ?? [])
    for (const { threadFlows } of codeFlows) {
      const orders = threadFlows.map((thread) => {
        has('threadFlow', thread);
        for (const at of thread.locations) {
          has('threadFlowLocation', at);
          located(at.location, run);
          says(at.location?.message);
          for (const value of Object.values(at.state ?? {})) says(value);
        }
        return thread.locations.map(({ executionOrder = -1 }) => executionOrder);
      });
      for (const order of orders) expect(order).toEqual([...order].sort((a, b) => a - b));
      expect(orders.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: properties?.steps }, (_, at) => at + 1));
    }
}

/** Reads a document of ours as strictly as SARIF 2.1.0 and those who show it want it, and returns its run. */
export function readSarif(text: string): Run {
  const log = JSON.parse(text) as Log;
  has('log', log);
  expect(log.version).toBe('2.1.0');
  expect(log.runs).toHaveLength(1);
  const run = log.runs[0] as Run;
  has('run', run);
  has('driver', run.tool.driver);
  const rules = run.tool.driver.rules ?? [];
  expect(new Set(rules.map(({ id }) => id)).size).toBe(rules.length);
  for (const rule of rules) {
    has('rule', rule);
    for (const words of [rule.shortDescription, rule.fullDescription, rule.help]) says(words);
  }
  for (const result of run.results ?? []) {
    has('result', result);
    says(result.message);
    expect(rules[result.ruleIndex as number]?.id).toBe(result.ruleId);
    expect(['error', 'warning', 'note']).toContain(result.level);
    expect(result.locations).toHaveLength(1);
    located(result.locations?.[0], run);
    for (const print of Object.values(result.partialFingerprints ?? {})) expect(print).toBeTruthy();
  }
  flows(run);
  return run;
}
