import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

test('README, docs and the head of src/index.ts say what their examples print', () => {
  execFileSync(process.execPath, [join(__dirname, '..', 'scripts', 'docs.mjs'), '--check'], { stdio: 'pipe' });
});
