import { UsageError } from '../system/errors.js';
import { didYouMean } from '../system/nearest.js';

/** Limits of a search as the explorer takes them. */
export interface LimitOptions {
  maxStates?: number;
  maxSeconds?: number;
  maxMemory?: number;
}

export type Given = Readonly<Record<string, string>>;

const within = (flag: string, what: string, text: string): UsageError => new UsageError(`option '${flag}' takes ${what}, not '${text}'`);

/** Parser of an option that takes a whole number from 1. */
export const wholeNumber =
  (flag: string, most = Number.MAX_SAFE_INTEGER) =>
  (text: string): number => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= 1 && value <= most))
      throw within(flag, most === Number.MAX_SAFE_INTEGER ? 'a whole number from 1' : `a whole number from 1 to ${most}`, text);
    return value;
  };

/** Parser of an option that takes seconds, such as `90` or `0.5`. */
export const seconds =
  (flag: string) =>
  (text: string): number => {
    const value = /^(\d+\.?\d*|\.\d+)$/.test(text) ? Number(text) : Number.NaN;
    if (!(value > 0)) throw within(flag, 'a number of seconds above 0', text);
    return value;
  };

const powers = ['', 'k', 'm', 'g', 't'];

/** Parser of an option that takes a size in bytes: `800M`, `2G`, `1.5GiB`. The units are powers of 1024, however they are written. */
export const size =
  (flag: string) =>
  (text: string): number => {
    const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?) ?([kmgt]?)(?:i?b)?$/i.exec(text) ?? [];
    const value = number === '' ? Number.NaN : Math.floor(Number(number) * 1024 ** powers.indexOf(unit.toLowerCase()));
    if (!(value >= 1)) throw within(flag, "a size such as '512M' or '2G'", text);
    return value;
  };

/** Collects a repeatable `name=value`. */
export const nameValue =
  (flag: string) =>
  (text: string, before: Given = {}): Given => {
    const [, name, value] = /^([^=]+)=(.+)$/.exec(text) ?? [];
    if (name === undefined || value === undefined) throw within(flag, 'name=value', text);
    return { ...before, [name]: value };
  };

/** Parser of a list of numbers, such as `0,2-3`. */
export const numberList =
  (flag: string) =>
  (text: string): number[] =>
    text.split(',').flatMap((part) => {
      const [, first, last = first] = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(part) ?? [];
      if (first === undefined || Number(last) < Number(first)) throw within(flag, "a list of numbers such as '0,2-3'", text);
      return Array.from({ length: Number(last) - Number(first) + 1 }, (_, n) => Number(first) + n);
    });

export const formatNames = ['columns', 'steps', 'times', 'mermaid', 'plantuml', 'shiviz', 'perfetto', 'itf', 'json'] as const;
export type FormatName = (typeof formatNames)[number];

/** Parser of a comma list of formats. */
export function formats(text: string): FormatName[] {
  return text.split(',').map((part) => {
    const name = part.trim();
    if (!(formatNames as readonly string[]).includes(name))
      throw new UsageError(`there is no format '${name}'${didYouMean(name, formatNames)} (the formats are ${formatNames.join(', ')})`);
    return name as FormatName;
  });
}
