/** Thrown by {@link canonical}: the value is not plain JSON data. */
export class NotPlainData extends Error {
  constructor(
    /** Where in the value, such as `context.pages[0].since`. */
    readonly path: string,
    /** What stands there, such as `a Date`. */
    readonly what: string,
  ) {
    super(`${path} is ${what}`);
  }
}

const describe = (value: unknown): string => {
  if (value === undefined) return 'undefined (use null, or leave the field out)';
  if (typeof value === 'number') return Object.is(value, -0) ? '-0 (use 0)' : String(value);
  if (typeof value === 'object' && value !== null) {
    const name = Object.getPrototypeOf(value)?.constructor?.name ?? 'null-prototype object';
    return /^[AEIOU]/.test(name) ? `an ${name}` : `a ${name}`;
  }
  return `a ${typeof value}`;
};

// Looked up once: Jest runs modules in a context where every look-up of a global is slow.
const { isArray } = Array;
const { getOwnPropertySymbols, getPrototypeOf, keys } = Object;
const { stringify } = JSON;

/** Where a walk through a value is: the objects above, and the way from one to the next. */
interface Place {
  name: string;
  above: object[];
  way: (string | number)[];
}

const pathOf = ({ name, way }: Place): string => name + way.map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`)).join('');

function refuse(value: unknown, place: Place, what = describe(value)): never {
  throw new NotPlainData(pathOf(place), what);
}

function below(value: unknown, place: Place, step: string | number): string {
  place.way.push(step);
  const text = textOf(value, place);
  place.way.pop();
  return text;
}

function textOf(value: unknown, place: Place): string {
  if (value === null || typeof value === 'boolean') return `${value}`;
  if (typeof value === 'string') return stringify(value);
  if (typeof value === 'number' && value - value === 0 && (value !== 0 || 1 / value > 0)) return `${value}`;
  if (typeof value !== 'object') return refuse(value, place);
  if (place.above.includes(value)) return refuse(value, place, 'part of a cycle');
  place.above.push(value);
  let text = '';
  if (isArray(value)) {
    for (let i = 0; i < value.length; i++) text += `${i > 0 ? ',' : ''}${below(value[i], place, i)}`;
    text = `[${text}]`;
  } else {
    const prototype = getPrototypeOf(value);
    // Objects from another realm (a vm context, a worker) have another Object.prototype, which is the end of their chain too.
    if (prototype !== null && getPrototypeOf(prototype) !== null) return refuse(value, place);
    if (getOwnPropertySymbols(value).length > 0) return refuse(value, place, 'an object with symbol keys');
    for (const key of keys(value).sort()) text += `${text === '' ? '' : ','}${stringify(key)}:${below((value as Record<string, unknown>)[key], place, key)}`;
    text = `{${text}}`;
  }
  place.above.pop();
  return text;
}

/**
 * The value as JSON text with sorted keys: equal texts, equal values. The order of an object's keys does not count.
 * @throws {NotPlainData} for what JSON would drop or change: undefined, Map, Date, BigInt, functions, NaN, class instances, cycles, symbol keys.
 */
export const canonical = (value: unknown, path = 'value'): string => textOf(value, { name: path, above: [], way: [] });

/** Freezes plain data all the way down, so that an action that writes into a context throws instead of changing the past. */
export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    // What is frozen already may hold something that is not: no short cut.
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}

/** A short, stable fingerprint of a text (FNV-1a, 2 × 32 bits, hexadecimal): to notice that a model changed, not to resist forgery. */
export function fingerprint(text: string): string {
  let a = 0x811c9dc5;
  let b = 0x1000193;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    a = Math.imul(a ^ code, 0x01000193);
    b = Math.imul(b ^ ((code << 5) | (code >>> 3)), 0x85ebca6b) ^ (a >>> 15);
  }
  return [a, b].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('');
}

/** An object with fields, not a list. */
export const isFields = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
