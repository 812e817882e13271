/** Something that the caller has to put right. Its message is one line: what was wrong, where, and what to do. */
export class ShootdownError extends Error {
  override name = 'ShootdownError';
}

/** The call was wrong: an unknown name, a bad value, a file that cannot be read or written. */
export class UsageError extends ShootdownError {
  override name = 'UsageError';
}

/** A system that cannot be run or explored faithfully: impure, endless, or sending to nobody. */
export class ModelError extends ShootdownError {
  override name = 'ModelError';
}

/** A token or schedule that is malformed, from another model, or does not fit the model as it is now. */
export class ScheduleError extends ShootdownError {
  override name = 'ScheduleError';
  constructor(
    message: string,
    /** The step (counted from 1) at which the schedule stops fitting; null when it cannot be read at all. */
    readonly step: number | null = null,
  ) {
    super(message);
  }
}

/** Explorer and live run disagree: a defect of this program, never of the model. */
export class InternalError extends Error {
  override name = 'InternalError';
}

/** What was thrown, in one line. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error)).split('\n').join(' ');
