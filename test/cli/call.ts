import { Readable } from 'node:stream';
import { type Io, main } from '../../src/cli/main.js';
import type { Scenario } from '../../src/scenarios/scenario.js';
import { lockScenario } from './lock.js';

/** The command line, called within this process: what it printed, and its exit code. */
export interface Called {
  code: number;
  out: string;
  err: string;
}

/** Somewhere to write to. */
export function collected(): { write: (text: string) => void; text: () => string } {
  const parts: string[] = [];
  return { write: (text) => void parts.push(text), text: () => parts.join('') };
}

/** Nothing to read, no terminal. */
export const quiet = {
  stdin: () => Readable.from([]),
  stdoutIsTTY: false,
  stderrIsTTY: false,
  columns: 100,
  env: {},
  cwd: process.cwd(),
  version: '1.2.3',
};

/** Calls it with the lock scenario, no terminal, and whatever else a test wants otherwise. */
export async function call(argv: readonly string[], overrides: Partial<Io> = {}, scenarios: readonly Scenario[] = [lockScenario]): Promise<Called> {
  const [out, err] = [collected(), collected()];
  const io: Io = {
    stdout: out.write,
    stderr: err.write,
    ...quiet,
    signal: new AbortController().signal,
    importModule: async (url) => {
      throw new Error(`no test imports ${url}`);
    },
    ...overrides,
  };
  return { code: await main(argv, io, scenarios), out: out.text(), err: err.text() };
}

/** Times differ from run to run. */
export const timeless = (text: string): string => text.replace(/\d+\.\d\d s/g, '0.00 s');
