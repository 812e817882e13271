import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { protocols } from '../../src/protocols/index.js';
import { parseLine } from '../../src/trace/parse.js';
import { type ValidateOptions, type Validation, Validator } from '../../src/trace/validator.js';

const folder = join(__dirname, '../logs');

/** Logs of a stock 6.12.107 kernel in QEMU with 4 CPUs (trace_clock counter). */
export const logs = readdirSync(folder).sort();

export const linesOf = (log: string): string[] =>
  gunzipSync(readFileSync(join(folder, log)))
    .toString('latin1')
    .split('\n');

export function validate(lines: readonly string[], as: readonly string[] = protocols.map(({ id }) => id), options: ValidateOptions = {}): Validation {
  const validator = new Validator(
    protocols.filter(({ id }) => as.includes(id)),
    options,
  );
  for (const [at, text] of lines.entries()) {
    validator.line(parseLine(text, at + 1));
    if (validator.done) break;
  }
  return validator.result();
}
