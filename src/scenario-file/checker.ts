import { type Alias, isAlias, isMap, isPair, isScalar, isSeq, type Node, type Pair, Scalar, type YAMLMap, type YAMLSeq } from 'yaml';
import { didYouMean } from '../system/nearest.js';
import { discriminator, resolved, type Schema, type SchemaType, wordsOf } from './json-schema.js';

/** Something that is wrong at a place of the text. */
export class Fault extends Error {
  override name = 'Fault';
  constructor(
    /** Characters before it. */
    readonly offset: number,
    message: string,
  ) {
    super(message);
  }
}

const types: Readonly<Record<SchemaType, string>> = {
  object: 'a map of names and values',
  array: 'a list',
  string: 'a text',
  integer: 'a whole number',
  boolean: 'true or false',
  null: 'null',
};

type Kind = SchemaType | 'number';
const kinds: Readonly<Record<string, Kind>> = { string: 'string', boolean: 'boolean', number: 'number' };

function kindOf(node: Node): Kind {
  if (isMap(node)) return 'object';
  if (isSeq(node)) return 'array';
  const { value } = node as Scalar;
  if (value === null) return 'null';
  return Number.isSafeInteger(value) ? 'integer' : (kinds[typeof value] ?? 'number');
}

export const offsetOf = (node: Node | null | undefined): number => node?.range?.[0] ?? 0;
const longest = 60;
const cut = (said: string): string => (said.length > longest ? `${said.slice(0, longest)}...` : said);

/** A value in a message. */
function shown(node: Node): string {
  const kind = kindOf(node);
  if (kind === 'object' || kind === 'array') return types[kind];
  const { source, value } = node as Scalar;
  if (kind === 'null') return source === '' ? 'nothing' : 'null';
  return `'${cut(kind === 'string' ? String(value) : (source ?? String(value)))}'`;
}

const typesOf = ({ type }: Schema): readonly SchemaType[] => [type ?? []].flat() as SchemaType[];
const range = ({ minimum, maximum }: Schema): string => (minimum === undefined ? '' : ` from ${minimum} to ${maximum}`);
const listed = (values: readonly unknown[]): string => values.map(String).join(', ');

/** What a schema asks for, in words. */
function wanted(schema: Schema): string {
  if (schema.enum || schema.const !== undefined) return `one of ${listed(wordsOf(schema))}`;
  if (schema.oneOf) return [...new Set(schema.oneOf.map(wanted))].join(', or ');
  return typesOf(schema)
    .map((type) => (type === 'integer' ? `${types.integer}${range(schema)}` : types[type]))
    .join(', or ');
}

/** Holds the nodes of a YAML document to a schema. */
export class Checker {
  constructor(private readonly root: Schema) {}

  /**
   * @param where What the value is called in messages.
   * @throws {Fault} for the first thing that does not fit.
   */
  check(node: Node | null, given: Schema = this.root, where = 'the file'): void {
    if (node === null) throw new Fault(0, `${where} takes ${wanted(given)}, not nothing`);
    if (isAlias(node)) throw new Fault(offsetOf(node), `anchors and aliases are no part of the format; write out what '*${(node as Alias).source}' stands for`);
    const schema = this.alternative(node, resolved(given, this.root), where);
    if (schema.enum || schema.const !== undefined) {
      this.checkWord(node, schema, where);
      return;
    }
    if (!typesOf(schema).includes(kindOf(node) as SchemaType)) throw new Fault(offsetOf(node), `${where} takes ${wanted(schema)}, not ${shown(node)}`);
    if (isMap(node)) this.checkMap(node, schema);
    else if (isSeq(node)) this.checkList(node, schema, where);
    else if (isScalar(node)) this.checkScalar(node, schema, where);
  }

  /** The alternative that a value is meant to be. */
  private alternative(node: Node, schema: Schema, where: string): Schema {
    if (!schema.oneOf) return schema;
    const all = schema.oneOf.map((one) => resolved(one, this.root));
    const ofType = all.filter((one) => typesOf(one).includes(kindOf(node) as SchemaType));
    if (ofType.length === 0) throw new Fault(offsetOf(node), `${where} takes ${wanted({ oneOf: all })}, not ${shown(node)}`);
    const key = discriminator(ofType);
    if (key === null || !isMap(node)) return ofType[0] as Schema;
    const said = node.get(key, true) as Node | undefined;
    const choices: Schema = { ...ofType[0]?.properties?.[key], enum: ofType.flatMap((one) => wordsOf(one.properties?.[key] ?? {})) };
    delete choices.const;
    if (said === undefined) throw this.lacking(node, schema, key, `: ${listed(wordsOf(choices))}`);
    this.check(said, choices, `'${key}'`);
    return ofType.find((one) => wordsOf(one.properties?.[key] ?? {}).includes((said as Scalar).value as string)) as Schema;
  }

  private checkWord(node: Node, schema: Schema, where: string): void {
    const words = wordsOf(schema);
    if (isScalar(node) && words.includes(node.value as string)) return;
    if (!isScalar(node) || node.value === null) throw new Fault(offsetOf(node), `${where} takes ${wanted(schema)}, not ${shown(node)}`);
    const texts = words.map(String);
    const near = didYouMean(String(node.value), texts);
    throw new Fault(offsetOf(node), `there is no ${schema.title ?? 'value'} ${shown(node)}${near} (${texts.join(', ')})`);
  }

  private lacking(node: YAMLMap, schema: Schema, key: string, more = ''): Fault {
    return new Fault(offsetOf(node), `a ${schema.title ?? 'map'} needs '${key}'${more}`);
  }

  private checkMap(node: YAMLMap, schema: Schema): void {
    const known = schema.properties ?? {};
    for (const pair of node.items) {
      const key = this.keyOf(pair);
      if (schema.propertyNames) this.checkName(pair.key as Scalar, key, schema.propertyNames);
      const inner = Object.hasOwn(known, key) ? known[key] : schema.additionalProperties || undefined;
      if (!inner) {
        const names = Object.keys(known);
        throw new Fault(offsetOf(pair.key as Node), `a ${schema.title ?? 'map'} has no '${cut(key)}'${didYouMean(key, names)} (it has ${names.join(', ')})`);
      }
      this.check((pair.value ?? this.nothingAt(pair)) as Node, inner, `'${key}'`);
    }
    const missing = schema.required?.find((key) => !node.has(key));
    if (missing !== undefined) throw this.lacking(node, schema, missing);
  }

  /** A name of somebody's own; a number is a text there. */
  private checkName(node: Scalar, key: string, { title = 'name', description, pattern = '' }: Schema): void {
    if (!new RegExp(pattern).test(key)) throw new Fault(offsetOf(node), `'${cut(key)}' is no name of a ${title} (${description ?? pattern})`);
  }

  /** A key without a colon, as in `{ flush }`. */
  private nothingAt({ key }: Pair): Node {
    const nothing = new Scalar(null);
    nothing.source = '';
    nothing.range = (key as Node).range ?? null;
    return nothing;
  }

  private keyOf(pair: Pair): string {
    const { key } = pair;
    if (!isPair(pair) || !isScalar(key)) throw new Fault(offsetOf(key as Node), 'a name is a plain word here, not a list, a map or an alias');
    return String(key.value ?? '');
  }

  private checkList(node: YAMLSeq, schema: Schema, where: string): void {
    const { minItems = 0, maxItems = Number.POSITIVE_INFINITY, items, uniqueItems } = schema;
    if (node.items.length < minItems) throw new Fault(offsetOf(node), `${where} is empty; it takes at least ${minItems}`);
    const further = node.items[maxItems] as Node | undefined;
    if (further) throw new Fault(offsetOf(further), `${where} takes at most ${maxItems}, not ${node.items.length}`);
    const seen = new Set<unknown>();
    for (const item of node.items as Node[]) {
      if (items) this.check(item, items, `an item of ${where}`);
      if (!uniqueItems || !isScalar(item)) continue;
      if (seen.has(item.value)) throw new Fault(offsetOf(item), `${where} has ${shown(item)} twice`);
      seen.add(item.value);
    }
  }

  private checkScalar(node: Scalar, schema: Schema, where: string): void {
    const { value } = node;
    const misfit = (what: string): Fault => new Fault(offsetOf(node), `${where} takes ${what}, not ${shown(node)}`);
    if (typeof value === 'number' && (value < (schema.minimum ?? value) || value > (schema.maximum ?? value))) throw misfit(wanted(schema));
    if (typeof value !== 'string') return;
    if (value.length < (schema.minLength ?? 0)) throw misfit('a text that is not empty');
    if (schema.pattern !== undefined && !new RegExp(schema.pattern).test(value))
      throw misfit(`the name of a ${schema.title ?? 'thing'} (${schema.description ?? schema.pattern})`);
  }
}
