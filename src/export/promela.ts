import { count } from '../format/text.js';
import type { Claim } from './claims.js';
import type { Condition, Region, Row } from './forest.js';
import { choiceName, moduleName, Names, oneLine, runs } from './names.js';
import { notes } from './notes.js';
import type { ChoiceRows, TableActor, Tables } from './tables.js';

/** What pan does is one function; with more rows than that, gcc takes longer to improve it than pan to run. */
const mostOptimised = 1500;

type Variables = ReadonlyMap<number, string>;

/** Text that ends no comment and begins none. */
const comment = (text: string): string => oneLine(text).replaceAll('*/', '* /').replaceAll('/*', '/ *');
/** Text that may stand in the format of a printf. */
const printed = (text: string): string => text.replace(/[^\x20-\x7e]|["\\]/g, '_').replaceAll('%', '%%');

function condition({ actor, ids }: Condition, variables: Variables): string {
  const name = variables.get(actor);
  const parts = runs(ids).flatMap(([from, to]) => {
    if (to - from > 1) return [`(${name} >= ${from} && ${name} <= ${to})`];
    return from === to ? [`${name} == ${from}`] : [`${name} == ${from}`, `${name} == ${to}`];
  });
  return parts.length > 1 ? `(${parts.join(' || ')})` : (parts[0] as string);
}

const all = (reads: readonly Condition[], variables: Variables): string => reads.map((read) => condition(read, variables)).join(' && ') || 'true';
const any = (region: Region, variables: Variables): string => (region.length === 0 ? 'false' : region.map((part) => `(${all(part, variables)})`).join(' || '));

function declaration({ locals, initial }: TableActor, name: string): string[] {
  const type = locals.length <= 256 ? 'byte' : locals.length <= 32_768 ? 'short' : 'int';
  const names = locals.map((text, id) => `${String(id).padStart(5)} ${comment(text)}`);
  return [`/* ${name}:`, `${names.join('\n')} */`, `${type} ${name} = ${initial};`, ''];
}

function option({ reads, writes }: Row, name: string, variables: Variables): string {
  const effect = writes.map(([actor, id]) => `${variables.get(actor)} = ${id}; `).join('');
  return `  :: d_step { ${all(reads, variables)} -> ${effect}printf("${printed(name)}\\n") }`;
}

const options = ({ choice, rows }: ChoiceRows, variables: Variables): string[] => {
  const name = choiceName(choice);
  return rows.length === 0 ? [] : [`  /* ${comment(name)} */`, ...rows.map((row) => option(row, name, variables))];
};

const alarm = (guard: string, { name, description }: Claim): string[] => [
  `  /* ${comment(`${name}: ${description}`)} */`,
  `  :: d_step { ${guard} -> printf("violated: ${printed(name)}\\n"); assert(false) }`,
];

/** A process that does for ever what it can; an end of the run that finds it where it is, is none to complain of. */
const forever = (name: string, body: readonly string[]): string[] =>
  body.length === 0 ? [] : [`active proctype ${name}() {`, 'end:', '  do', ...body, '  od', '}', ''];

/** What happens when no fair choice changes anything. */
function otherwise(deadlock: Claim | undefined, variables: Variables): string[] {
  if (!deadlock?.stuck || deadlock.stuck.length === 0) return [];
  return [
    `  /* ${comment(`${deadlock.name}: ${deadlock.description}`)} */`,
    `  :: d_step { else -> if :: ${any(deadlock.stuck, variables)} -> printf("violated: ${printed(deadlock.name)}\\n"); assert(false) :: else fi }`,
  ];
}

const why = ({ kind, leftOut }: Claim): string | null => (kind === 'eventuality' ? 'fairness is of each choice, and that of SPIN of processes only' : leftOut);

/** A system as a model for SPIN. */
export function promela(tables: Tables): string {
  const { system, states, rows, actors, choices, claims } = tables;
  const names = new Names();
  const variables: Variables = new Map(actors.map(({ index, address }) => [index, names.variable(address)]));
  const file = `${moduleName(system.id)}.pml`;
  const fair = choices.filter(({ choice }) => choice.fair).flatMap((choice) => options(choice, variables));
  const environment = choices.filter(({ choice }) => !choice.fair).flatMap((choice) => options(choice, variables));
  const alarms = claims.flatMap((claim) => (claim.never.length === 0 ? [] : alarm(any(claim.never, variables), claim)));
  const head = [
    ...notes(tables, why),
    '',
    `All ${count(states, 'state')} (-A: do not stop at what is violated):`,
    `  spin -a ${file} && gcc ${rows > mostOptimised ? '-O0' : '-O1'} -DNOREDUCE -DSAFETY -o pan pan.c && ./pan -A -m${Math.max(10_000, states + 10)}`,
    `Without -A pan stops at the first violation, and 'spin -t ${file}' prints the schedule to it.`,
  ];
  return [
    '/*',
    ...head.map((line) => ` * ${comment(line)}`.trimEnd()),
    ' */',
    '',
    ...actors.flatMap((actor) => declaration(actor, variables.get(actor.index) as string)),
    ...forever('fair', [
      // Also where nothing happens, `else` needs something to be the other of, and a model a process.
      ...(fair.length > 0 ? fair : ['  :: d_step { false -> skip }']),
      ...otherwise(
        claims.find(({ stuck }) => stuck),
        variables,
      ),
    ]),
    ...forever('environment', environment),
    ...forever('properties', alarms),
  ].join('\n');
}
