import { closeSync, fstatSync, ftruncateSync, openSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { messageOf, UsageError } from '../system/errors.js';
import { isSystemError, systemMessage } from './failure.js';
import type { Io } from './io.js';

/** A file that is written at the end of a long run, opened at its beginning: that it cannot be written shows before the work, not after. */
export class ReportFile {
  private readonly descriptor: number;

  /** @throws {UsageError} when it cannot be opened. What is in it stays until {@link write}. */
  constructor(
    io: Io,
    private readonly path: string,
  ) {
    this.descriptor = this.trying(() => openSync(resolve(io.cwd, path), 'a'));
  }

  /** Replaces what is in it. @throws {UsageError} when that fails, for instance on a full disk. */
  write(text: string): void {
    this.trying(() => {
      if (fstatSync(this.descriptor).isFile()) ftruncateSync(this.descriptor);
      writeFileSync(this.descriptor, text);
      closeSync(this.descriptor);
    });
  }

  private trying<T>(action: () => T): T {
    try {
      return action();
    } catch (error) {
      throw new UsageError(`cannot write '${this.path}': ${isSystemError(error) ? systemMessage(error) : messageOf(error)}`);
    }
  }
}
