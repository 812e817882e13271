import type { Readable } from 'node:stream';
/** All that the command line touches of the process around it, so that tests can stand in for it. */
export interface Io {
  stdout: (text: string) => void;
  stderr: (text: string) => void;
  stdin: () => Readable;
  stdoutIsTTY: boolean;
  stderrIsTTY: boolean;
  /** Width of the terminal. */
  columns: number;
  env: Readonly<Record<string, string | undefined>>;
  cwd: string;
  version: string;
  /** Aborted at Ctrl-C, or (with the reason {@link outputLost}) when output cannot be written any more. */
  signal: AbortSignal;
  /** `import()`: kept out of the sources, since it would not survive their compilation to CommonJS. */
  importModule: (url: string) => Promise<Record<string, unknown>>;
  /** Waits until the output is written. @throws what went wrong in writing it, such as ENOSPC. */
  flush?: () => Promise<void>;
}

export const outputLost = 'output lost';

type Stream = NodeJS.WriteStream & { fd: number };

/** The output of a process; what cannot be written is remembered, and interrupts the work. */
class Output {
  private failure: NodeJS.ErrnoException | null = null;
  private gone = false;

  constructor(
    private readonly stream: Stream,
    private readonly interrupt: (reason: string) => void,
  ) {
    stream.on('error', (error) => this.failed(error));
  }

  readonly write = (text: string): void => {
    if (this.gone || this.failure) return;
    try {
      this.stream.write(text);
    } catch (error) {
      this.failed(error as NodeJS.ErrnoException);
    }
  };

  readonly flush = async (): Promise<void> => {
    // The callback comes after all earlier writes, and after their errors.
    if (!this.gone && !this.failure) await new Promise<void>((resolve) => this.stream.write('', () => setImmediate(resolve)));
    if (this.failure) throw this.failure;
  };

  private failed(error: NodeJS.ErrnoException): void {
    // A reader that has seen enough (`| head`) is no error.
    if (error.code === 'EPIPE') this.gone = true;
    else this.failure ??= error;
    this.interrupt(outputLost);
  }
}

const showCursor = '\x1b[?25h';

/** Lets the first Ctrl-C interrupt the work; a second one ends the process. */
function onCtrlC(interrupt: (reason: string) => void): void {
  process.once('SIGINT', () => {
    interrupt('SIGINT');
    process.once('SIGINT', () => {
      if (process.stderr.isTTY) process.stderr.write(showCursor);
      process.exit(130);
    });
  });
}

/** The {@link Io} of this process. */
export function nodeIo(given: Pick<Io, 'importModule' | 'version'>): Io {
  const interruption = new AbortController();
  const interrupt = (reason: string): void => interruption.abort(reason);
  let listening = false;
  const output = new Output(process.stdout as Stream, interrupt);
  process.stderr.on('error', () => {});
  return {
    ...given,
    stdout: output.write,
    stderr: (text) => void process.stderr.write(text),
    stdin: () => process.stdin,
    stdoutIsTTY: process.stdout.isTTY === true,
    stderrIsTTY: process.stderr.isTTY === true,
    // Some terminals say 0.
    columns: process.stdout.columns || 80,
    env: process.env,
    cwd: process.cwd(),
    // Ctrl-C is caught from when somebody looks out for it: until then, while modules are imported, it ends the process at once.
    get signal() {
      if (!listening) onCtrlC(interrupt);
      listening = true;
      return interruption.signal;
    },
    flush: output.flush,
  };
}
