import type { CheckResult } from '../check/check.js';
import { junit } from '../format/junit.js';
import { type SarifOptions, sarif } from '../format/sarif.js';
import { messageOf, UsageError } from '../system/errors.js';
import type { Io } from './io.js';
import { ReportFile } from './report-file.js';
import type { Target } from './resolve.js';

/** The files in which a run is reported, by option. */
export interface ReportFlags {
  junit?: string;
  sarif?: string;
}

/** @param incomplete Why not everything was checked, if so. */
type Writer = (results: readonly CheckResult[], incomplete: readonly string[]) => string;

interface Report {
  file: ReportFile;
  text: Writer;
}

async function sarifWriter(io: Io, targets: readonly Target[]): Promise<Writer> {
  // Brings a parser, which no other run needs.
  const { SourcePlaces } = await import('./places.js');
  const options: SarifOptions = { version: io.version, places: new SourcePlaces(io, targets) };
  return (results, incomplete) => sarif(results, { ...options, incomplete });
}

/** The reports of a run: opened before the work, written after it. */
export class Reports {
  private constructor(private readonly all: readonly Report[]) {}

  /** @throws {UsageError} when one cannot be opened, or two are one file; then none was touched. */
  static async open(io: Io, { junit: xml, sarif: log }: ReportFlags, targets: readonly Target[]): Promise<Reports> {
    const all: Report[] = [];
    try {
      if (xml !== undefined) all.push({ file: new ReportFile(io, xml), text: (results) => junit(results) });
      if (log !== undefined) all.push({ text: await sarifWriter(io, targets), file: new ReportFile(io, log) });
      const [one, other] = all;
      if (one && other?.file.is(one.file)) throw new UsageError(`options '--junit' and '--sarif' name one file, '${log}'; give each its own`);
    } catch (error) {
      // Of one file the first to be opened knows whether it is new.
      for (const { file } of all) file.discard();
      throw error;
    }
    return new Reports(all);
  }

  /** Writes each, whatever becomes of the others. @throws {UsageError} when one could not be written. */
  write(results: readonly CheckResult[], incomplete: readonly string[]): void {
    const failures: unknown[] = [];
    for (const { file, text } of this.all)
      try {
        file.write(text(results, incomplete));
      } catch (error) {
        failures.push(error);
      }
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1) throw new UsageError(failures.map(messageOf).join('; '));
  }
}
