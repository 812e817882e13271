import { createServer } from 'node:http';
import { run, violations } from './streams.mjs';

const steps = 300;
const most = 1000;

/** The stream that a request asks for, or null. */
function streamFor(system, url) {
  const { pathname, searchParams } = new URL(url, 'http://localhost');
  const seed = /^\/runs\/(\d{1,9})$/.exec(pathname)?.[1];
  if (seed !== undefined) return run(system, Number(seed), steps);
  const runs = Number(searchParams.get('runs') ?? 100);
  return pathname === '/violations' && Number.isInteger(runs) && runs > 0 && runs <= most ? violations(system, runs, steps) : null;
}

/** Serves live runs of a system as lines of JSON: `/runs/SEED` every message of one run, `/violations?runs=N` what N runs violate. */
export const serve = (system) =>
  createServer((request, response) => {
    const records = streamFor(system, request.url);
    if (!records) {
      response.writeHead(404).end('ask for /runs/SEED or /violations?runs=N\n');
      return;
    }
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    const subscription = records.subscribe({
      next: (record) => response.write(`${JSON.stringify(record)}\n`),
      complete: () => response.end(),
      error: (error) => response.destroy(error),
    });
    response.on('close', () => subscription.unsubscribe());
  });
