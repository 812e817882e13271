import { createSpinner, type Spinner } from 'nanospinner';
import type { Explorer } from '../explore/explorer.js';
import { thousands } from '../format/text.js';
import type { Io } from './io.js';

const period = 1000;

/**
 * How far a search is, on standard error: a line that is renewed once a second on a terminal, nothing elsewhere.
 * The spinner is turned by hand; its own `start` would take Ctrl-C for itself and end the process.
 */
export class Progress {
  private spinner: Spinner | null = null;
  private told = performance.now();
  private transitions = 0;

  constructor(
    private readonly io: Io,
    private readonly name: string,
    private readonly period_ms = period,
  ) {}

  readonly tell = (explorer: Pick<Explorer, 'states' | 'transitionCount' | 'depth'>): void => {
    const now = performance.now();
    const elapsed = now - this.told;
    if (!this.io.stderrIsTTY || elapsed < this.period_ms) return;
    const rate = Math.round(((explorer.transitionCount - this.transitions) / elapsed) * 1000);
    this.told = now;
    this.transitions = explorer.transitionCount;
    this.spinner ??= createSpinner('', { stream: { write: this.io.stderr, columns: this.io.columns } as unknown as NodeJS.WriteStream });
    const text = `${thousands(explorer.states)} states, ${thousands(rate)} transitions/s, depth ${explorer.depth}: ${this.name}`;
    this.spinner.update({ text: text.slice(0, this.io.columns - 3) }).spin();
  };

  /** Takes the line away. */
  end(): void {
    this.spinner?.stop();
    this.spinner = null;
  }
}
