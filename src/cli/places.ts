import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { AnyStateNode } from 'xstate';
import type { Subject } from '../check/check.js';
import type { Place, Places } from '../format/sarif.js';
import type { Io } from './io.js';
import type { Target } from './resolve.js';
import { Sources } from './sources.js';

const project = '%SRCROOT%';
const shipped = 'SHOOTDOWN';
const firstLine = { startLine: 1, startColumn: 1 };
const ownName = ({ case: found, system }: Subject): string => encodeURIComponent(found?.scenario.id ?? system.id);
const isFile = (path: string): boolean => existsSync(path) && statSync(path).isFile();

/** The folder that addresses are relative to: the repository's, else the one that the program runs in. */
function rootOf(cwd: string): string {
  for (let folder = cwd; ; folder = dirname(folder)) {
    if (existsSync(join(folder, '.git'))) return folder;
    if (dirname(folder) === folder) return cwd;
  }
}

/** Where the shipped machines are written, if the folder is a checkout of this project; the package has them compiled only. */
function shippedMachines(root: string): string | null {
  const [description, machines] = [join(root, 'package.json'), join(root, 'machines', 'index.ts')];
  return isFile(description) && isFile(machines) && /^\s*"name": "shootdown",$/m.test(readFileSync(description, 'utf8')) ? machines : null;
}

/** An address relative to a folder; null for a file that is not in it. */
function within(folder: string, file: string): string | null {
  const path = relative(folder, file);
  if (path === '..' || path.startsWith(`..${sep}`) || isAbsolute(path)) return null;
  return path.split(sep).map(encodeURIComponent).join('/');
}

/**
 * Where the machines of some targets are written: of a module, in it and what it imports; of a shipped scenario, in a checkout of this
 * project, and elsewhere only which of its files states the scenario.
 */
export class SourcePlaces implements Places {
  readonly bases: Places['bases'];
  private readonly root: string;
  private readonly files: ReadonlyMap<Subject, string>;
  private readonly machines: string | null;
  private readonly sources = new Map<string, Sources>();

  constructor({ cwd }: Pick<Io, 'cwd'>, targets: readonly Target[]) {
    this.root = rootOf(realpathSync(cwd));
    this.machines = shippedMachines(this.root);
    // What is listed under a file's path; no scenario's id looks like one.
    const fromFiles = targets.filter(({ subject, group }) => !subject.case || /[./\\]/.test(group));
    this.files = new Map(fromFiles.map(({ subject, group }) => [subject, resolve(cwd, group)] as const).filter(([, file]) => isFile(file)));
    const uri = pathToFileURL(this.root).href;
    this.bases = {
      [project]: { uri: uri.endsWith('/') ? uri : `${uri}/`, description: { text: 'the root of the project that is checked' } },
      [shipped]: { description: { text: "the root of Shootdown's own sources" } },
    };
  }

  placeOf(subject: Subject, node: AnyStateNode | null): Place {
    const given = this.files.get(subject);
    // A file that is a link to another is the other: whoever shows it does not follow links.
    const file = given === undefined ? this.machines : realpathSync(given);
    const found = file !== null && node && this.sourcesOf(file).placeOf(node);
    if (found) {
      const { line, column, end } = found;
      return { ...this.addressOf(realpathSync(found.file)), region: { startLine: line, startColumn: column, endLine: line, endColumn: end } };
    }
    if (given !== undefined && file !== null) return { ...this.addressOf(file), region: firstLine };
    return { uri: `src/scenarios/${ownName(subject)}.ts`, base: this.machines === null ? shipped : project, region: firstLine };
  }

  private addressOf(file: string): Pick<Place, 'uri' | 'base'> {
    const uri = within(this.root, file);
    return uri === null ? { uri: pathToFileURL(file).href, base: null } : { uri, base: project };
  }

  private sourcesOf(file: string): Sources {
    const known = this.sources.get(file) ?? new Sources(file);
    this.sources.set(file, known);
    return known;
  }
}
