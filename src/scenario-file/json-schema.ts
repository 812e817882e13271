/** As much of JSON Schema as the scenario files need: the same object is shipped for editors and checks files at run time. */
export interface Schema {
  $schema?: string;
  $ref?: string;
  $defs?: Readonly<Record<string, Schema>>;
  /** What a value of this kind is called in messages: a path, a scenario. */
  title?: string;
  description?: string;
  default?: unknown;
  type?: SchemaType | readonly SchemaType[];
  const?: string;
  enum?: readonly (string | number | null)[];
  properties?: Readonly<Record<string, Schema>>;
  required?: readonly string[];
  additionalProperties?: Schema | false;
  propertyNames?: Schema;
  minProperties?: number;
  items?: Schema;
  minItems?: number;
  maxItems?: number;
  uniqueItems?: boolean;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  pattern?: string;
  /** Told apart by their types or, of objects, by the property that every one of them fixes. */
  oneOf?: readonly Schema[];
}

export type SchemaType = 'object' | 'array' | 'string' | 'integer' | 'boolean' | 'null';

/** Properties by name; those whose name ends in `?` may be left out. */
export type Fields = Readonly<Record<string, Schema>>;

export const word = (title: string, values: readonly (string | number | null)[], description?: string): Schema => ({
  title,
  ...(description === undefined ? {} : { description }),
  enum: values,
});
export const text = (description: string): Schema => ({ description, type: 'string', minLength: 1 });
export const name = (title: string, pattern: string, description?: string): Schema => ({
  title,
  ...(description === undefined ? {} : { description }),
  type: 'string',
  pattern,
});
export const flag = (description: string): Schema => ({ description, type: 'boolean' });
export const whole = (minimum: number, maximum: number, description?: string): Schema => ({
  ...(description === undefined ? {} : { description }),
  type: 'integer',
  minimum,
  maximum,
});
export const orNull = (schema: Schema): Schema =>
  schema.enum ? { ...schema, enum: [...schema.enum, null] } : { ...schema, type: [...[schema.type ?? []].flat(), 'null'] };

export const list = (items: Schema, more: Pick<Schema, 'description' | 'minItems' | 'maxItems' | 'uniqueItems'> = {}): Schema => ({
  ...(more.description === undefined ? {} : { description: more.description }),
  type: 'array',
  items,
  ...more,
});

export function record(title: string, fields: Fields, description?: string): Schema {
  const required = Object.keys(fields).filter((key) => !key.endsWith('?'));
  return {
    title,
    ...(description === undefined ? {} : { description }),
    type: 'object',
    ...(required.length > 0 ? { required } : {}),
    additionalProperties: false,
    properties: Object.fromEntries(Object.entries(fields).map(([key, schema]) => [key.replace(/\?$/, ''), schema])),
  };
}

/** Values by names of somebody's own. */
export const table = (propertyNames: Schema, values: Schema, description: string): Schema => ({
  description,
  type: 'object',
  propertyNames,
  additionalProperties: values,
});

/** A call of a program, by what it does: `{ do: store, vpn: 0 }`. Those with the same arguments are one branch. */
export function calls<Do extends string>(of: Readonly<Record<Do, Fields>>): Schema {
  const branches = new Map<string, { names: string[]; fields: Fields }>();
  for (const [path, fields] of Object.entries<Fields>(of)) {
    const key = JSON.stringify(fields);
    const branch = branches.get(key) ?? { names: [], fields };
    branch.names.push(path);
    branches.set(key, branch);
  }
  return { title: 'call', oneOf: [...branches.values()].map(({ names, fields }) => record('call', { do: word('path', names), ...fields })) };
}

export const ref = (definition: string): Schema => ({ $ref: `#/$defs/${definition}` });

/** What a reference stands for. */
export function resolved(schema: Schema, root: Schema): Schema {
  if (schema.$ref === undefined) return schema;
  return root.$defs?.[schema.$ref.replace('#/$defs/', '')] as Schema;
}

/** The properties whose values are fixed, a few words each. */
const fixedIn = (schema: Schema): string[] =>
  Object.entries(schema.properties ?? {}).flatMap(([key, { const: only, enum: values }]) => (only !== undefined || values !== undefined ? [key] : []));

export const wordsOf = ({ const: only, enum: values }: Schema): readonly (string | number | null)[] => (only === undefined ? (values ?? []) : [only]);

/** The property by which alternatives that are objects are told apart. */
export function discriminator(alternatives: readonly Schema[]): string | null {
  const [first, ...others] = alternatives;
  return (first && fixedIn(first).find((key) => first.required?.includes(key) && others.every((other) => fixedIn(other).includes(key)))) ?? null;
}
