import { closeSync, existsSync, fstatSync, ftruncateSync, openSync, unlinkSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { messageOf, UsageError } from '../system/errors.js';
import { isSystemError, systemMessage } from './failure.js';
import type { Io } from './io.js';

/** A file that is written at the end of a long run, opened at its beginning: that it cannot be written shows before the work, not after. */
export class ReportFile {
  private readonly descriptor: number;
  private readonly whole: string;
  private readonly isNew: boolean;

  /** @throws {UsageError} when it cannot be opened. What is in it stays until {@link write}. */
  constructor(
    io: Io,
    private readonly path: string,
  ) {
    this.whole = resolve(io.cwd, path);
    this.isNew = !existsSync(this.whole);
    this.descriptor = this.trying(() => openSync(this.whole, 'a'));
  }

  /** Replaces what is in it. @throws {UsageError} when that fails, for instance on a full disk. */
  write(text: string): void {
    this.trying(() => {
      if (fstatSync(this.descriptor).isFile()) ftruncateSync(this.descriptor);
      writeFileSync(this.descriptor, text);
      closeSync(this.descriptor);
    });
  }

  /** Leaves everything as it was before it was opened. */
  discard(): void {
    closeSync(this.descriptor);
    if (this.isNew) unlinkSync(this.whole);
  }

  /** Whether both are one file on disk, so that one would replace the other. */
  is(other: ReportFile): boolean {
    const [mine, its] = [fstatSync(this.descriptor), fstatSync(other.descriptor)];
    return mine.isFile() && mine.dev === its.dev && mine.ino === its.ino;
  }

  private trying<T>(action: () => T): T {
    try {
      return action();
    } catch (error) {
      throw new UsageError(`cannot write '${this.path}': ${isSystemError(error) ? systemMessage(error) : messageOf(error)}`);
    }
  }
}
