#!/usr/bin/env node
import { existsSync, readFileSync } from 'node:fs';

const built = new URL('../dist/esm/src/cli/main.js', import.meta.url);
if (existsSync(built)) {
  const { main, nodeIo } = await import(built.href);
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  process.exitCode = await main(process.argv.slice(2), nodeIo({ version, importModule: (url) => import(url) }));
} else {
  console.error("shootdown: not built yet; run 'npm run build'");
  process.exitCode = 2;
}
// Not to be kept waiting by what a user's module left open. The output is written by now.
process.exit();
