import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { isToken, parseToken, type Token } from '../schedule/token.js';
import { messageOf, UsageError } from '../system/errors.js';
import { isSystemError, systemMessage } from './failure.js';
import type { Io } from './io.js';

function tokenIn(text: string, path: string): Token {
  if (isToken(text)) return parseToken(text);
  if (!text.startsWith('{'))
    throw new UsageError(`'${path}' holds no schedule: neither a token (it begins with 'sd1:') nor a document of 'show --format json'`);
  let document: { format?: unknown; token?: unknown };
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`'${path}' is not valid JSON: ${messageOf(error)}`);
  }
  if (document.format !== 'shootdown.schedule/1' || typeof document.token !== 'string')
    throw new UsageError(`'${path}' is JSON, but not a document of the format 'shootdown.schedule/1' with a token`);
  return parseToken(document.token);
}

/**
 * The schedule that a token, or a file with one in it (as text, or in a JSON document), stands for.
 * @throws {UsageError} when there is no such file, or no schedule in it. @throws {ScheduleError} for a damaged token.
 */
export function readSchedule(io: Io, tokenOrFile: string): Token {
  if (isToken(tokenOrFile)) return parseToken(tokenOrFile);
  let text: string;
  try {
    text = readFileSync(resolve(io.cwd, tokenOrFile), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT')
      throw new UsageError(`'${tokenOrFile}' is neither a schedule token (it begins with 'sd1:') nor a file`);
    throw new UsageError(`cannot read '${tokenOrFile}': ${isSystemError(error) ? systemMessage(error) : messageOf(error)}`);
  }
  return tokenIn(text.trim(), tokenOrFile);
}
