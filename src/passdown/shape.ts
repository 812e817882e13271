import { isFields } from '../system/canonical.js';
import { didYouMean } from '../system/nearest.js';
import type { Problems } from './problems.js';

export type Fields = Record<string, unknown>;
export type Kind = 'text' | 'flag' | 'list' | 'line' | 'type';

/** What a field of each kind has to be. */
const kinds: Record<Kind, [what: string, is: (value: unknown) => boolean]> = {
  text: ['a string that is not empty', (value) => typeof value === 'string' && value !== ''],
  flag: ['true or false', (value) => typeof value === 'boolean'],
  list: ['an array', Array.isArray],
  line: ['a whole number from 1', (value) => Number.isSafeInteger(value) && (value as number) >= 1],
  type: ["'mapping' or 'file'", (value) => value === 'mapping' || value === 'file'],
};

/** A value in a message: what it is, not how long. */
export function shown(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object') return 'an object';
  if (typeof value !== 'string') return String(value);
  return `'${value.length > 80 ? `${value.slice(0, 80)}...` : value}'`;
}

/** `calls[3].callee`; without a list the field alone, without a field the thing. */
const pathOf = (list: string, place: number, field?: string): string =>
  [...(list === '' ? [] : [`${list}[${place}]`]), ...(field === undefined ? [] : [field])].join('.');

/** Checks that objects have the fields of a shape and no others. A class, so that a million objects are one loop over prepared lists. */
export class Shape {
  private readonly names: readonly string[];
  private readonly known: ReadonlySet<string>;
  private readonly fields: readonly { name: string; required: boolean; what: string; is: (value: unknown) => boolean }[];

  constructor(fields: Readonly<Record<string, string>>) {
    this.names = Object.keys(fields);
    this.known = new Set(this.names);
    this.fields = Object.entries(fields).map(([name, text]) => {
      const [what, is] = kinds[text.replace('!', '') as Kind];
      return { name, required: text.endsWith('!'), what, is };
    });
  }

  /** Whether it is an object at all: the value of a document, or that at a place in a list. Tells of all that is wrong with it. */
  check(value: unknown, problems: Problems, list = '', place = 0): value is Fields {
    if (!isFields(value)) {
      problems.add(pathOf(list, place), `an object is wanted, not ${shown(value)}`);
      return false;
    }
    for (const name in value) if (!this.known.has(name)) this.refuse(name, problems, pathOf(list, place, name));
    for (const { name, required, what, is } of this.fields) {
      const given = value[name];
      if (given === undefined) {
        if (required) problems.add(pathOf(list, place, name), `is missing: ${what}`);
      } else if (!is(given)) problems.add(pathOf(list, place, name), `${what} is wanted, not ${shown(given)}`);
    }
    return true;
  }

  private refuse(name: string, problems: Problems, path: string): void {
    problems.add(path, 'there is no such field', () => didYouMean(name, this.names));
  }
}
