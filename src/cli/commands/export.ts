import { statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { Explorer, finish } from '../../explore/explorer.js';
import { moduleName } from '../../export/names.js';
import { sizes } from '../../export/notes.js';
import { promela } from '../../export/promela.js';
import { searchable, type Tables, tablesOf } from '../../export/tables.js';
import { tla } from '../../export/tla.js';
import { count } from '../../format/text.js';
import { UsageError } from '../../system/errors.js';
import { didYouMean } from '../../system/nearest.js';
import type { Context } from '../context.js';
import { exitCodes } from '../failure.js';
import type { Io } from '../io.js';
import type { Given, LimitOptions } from '../options.js';
import { Progress } from '../progress.js';
import { ReportFile } from '../report-file.js';
import { resolveOne, type Target } from '../resolve.js';
import { limitsOf } from './check.js';

export const languages = ['promela', 'tla'] as const;
export type Language = (typeof languages)[number];

/** Parser of `--to`. */
export function language(text: string): Language {
  if (!(languages as readonly string[]).includes(text))
    throw new UsageError(`there is no language '${text}'${didYouMean(text, languages)} (the languages are ${languages.join(', ')})`);
  return text as Language;
}

export interface ExportFlags extends LimitOptions {
  to: Language;
  out?: string;
  param?: Given;
}

/** Where the model goes: its files by their paths as given, and the name of the module. */
interface Place {
  module: string;
  paths: string[];
}

function isDirectory(io: Io, path: string): boolean {
  try {
    return statSync(resolve(io.cwd, path)).isDirectory();
  } catch {
    return false;
  }
}

/** A module of TLA+ is called as its file is. */
function placeOf(io: Io, { to, out }: ExportFlags, system: string): Place {
  const usual = moduleName(system);
  if (out === undefined) return { module: usual, paths: [] };
  if (to === 'promela') return { module: usual, paths: [isDirectory(io, out) ? join(out, `${usual}.pml`) : out] };
  const file = isDirectory(io, out) ? join(out, `${usual}.tla`) : out;
  const module = basename(file, '.tla');
  if (!file.endsWith('.tla') || moduleName(module) !== module)
    throw new UsageError(`'${out}' is neither a directory nor a name for a module of TLA+, such as '${join(dirname(file), `${usual}.tla`)}'`);
  return { module, paths: [file, join(dirname(file), `${module}.cfg`)] };
}

/** Searches to the end, with progress and Ctrl-C. */
async function searched({ io }: Context, { subject }: Target, flags: ExportFlags): Promise<Explorer> {
  const explorer = new Explorer(searchable(subject.system), { ...limitsOf(flags), stop: () => false });
  const progress = new Progress(io, subject.id);
  await finish(explorer, { signal: io.signal, progress: progress.tell }).finally(() => progress.end());
  return explorer;
}

function texts(tables: Tables, { to }: ExportFlags, { module }: Place): string[] {
  if (to === 'promela') return [promela(tables)];
  const model = tla(tables, module);
  return [model.module, model.config];
}

/** What stands after the end of a module, tools do not read. */
const together = ([model, config]: readonly string[], { module }: Place): string =>
  config === undefined ? `${model}` : `${model}\n${module}.cfg:\n\n${config}`;

/** The tables; null where not all states were seen. */
async function explored(context: Context, target: Target, flags: ExportFlags): Promise<Tables | null> {
  const explorer = await searched(context, target, flags);
  const { exhausted, limit, states } = explorer.result();
  if (exhausted) return tablesOf(explorer, target.subject.system);
  context.note(
    `${target.subject.id} is not exported, since not all of its states were seen: ${count(states, 'state')}, ${limit === 'interrupted' ? '' : 'limit: '}${limit}`,
  );
  return null;
}

/** `export`: a system as a model for another checker. Returns the exit code: inconclusive if a limit was hit before all states were seen. */
export async function exportModel(context: Context, what: string, flags: ExportFlags): Promise<number> {
  const { io } = context;
  const target = await resolveOne(context, what, flags.param ?? {}, 'export');
  const place = placeOf(io, flags, target.subject.system.id);
  const files: ReportFile[] = [];
  let tables: Tables | null = null;
  try {
    for (const path of place.paths) files.push(new ReportFile(io, path));
    tables = await explored(context, target, flags);
  } finally {
    if (!tables) for (const file of files) file.discard();
  }
  if (!tables) return exitCodes.inconclusive;
  const models = texts(tables, flags, place);
  for (const [index, file] of files.entries()) file.write(models[index] as string);
  io.stdout(files.length > 0 ? `${place.paths.join(' and ')}: ${target.subject.id}, ${sizes(tables)}\n` : together(models, place));
  return exitCodes.asExpected;
}
