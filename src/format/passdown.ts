import type { Diagnostic, NewParameter, Passdown, SitePlace } from '../passdown/passdown.js';
import { fileOf } from '../passdown/place.js';
import { noColours, type Palette } from './table.js';
import { count, thousands } from './text.js';

/** A list longer than this is cut: for people. */
const longest = 40;

const gaps: Record<Diagnostic['gap'], string> = {
  g1: 'functions of a slot that have no one type',
  g2: 'accessors',
  g3: 'bodies of functions that have a mapping already',
  g4: 'mappings that may not be the one of the page',
  g5: 'roots without a source',
  g6: 'mappings of stacked filesystems',
};

/** Some lines of a list, and (where it is longer) how much more there is. */
const cut = (lines: readonly string[], more: number, { dim }: Palette): string[] => [
  ...lines.map((line) => `  ${line}`),
  ...(more > 0 ? [dim(`  and ${thousands(more)} more; --json has all`)] : []),
];

/** A heading and a line for each thing, of which only those that are shown are made; nothing if there are none. */
function section<T>(heading: string, things: readonly T[], line: (thing: T) => string, palette: Palette): string[] {
  if (things.length === 0) return [];
  return [palette.bold(heading), ...cut(things.slice(0, longest).map(line), things.length - longest, palette), ''];
}

const place = ({ file, line }: SitePlace): string => (file === null ? `line ${line}` : `${file}:${line}`);

/** Functions by the file that they are in. */
function byFile(parameters: readonly NewParameter[]): Map<string, NewParameter[]> {
  const files = new Map<string, NewParameter[]>();
  for (const parameter of parameters) {
    const file = parameter.at === null ? 'file not known' : fileOf(parameter.at);
    const known = files.get(file);
    if (known) known.push(parameter);
    else files.set(file, [parameter]);
  }
  return files;
}

/** The functions that get the parameter: a line for each file, and under it one for each function. */
function functions(parameters: readonly NewParameter[], palette: Palette): string[] {
  if (parameters.length === 0) return [];
  const lines: string[] = [];
  let shown = 0;
  for (const [file, own] of byFile(parameters)) {
    const room = longest - lines.length - 1;
    if (room < 1) break;
    const some = own.slice(0, room);
    lines.push(file, ...some.map(({ id, at, why }) => `  ${/:(\d+)$/.exec(at ?? '')?.[1] ?? '-'} ${id} (${why})`));
    shown += some.length;
  }
  const heading = `${count(parameters.length, 'function')} ${parameters.length === 1 ? 'gets' : 'get'} a parameter 'mapping'`;
  return [palette.bold(heading), ...cut(lines, parameters.length - shown, palette), ''];
}

const unclear = '?';

/** How many diagnostics have to be settled by hand, and how many only say something. */
export const tally = (diagnostics: readonly Diagnostic[]): { problems: number; information: number } => {
  const problems = diagnostics.reduce((sum, { kind }) => sum + (kind === 'problem' ? 1 : 0), 0);
  return { problems, information: diagnostics.length - problems };
};

function byGap(diagnostics: readonly Diagnostic[], palette: Palette): string[] {
  return Object.entries(gaps).flatMap(([gap, title]) =>
    section(
      `${gap}: ${title}`,
      diagnostics.filter((found) => found.gap === gap),
      ({ at, call, kind, text }) => {
        const where = [...(at === null ? [] : [at]), ...(call === null ? [] : [`calls[${call}]`])].join(', ');
        return `${where === '' ? '' : `${where}: `}${kind === 'problem' ? '' : 'for information: '}${text}`;
      },
      palette,
    ),
  );
}

/** What came out of passing the mapping down, for people. */
export function passdownText(name: string, passdown: Passdown, palette: Palette = noColours): string {
  const { parameters, slots, callSites, bodies, diagnostics } = passdown;
  const { problems } = tally(diagnostics);
  const sizes = [count(parameters.length, 'function'), count(slots.length, 'slot'), count(callSites.length, 'call site')];
  const bodyCount = bodies.length === 1 ? '1 body' : `${thousands(bodies.length)} bodies`;
  const todo = problems === 0 ? palette.green('nothing to settle by hand') : palette.red(`${thousands(problems)} to settle by hand`);
  return [
    ...functions(parameters, palette),
    ...section(
      `${count(slots.length, 'slot')} ${slots.length === 1 ? 'changes its' : 'change their'} type`,
      slots,
      ({ id, functions: own, callSites: sites }) => `${id}: ${count(own, 'function')} and ${count(sites, 'call site')} together`,
      palette,
    ),
    ...section(
      `${count(callSites.length, 'call site')} ${callSites.length === 1 ? 'passes' : 'pass'} it`,
      callSites,
      (site) => `${place(site)} ${site.caller} -> ${site.callee ?? `${site.slot}`} (${site.argument ?? unclear})`,
      palette,
    ),
    ...section(
      `${bodyCount} ${bodies.length === 1 ? 'reads' : 'read'} it instead of page->mapping`,
      bodies,
      ({ id, at, argument, reads, accessors }) => {
        const replaced = accessors.map((site) => `${site.accessor}() at ${place(site)} -> ${site.argument ?? unclear}`);
        return `${at === null ? '' : `${at} `}${id}: ${[...(reads ? [`page->mapping -> ${argument ?? unclear}`] : []), ...replaced].join(', ')}`;
      },
      palette,
    ),
    ...byGap(diagnostics, palette),
    `${palette.bold(name)}: ${sizes.join(', ')}, ${bodyCount}; ${todo}`,
    '',
  ].join('\n');
}

/** So many elements are one piece of a document. */
const piece = 1000;

/** An array as JSON, an element a line. */
function* arrayJson(name: string, elements: readonly unknown[]): Generator<string> {
  if (elements.length === 0) return yield `  ${JSON.stringify(name)}: []`;
  yield `  ${JSON.stringify(name)}: [\n`;
  for (let from = 0; from < elements.length; from += piece) {
    const lines = elements.slice(from, from + piece).map((element) => `    ${JSON.stringify(element)}`);
    yield `${from > 0 ? ',\n' : ''}${lines.join(',\n')}`;
  }
  yield '\n  ]';
}

/** The same for scripts, `shootdown.passdown/1`, in pieces: as one string it may be longer than a string can be. */
export function* passdownJson(name: string, passdown: Passdown): Generator<string> {
  const { parameters, slots, callSites, bodies, roots, clashes, diagnostics } = passdown;
  const lists = { parameters, slots, callSites, bodies, roots, clashes, diagnostics };
  const sizes = Object.fromEntries(Object.entries(lists).flatMap(([list, { length }]) => (list === 'diagnostics' ? [] : [[list, length]])));
  yield `{\n  "format": "shootdown.passdown/1",\n  "graph": ${JSON.stringify(name)},\n`;
  yield `  "summary": ${JSON.stringify({ ...sizes, ...tally(diagnostics) })}`;
  for (const [list, elements] of Object.entries(lists)) {
    yield ',\n';
    yield* arrayJson(list, elements);
  }
  yield '\n}\n';
}
