import type { Expected, Scenario } from '../scenarios/scenario.js';
import type { System } from '../system/system.js';
import { type Fields, list, name, record, ref, type Schema, table, text, word } from './json-schema.js';
import { Misfit, type Path } from './problem.js';

/** A scenario whose setup a file can compose. `S`: what of the setup a file says. */
export interface Family<S = Record<string, unknown>> {
  scenario: Scenario;
  fields: Fields;
  /** What the fields refer to. */
  definitions?: Readonly<Record<string, Schema>>;
  /** What a schema cannot say: that threads, pages and machines go together. @throws {Misfit} */
  refuse: (said: S) => void;
  system: (id: string, said: S) => System;
}

/** What every file can say. */
export interface CommonFields {
  title?: string;
  without?: readonly string[];
  with?: readonly string[];
  ask?: readonly string[];
  expect?: Readonly<Record<string, Exclude<Expected, null>>>;
}

export const commonNames = ['$schema', 'scenario', 'title', 'without', 'with', 'ask', 'expect'] as const;

const safeguards = (description: string): Schema => list(ref('safeguard'), { description, uniqueItems: true });

/** What the schemas of all families refer to. */
export const commonDefinitions: Readonly<Record<string, Schema>> = {
  schema: text('for editors: where this schema is'),
  title: text('what is asked, in a line'),
  safeguard: name('safeguard', '^[A-Za-z_]\\w*\\.\\w+$', 'machine.name, such as gup_fast.rechecksAfterGrab'),
  without: safeguards('safeguards that are out: guards that always say no, actions that do nothing'),
  with: safeguards('guards that always say yes'),
  ask: list(text('name of a property'), { description: 'the properties that are asked; default: all', minItems: 1, uniqueItems: true }),
  expect: table(name('property', '.'), word('verdict', ['holds', 'violated']), 'the verdict expected of each property; without, that all hold'),
};

const common: Fields = {
  '$schema?': ref('schema'),
  'title?': ref('title'),
  'without?': ref('without'),
  'with?': ref('with'),
  'ask?': ref('ask'),
  'expect?': ref('expect'),
};

export const familySchema = ({ scenario, fields }: Pick<Family, 'scenario' | 'fields'>): Schema =>
  record(
    `file for ${scenario.id}`,
    { scenario: { title: 'scenario', description: scenario.title, const: scenario.id }, ...common, ...fields },
    `${scenario.title}. ${scenario.question}`,
  );

/** @throws {Misfit} unless it is so. */
export function must(so: boolean, path: Path, message: string | (() => string)): asserts so {
  if (!so) throw new Misfit(path, typeof message === 'string' ? message : message());
}

/** Each call of each thread, with where it stands. */
export function eachCall<C, T extends { program: readonly C[] }>(threads: readonly T[], look: (call: C, path: Path, thread: T, n: number) => void): void {
  for (const [n, thread] of threads.entries()) for (const [at, call] of thread.program.entries()) look(call, ['threads', n, 'program', at], thread, n);
}

/** What is there, for a message: `p 0, p 1`. */
export const among = (names: readonly (string | number)[]): string => (names.length > 0 ? names.join(', ') : 'none');
