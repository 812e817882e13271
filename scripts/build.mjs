// Compiles to ES modules and, for `require`, to CommonJS. Declarations stand beside each.
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const root = dirname(dirname(new URL(import.meta.url).pathname));
const tsc = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'bin', 'tsc');
rmSync(join(root, 'dist'), { recursive: true, force: true });
for (const [format, module] of [
  ['esm', 'ESNext'],
  ['cjs', 'CommonJS'],
]) {
  const out = join(root, 'dist', format);
  execFileSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json'), '--module', module, '--outDir', out], { stdio: 'inherit' });
  mkdirSync(out, { recursive: true });
  writeFileSync(join(out, 'package.json'), JSON.stringify({ type: format === 'esm' ? 'module' : 'commonjs' }));
}
