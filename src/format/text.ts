import { isFields } from '../system/canonical.js';
import type { Choice } from '../system/system.js';

type Fields = Record<string, unknown>;

/** The fields that a message says something with: neither its type nor the sender's signature. */
export function fieldsOf(event: object): Fields {
  const { type: _type, from: _from, ...fields } = event as Fields;
  return fields;
}

/** A value as one writes it by hand: `{kind: present, pfn: 0}`; only strings that are no single word are quoted. */
export function plain(value: unknown): string {
  if (value === undefined) return '(absent)';
  if (typeof value === 'string') return /^[\w.:/#@-]+$/.test(value) ? value : JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(plain).join(', ')}]`;
  if (isFields(value))
    return `{${Object.entries(value)
      .map(([key, inner]) => `${key}: ${plain(inner)}`)
      .join(', ')}}`;
  return String(value);
}

function inBrief(name: string, value: unknown, flatten: boolean): string[] {
  if (value === true) return [name];
  if (value === false || value === null || value === undefined) return [];
  if (typeof value === 'string') return [value];
  if (flatten && isFields(value)) return Object.entries(value).flatMap(([key, inner]) => inBrief(key, inner, false));
  return [`${name} ${plain(value)}`];
}

/** What a message says, in a few words: `present, pfn 0, devmap`. Flags that are off are left out; empty if nothing is left. */
export const brief = (event: object): string =>
  Object.entries(fieldsOf(event))
    .flatMap(([name, value]) => inBrief(name, value, true))
    .join(', ');

/** A message in full: `pte {vpn: 0, pte: {kind: none}}`. */
export function inFull(event: { type: string }): string {
  const fields = fieldsOf(event);
  return Object.keys(fields).length > 0 ? `${event.type} ${plain(fields)}` : event.type;
}

/** A choice's event in a few words: `step`, `fill vpn 0`, `after 1000`. */
export function choiceText({ event, delayed }: Choice): string {
  const delay = delayed ? /^xstate\.after\.([^.]+)\./.exec(event.type)?.[1] : undefined;
  return [delay === undefined ? event.type : `after ${delay}`, brief(event)].filter((part) => part !== '').join(' ');
}

/** `1 step`, `2 steps`. */
export const count = (number: number, thing: string): string => `${thousands(number)} ${thing}${number === 1 ? '' : 's'}`;

/** `1,407,239`. */
export const thousands = (number: number): string => String(number).replace(/\B(?=(\d{3})+(?!\d))/g, ',');
