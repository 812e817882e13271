import { lastValueFrom, type Observable, takeWhile, tap } from 'rxjs';
import type { TraceLine } from './parse.js';
import type { Protocol } from './protocol.js';
import { type ValidateOptions, type Validation, Validator } from './validator.js';

/** Reads a log against protocols, to its end or to the line that is rejected. @throws what the stream of its lines throws. */
export async function validate(lines: Observable<TraceLine[]>, protocols: readonly Protocol[], options: ValidateOptions = {}): Promise<Validation> {
  const validator = new Validator(protocols, options);
  const reading = lines.pipe(
    tap((batch) => {
      for (const line of batch) validator.line(line);
    }),
    takeWhile(() => !validator.done),
  );
  await lastValueFrom(reading, { defaultValue: null });
  return validator.result();
}
