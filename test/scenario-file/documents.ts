import fc from 'fast-check';
import { resolved, type Schema } from '../../src/scenario-file/json-schema.js';

type Value = null | boolean | number | string | Value[] | { [name: string]: Value };

/** Names that fit what the schemas ask of names, few of each, so that those of one place are met at others. */
const names = [
  'x',
  'f',
  'p',
  'q',
  'child',
  'p_node1',
  'gpu0',
  'gpu1',
  'file_f',
  'cpu0',
  'cpu1',
  '0',
  '1',
  'I1',
  'I6',
  'gup_fast.rechecksAfterGrab',
  'cpu.mayFlushRange',
];
const fitting = (pattern = ''): string[] => names.filter((name) => new RegExp(pattern).test(name));

function recordOf(schema: Schema, root: Schema): fc.Arbitrary<Value> {
  const required = schema.required ?? [];
  const fields = Object.entries(schema.properties ?? {}).filter(([name]) => !['$schema', 'without', 'with', 'ask', 'expect', 'title'].includes(name));
  return fc.record(Object.fromEntries(fields.map(([name, inner]) => [name, fittingTo(inner, root)])), {
    requiredKeys: required as never[],
  }) as fc.Arbitrary<Value>;
}

function ofType(schema: Schema, root: Schema, type: unknown): fc.Arbitrary<Value> {
  switch (type) {
    case 'null':
      return fc.constant(null);
    case 'boolean':
      return fc.boolean();
    case 'integer':
      return fc.integer({ min: schema.minimum ?? 0, max: Math.min(schema.maximum ?? 9, 2 + (schema.minimum ?? 0)) });
    case 'string':
      return schema.pattern === undefined ? fc.constant('text') : fc.constantFrom(...fitting(schema.pattern));
    case 'array': {
      const items = fittingTo(schema.items as Schema, root);
      const bounds = { minLength: schema.minItems ?? 0, maxLength: Math.min(schema.maxItems ?? 3, 3) };
      return (
        schema.uniqueItems ? fc.uniqueArray(items, { ...bounds, selector: (item) => JSON.stringify(item) }) : fc.array(items, bounds)
      ) as fc.Arbitrary<Value>;
    }
    default:
      return schema.properties
        ? recordOf(schema, root)
        : (fc.dictionary(fc.constantFrom(...fitting(schema.propertyNames?.pattern)), fittingTo(schema.additionalProperties as Schema, root), {
            minKeys: schema.minProperties ?? 0,
            maxKeys: 2,
          }) as fc.Arbitrary<Value>);
  }
}

/** Values that fit a schema. */
export function fittingTo(given: Schema, root: Schema): fc.Arbitrary<Value> {
  const schema = resolved(given, root);
  if (schema.oneOf) return fc.oneof(...schema.oneOf.map((one) => fittingTo(one, root)));
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum) return fc.constantFrom(...schema.enum);
  return fc.oneof(...[schema.type ?? []].flat().map((type) => ofType(schema, root, type)));
}
