import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { root } from './page.js';

const running: ChildProcess[] = [];

/** Ends what was started. */
export function stopAll(): void {
  for (const each of running.splice(0)) each.kill('SIGINT');
}

/** Runs a program and waits for what it says, or, without that, for its end. */
export function started(args: readonly string[], says: RegExp | null): Promise<string> {
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  running.push(child);
  return new Promise((resolve, reject) => {
    let output = '';
    const hear = (chunk: Buffer): void => {
      output += chunk.toString();
      const found = says?.exec(output);
      if (found) resolve(found[1] ?? found[0]);
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    child.on('exit', (code) => {
      if (code === 0 && says === null) resolve(output);
      else reject(new Error(`${args.join(' ')} ended with ${code}: ${output}`));
    });
  });
}

/** Runs a command that serves the inspector; the page's address. */
export const inspector = (...args: string[]): Promise<string> =>
  started([join(root, 'bin', 'shootdown.js'), ...args, '--no-open'], /(http:\/\/127\.0\.0\.1:\d+\/\?key=\S+)/);
