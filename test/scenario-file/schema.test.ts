import { readFileSync } from 'node:fs';
import { safeguards } from '../../machines/safeguards.js';
import { resolved, type Schema } from '../../src/scenario-file/json-schema.js';
import { families, scenarioSchema } from '../../src/scenario-file/schema.js';

/** Every schema within a schema. */
function* within(schema: Schema): Generator<Schema> {
  yield schema;
  const inner = [
    ...(schema.oneOf ?? []),
    ...Object.values(schema.properties ?? {}),
    ...Object.values(schema.$defs ?? {}),
    ...[schema.items, schema.propertyNames, schema.additionalProperties].filter((one) => typeof one === 'object'),
  ];
  for (const one of inner) yield* within(one);
}

test("the schema for editors is the one that files are held to ('node scripts/scenario-schema.mjs' writes it anew)", () => {
  expect(JSON.parse(readFileSync('schemas/scenario.schema.json', 'utf8'))).toEqual(JSON.parse(JSON.stringify(scenarioSchema)));
});

test('every reference leads somewhere, every definition is used, and no map takes names that it does not know', () => {
  const all = [...within(scenarioSchema)];
  expect(all.length).toBeGreaterThan(300);
  expect(all.filter((schema) => resolved(schema, scenarioSchema) === undefined)).toEqual([]);
  const used = new Set(all.map(({ $ref }) => $ref));
  expect(Object.keys(scenarioSchema.$defs ?? {}).filter((definition) => !used.has(`#/$defs/${definition}`))).toEqual([]);
  expect(all.filter(({ type, additionalProperties }) => type === 'object' && additionalProperties === undefined)).toEqual([]);
});

test('each family goes by the id of its scenario', () => {
  expect([...families].map(([id, { scenario }]) => [id, scenario.id])).toEqual([...families.keys()].map((id) => [id, id]));
});

test('what is known as a safeguard can be named in a file', () => {
  const pattern = new RegExp(scenarioSchema.$defs?.safeguard?.pattern ?? '$^');
  for (const [machine, own] of Object.entries(safeguards)) for (const name of Object.keys(own)) expect(`${machine}.${name}`).toMatch(pattern);
});
