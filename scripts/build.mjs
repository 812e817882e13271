// Compiles to ES modules and, for `require`, to CommonJS, declarations beside each; and the inspector to one HTML file.
import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { build } from 'vite';

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

await build({ configFile: join(root, 'inspector', 'vite.config.mjs'), logLevel: 'warn' });
renameSync(join(root, 'dist', 'inspector', 'index.html'), join(root, 'dist', 'inspector.html'));
rmSync(join(root, 'dist', 'inspector'), { recursive: true });
