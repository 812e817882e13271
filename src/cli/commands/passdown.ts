import { resolve } from 'node:path';
import { passdownJson, passdownText, tally } from '../../format/passdown.js';
import { passdownOf } from '../../passdown/passdown-mapping.js';
import { readNumbered } from '../../passdown/read.js';
import type { Context } from '../context.js';
import { exitCodes } from '../failure.js';
import type { Io } from '../io.js';

/** So many characters are written before it is waited for them to be taken. */
const mostAhead = 2 ** 23;

/** Prints what may be far more than can wait in memory for a slow reader. Returns whether it came to the end. */
async function written({ stdout, flush, signal }: Io, pieces: Iterable<string>): Promise<boolean> {
  let ahead = 0;
  for (const piece of pieces) {
    stdout(piece);
    ahead += piece.length;
    if (ahead < mostAhead) continue;
    await flush?.();
    // Ctrl-C, or nobody reads it any more.
    if (signal.aborted) return false;
    ahead = 0;
  }
  return true;
}

/** `passdown`: which functions have to be given the mapping? Returns the exit code: whether something is left to settle by hand. */
export async function passdown({ io, palette }: Context, file: string, { json }: { json?: boolean }): Promise<number> {
  const graph = await readNumbered(file === '-' ? io.stdin() : resolve(io.cwd, file), file === '-' ? 'standard input' : file);
  const result = passdownOf(graph);
  if (json && !(await written(io, passdownJson(file, result)))) return exitCodes.inconclusive;
  if (!json) io.stdout(passdownText(file, result, palette));
  return tally(result.diagnostics).problems === 0 ? exitCodes.asExpected : exitCodes.unexpected;
}
