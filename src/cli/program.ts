import { Command, Option } from 'commander';
import { type CheckFlags, check } from './commands/check.js';
import { type DiffFlags, diff } from './commands/diff.js';
import { type ExportFlags, exportModel, language, languages } from './commands/export.js';
import { type InspectFlags, inspect } from './commands/inspect.js';
import { list } from './commands/list.js';
import { passdown } from './commands/passdown.js';
import { replay } from './commands/replay.js';
import { type RunFlags, run } from './commands/run.js';
import { type SafeguardsFlags, safeguards } from './commands/safeguards.js';
import { type ShowFlags, show } from './commands/show.js';
import { type TraceFlags, trace } from './commands/trace.js';
import { type VmemmapFlags, vmemmap } from './commands/vmemmap.js';
import type { Context } from './context.js';
import { exitCodes } from './failure.js';
import { type FormatName, formatNames, formats, nameValue, numberList, seconds, size, wholeNumber } from './options.js';

const naming = 'a scenario, a variant (scenario/variant), a pattern of either (gup-*), a module that exports a system, or a scenario file (.yaml)';
// A token carries four bytes a step at most; longer runs than this are of no use to anybody.
const mostSteps = 50_000;

const paramOption = (): Option => new Option('--param <name=value>', "set a scenario's parameter; repeatable").argParser(nameValue('--param'));
const formatOption = (): Option =>
  new Option('--format <list>', `any of ${formatNames.join(', ')}, separated by commas`).argParser(formats).default(['columns'], 'columns');
const limitOptions = (states?: number): Option[] => [
  new Option('--max-states <n>', 'end the search of a variant after so many states').argParser(wholeNumber('--max-states')).default(states),
  new Option('--max-seconds <n>', 'end the search of a variant after so many seconds').argParser(seconds('--max-seconds')),
  new Option('--max-memory <size>', 'end the search of a variant when its tables take so much memory: 512M, 2G').argParser(size('--max-memory')),
];
const serveOptions = (): Option[] => [
  new Option('--port <n>', 'serve the inspector on this port (default: any that is free)').argParser(wholeNumber('--port', 65_535)),
  new Option('--no-open', 'do not open it in the browser'),
];

const withOptions = (command: Command, options: readonly Option[]): Command => options.reduce((extended, option) => extended.addOption(option), command);

const epilogue = `
Exit codes: 0 every verdict is as expected; 1 some verdict is not; 2 the call was wrong; 3 inconclusive (a limit was hit).`;

/** The command line. `done` is told the exit code of the command that ran. */
export function program(context: Context, done: (code: number) => void): Command {
  const { io } = context;
  const top = new Command('shootdown')
    .description("checks every interleaving of a system of XState actors: shipped with the Linux kernel's memory-management protocols")
    .version(io.version, '-V, --version', 'print the version')
    .exitOverride()
    .configureOutput({ writeOut: io.stdout, writeErr: () => {}, getOutHelpWidth: () => io.columns, getOutHasColors: () => false })
    .addHelpText('after', epilogue);
  const finishing =
    <A extends unknown[]>(action: (...given: A) => Promise<number>) =>
    async (...given: A): Promise<void> =>
      done(await action(...given));

  top
    .command('list')
    .description('list the scenarios with their questions, variants and expected verdicts')
    .option('--json', 'print one JSON document')
    .action((flags: { json?: boolean }) => {
      list(context, flags);
      done(exitCodes.asExpected);
    });

  withOptions(
    top
      .command('check')
      .description('explore every interleaving and compare the verdicts with what is expected')
      .argument('[what...]', `${naming}; without, every scenario`),
    [
      new Option('--json', 'print one JSON document (shootdown.check/1)'),
      new Option('--junit <file>', "also write the results as JUnit's XML"),
      new Option('--sarif <file>', 'also write what is wrong, open or undecided as SARIF 2.1.0, for code scanning'),
      ...limitOptions(),
      new Option('--continue', 'find the shortest counterexample of every property, not of the first'),
      paramOption(),
      new Option('--first', 'also print the first counterexample in full'),
      new Option('--verbose', 'print what each verdict rests on: its receipt'),
    ],
  ).action(finishing((what: string[], flags: CheckFlags) => check(context, what, flags)));

  withOptions(top.command('show').description('print the shortest counterexample of one variant').argument('<what>', naming), [
    formatOption(),
    new Option('--property <name>', 'the counterexample of this property'),
    paramOption(),
    ...limitOptions(),
  ]).action(finishing((what: string, flags: ShowFlags) => show(context, what, flags)));

  withOptions(top.command('run').description("run one variant live, in XState's own runtime").argument('<what>', naming), [
    new Option('--schedule <schedule>', 'random:SEED, round-robin, a token, or a file with one').default('round-robin'),
    new Option('--steps <n>', 'how many steps at most (default: 1000, or the whole of a recorded schedule)').argParser(wholeNumber('--steps', mostSteps)),
    paramOption(),
    new Option('--inspect', 'then show the live system in the inspector, and take the steps commanded there until Ctrl-C'),
    ...serveOptions(),
  ]).action(finishing((what: string, flags: RunFlags) => run(context, what, flags)));

  withOptions(
    top
      .command('replay')
      .description('replay a recorded schedule live, and say where it does not fit any more')
      .argument('<token-or-file>', 'a token (sd1:...), or a file with one or with a JSON schedule'),
    [formatOption()],
  ).action(finishing((tokenOrFile: string, flags: { format: FormatName[] }) => replay(context, tokenOrFile, flags)));

  withOptions(
    top
      .command('inspect')
      .description('serve the inspector, a page on this machine only, until Ctrl-C')
      .argument('[what]', 'what to show first: a scenario, a variant (scenario/variant) or a token (sd1:...)'),
    [...serveOptions(), paramOption()],
  ).action(finishing((what: string | undefined, flags: InspectFlags) => inspect(context, what, flags)));

  withOptions(
    top
      .command('trace')
      .description('read an ftrace log of a running kernel against the model, and say which line the model does not allow')
      .argument('<log>', "text of /sys/kernel/tracing/trace or of trace-cmd report, plain or gzip; '-' for standard input"),
    [
      new Option('--as <what>', 'check this protocol only, or those that a scenario is about'),
      new Option('--json', 'print one JSON document (shootdown.trace/1)'),
      new Option('--from <line>', 'begin at this line').argParser(wholeNumber('--from')),
      new Option('--to <line>', 'end with this line').argParser(wholeNumber('--to')),
      new Option('--cpus <list>', "check what these CPUs' lines say (0,2-3); the lines of others move the model only").argParser(numberList('--cpus')),
      new Option('--around <line>', 'show what was under way around this line, and what each task did').argParser(wholeNumber('--around')),
      new Option('--lines <n>', 'with --around: so many lines before and after it (default 20)').argParser(wholeNumber('--lines')),
      new Option('--explore', 'with --around: explore every other order in which that could have come'),
      ...limitOptions(),
      new Option('--verbose', 'also list events without a rule, and what no line made the machines do'),
    ],
  ).action(finishing((log: string, flags: TraceFlags) => trace(context, log, flags)));

  top
    .command('passdown')
    .description("find the functions that have to be given the mapping so that no filesystem reads 'page->mapping', and what that changes")
    .argument('<file>', "a call graph (JSON of the format shootdown.call-graph/1), plain or gzip; '-' for standard input")
    .option('--json', 'print one JSON document (shootdown.passdown/1)')
    .addHelpText('after', '\nExit codes: 0 nothing to settle by hand; 1 something; 2 the call or the file was wrong.')
    .action(finishing((file: string, flags: { json?: boolean }) => passdown(context, file, flags)));

  withOptions(
    top
      .command('vmemmap')
      .description('say whether an architecture shares the struct pages of compound pages, why, and what that saves')
      .argument('[architecture]', 'such as x86_64; without, an overview of sizes and architectures'),
    [
      new Option('--base-page <size>', "size of a page: 4K, 64K (default: the architecture's usual one)").argParser(size('--base-page')),
      new Option('--compound <size>', 'what one compound page spans: 2M, 1G (default: 2M)').argParser(size('--compound')),
      new Option('--struct-page <bytes>', 'size of a struct page (default: 64)').argParser(wholeNumber('--struct-page')),
      new Option('--device <size>', 'also say what it saves of a device of this size').argParser(size('--device')),
      new Option('--altmap', "the struct pages are in the device's own memory"),
      new Option('--json', 'print one JSON document (shootdown.vmemmap/1)'),
    ],
  )
    .addHelpText('after', '\nExit codes: 0 an answer, whatever it is; 2 the call was wrong.')
    .action((architecture: string | undefined, flags: VmemmapFlags) => {
      vmemmap(context, architecture, flags);
      done(exitCodes.asExpected);
    });

  withOptions(
    top
      .command('diff')
      .description('compare what the actors of two systems do, row by row of their local transition tables')
      .argument('<a>', 'a variant (scenario/variant), or a module that exports a system')
      .argument('<b>', 'what to compare it with'),
    [
      new Option('--all', 'print every row, not only groups by actor, state and message'),
      new Option('--json', 'print one JSON document (shootdown.diff/1), with every row').conflicts('all'),
      paramOption(),
      ...limitOptions(),
    ],
  )
    .addHelpText('after', '\nExit codes: 0 an answer, whatever it is; 2 the call was wrong; 3 a limit was hit.')
    .action(finishing((a: string, b: string, flags: DiffFlags) => diff(context, a, b, flags)));

  withOptions(
    top.command('safeguards').description('take each safeguard of a scenario out, alone, and say which properties that breaks').argument('<what>', naming),
    [
      new Option('--of <variant>', 'of this variant (default: the first of the scenario that is expected to hold)'),
      new Option('--only <pattern>', 'only these, such as zap.* or cpu.mayFlushRange'),
      new Option('--guards', 'every named guard, not only what the machines call a safeguard'),
      paramOption(),
      ...limitOptions(200_000),
      new Option('--json', 'print one JSON document (shootdown.safeguards/1)'),
    ],
  )
    .addHelpText('after', '\nExit codes: 0 an answer, whatever it is; 2 the call was wrong; 3 a limit was hit.')
    .action(finishing((what: string, flags: SafeguardsFlags) => safeguards(context, what, flags)));

  withOptions(top.command('export').description('write a system as a model for SPIN or TLC').argument('<what>', naming), [
    new Option('--to <language>', `${languages.join(' or ')}`).argParser(language).makeOptionMandatory(),
    new Option('--out <path>', 'write it to this file, or under its usual name in this directory (default: print it)'),
    paramOption(),
    ...limitOptions(),
  ])
    .addHelpText('after', '\nExit codes: 0 it is written; 2 the call was wrong, or the tables are too large; 3 a limit was hit before all states were seen.')
    .action(finishing((what: string, flags: ExportFlags) => exportModel(context, what, flags)));

  return top;
}
