import { type Scenario, scenarios as shipped } from '../scenarios/index.js';
import { contextOf } from './context.js';
import { exitCodes, failureLine, isInternal } from './failure.js';
import type { Io } from './io.js';
import { program } from './program.js';

export { type Io, nodeIo } from './io.js';

/** One line, however many the message has. */
const oneLine = (text: string): string => text.replace(/\s*[\r\n]+\s*/g, ' ').trim();

/**
 * Runs the command line. Whatever goes wrong becomes one line on standard error.
 * @param argv The words after the program's name.
 * @returns The exit code: 0 as expected, 1 not as expected, 2 the call was wrong, 3 inconclusive.
 */
export async function main(argv: readonly string[], io: Io, scenarios: readonly Scenario[] = shipped): Promise<number> {
  const attempt = async (action: () => Promise<void>): Promise<boolean> => {
    try {
      await action();
      return true;
    } catch (error) {
      const line = failureLine(error);
      if (line === null) return true;
      io.stderr(`shootdown: ${oneLine(line)}\n`);
      if (isInternal(error) && io.env.SHOOTDOWN_DEBUG === '1') io.stderr(`${error instanceof Error ? error.stack : String(error)}\n`);
      return false;
    }
  };
  let code: number = exitCodes.asExpected;
  const ran = await attempt(async () => void (await program(contextOf({ io, scenarios }), (given) => (code = given)).parseAsync(argv, { from: 'user' })));
  const written = await attempt(async () => io.flush?.());
  return ran && written ? code : exitCodes.wrongCall;
}
