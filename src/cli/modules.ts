import { existsSync, statSync } from 'node:fs';
import { extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { messageOf, UsageError } from '../system/errors.js';
import { isSystem, type System } from '../system/system.js';
import { isCallersToFix } from './failure.js';
import type { Io } from './io.js';

const extensions = ['.js', '.mjs', '.cjs', '.ts', '.mts', '.cts', '.jsx', '.tsx', '.yaml', '.yml'];
const typescript = ['.ts', '.mts', '.cts', '.tsx'];

/** The path of a module or a scenario file, and the system meant of those that it exports (`PATH#ID`; null: all). */
export interface ModulePath {
  path: string;
  wanted: string | null;
}

const isFile = (io: Io, path: string): boolean => existsSync(resolve(io.cwd, path)) && !statSync(resolve(io.cwd, path)).isDirectory();

/** What was said as the path of a module or a scenario file, or null if it is none: it must look like a path, and exist unless it cannot be anything else. */
export function modulePath(io: Io, what: string): ModulePath | null {
  const at = what.indexOf('#');
  const split = at > 0 && !isFile(io, what);
  const path = split ? what.slice(0, at) : what;
  const surely = /^(\.{0,2}\/|[A-Za-z]:\\)/.test(path) || extensions.includes(extname(path));
  if (!surely && !(/[\\/]/.test(path) && existsSync(resolve(io.cwd, path)))) return null;
  return { path, wanted: split ? what.slice(at + 1) : null };
}

/** A system, or an array or record of systems; empty for anything else. */
function systemsIn(value: unknown): System[] {
  if (isSystem(value)) return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).filter(isSystem);
}

async function called(path: string, name: string, make: () => unknown): Promise<System[]> {
  try {
    return systemsIn(await make());
  } catch (error) {
    throw isCallersToFix(error)
      ? new UsageError(`${path}: ${error.message}`)
      : new UsageError(`${path}: its export '${name}' was called for a system and threw: ${messageOf(error)}`);
  }
}

const isMaker = (name: string, value: unknown): value is () => unknown =>
  typeof value === 'function' && (value.length === 0 || name === 'default') && !/^class\b/.test(Function.prototype.toString.call(value));

/** The systems that a module exports: as they are; if there are none, what its functions without parameters return. */
async function exportedSystems(path: string, exported: Record<string, unknown>): Promise<System[]> {
  // What a CommonJS module exports stands under `default`, and some of it beside it once more.
  const inside = exported.default;
  const entries = Object.entries({
    ...(typeof inside === 'object' && inside !== null && !isSystem(inside) ? (inside as Record<string, unknown>) : {}),
    ...exported,
  });
  const plain = new Set(entries.flatMap(([, value]) => systemsIn(value)));
  if (plain.size > 0) return [...plain];
  const makers = new Map(entries.flatMap(([name, value]) => (isMaker(name, value) ? [[value, name] as const] : [])));
  const made: System[] = [];
  for (const [make, name] of makers) made.push(...(await called(path, name, make)));
  return [...new Set(made)];
}

async function importFrom(io: Io, path: string): Promise<Record<string, unknown>> {
  if (!isFile(io, path)) throw new UsageError(existsSync(resolve(io.cwd, path)) ? `'${path}' is a directory, not a module` : `there is no module '${path}'`);
  try {
    return await io.importModule(pathToFileURL(resolve(io.cwd, path)).href);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ERR_UNKNOWN_FILE_EXTENSION' || (typescript.includes(extname(path)) && error instanceof SyntaxError))
      throw new UsageError(
        typescript.includes(extname(path))
          ? `'${path}' is TypeScript, which this Node.js cannot import; compile it, or run with a loader (NODE_OPTIONS='--import tsx')`
          : `'${path}' is no JavaScript module`,
      );
    if (isCallersToFix(error)) throw new UsageError(`${path}: ${error.message}`);
    throw new UsageError(`importing '${path}' failed: ${error instanceof Error ? `${error.name}: ` : ''}${messageOf(error)}`);
  }
}

/**
 * The systems that a module of the user's exports.
 * @throws {UsageError} when it cannot be imported, exports none, or two with one id.
 */
export async function systemsOf(io: Io, path: string): Promise<System[]> {
  const systems = await exportedSystems(path, await importFrom(io, path));
  if (systems.length === 0) throw new UsageError(`'${path}' exports no system (export what defineSystem returns, or a function that returns it)`);
  const ids = systems.map(({ id }) => id);
  const twice = ids.find((id, at) => ids.indexOf(id) !== at);
  if (twice !== undefined) throw new UsageError(`'${path}' exports two systems with the id '${twice}'; give each its own`);
  return systems;
}
