import { UsageError } from '../system/errors.js';

/** Something that is wrong in a document. */
export interface Problem {
  /** Where: `calls[3].callee`; empty for the document as a whole. */
  path: string;
  message: string;
}

/** So many problems are told in an error's message. */
const told = 10;

const sentence = ({ path, message }: Problem): string => (path === '' ? message : `${path}: ${message}`);

function summary(problems: readonly Problem[]): string {
  if (problems.length === 1) return problems.map(sentence).join();
  const first = problems.slice(0, told).map((problem, at) => `(${at + 1}) ${sentence(problem)}`);
  const more = problems.length - first.length;
  return [...first, ...(more > 0 ? [`and ${more} more`] : [])].join(' ');
}

/** What was given as a call graph is none. Its message tells of the first ten problems in one line. */
export class CallGraphError extends UsageError {
  constructor(
    where: string,
    /** All of them. */
    readonly problems: readonly Problem[],
  ) {
    super(`${where} is no call graph: ${summary(problems)}`);
  }
}

/** Collects what is wrong. */
export class Problems {
  readonly found: Problem[] = [];

  /** `hint` is for what takes long to find out: it is asked for those problems only that are told. */
  add(path: string, message: string, hint: () => string = () => ''): void {
    this.found.push({ path, message: this.found.length < told ? message + hint() : message });
  }
}
