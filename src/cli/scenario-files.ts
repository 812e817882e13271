import { existsSync, readFileSync, statSync } from 'node:fs';
import { extname, resolve } from 'node:path';
import { mostCharacters, readScenarioFile } from '../scenario-file/scenario-file.js';
import type { Case } from '../scenarios/scenario.js';
import { messageOf, UsageError } from '../system/errors.js';
import { isSystemError, systemMessage } from './failure.js';
import type { Io } from './io.js';

export const isScenarioFile = (path: string): boolean => ['.yaml', '.yml'].includes(extname(path));

function textOf(io: Io, path: string): string {
  const file = resolve(io.cwd, path);
  if (!existsSync(file)) throw new UsageError(`there is no file '${path}'`);
  const found = statSync(file);
  if (found.isDirectory()) throw new UsageError(`'${path}' is a directory, not a scenario file`);
  // A character has four bytes at most.
  if (found.size > 4 * mostCharacters) throw new UsageError(`'${path}' has ${found.size} bytes, too many for a scenario file`);
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(`cannot read '${path}': ${isSystemError(error) ? systemMessage(error) : messageOf(error)}`);
  }
}

/**
 * The scenario in a file of the user's.
 * @throws {UsageError} when it cannot be read, and, with line and column, for what is wrong in it.
 */
export const scenarioIn = (io: Io, path: string): Case => readScenarioFile(path, textOf(io, path));
