import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseDocument } from 'yaml';
import { call } from './cli/call.js';
import { lockSystem } from './cli/lock.js';
import { readSarif } from './format/sarif-shape.js';

interface Step {
  uses?: string;
  run?: string;
  if?: string;
  with?: Record<string, unknown>;
}
interface Workflow {
  name: string;
  on: string;
  permissions: Record<string, string>;
  jobs: Record<string, { 'runs-on': string; steps: Step[] }>;
}

const page = readFileSync(join(__dirname, '..', 'docs', 'ci.md'), 'utf8');
const fences = [...page.matchAll(/^```(\w+)(?: (\S+))?\n([\s\S]*?)^```$/gm)].map(([, language, name, body = '']) => ({ language, name, body }));
const workflows = fences.flatMap(({ language, body }): Workflow[] => {
  if (language !== 'yaml') return [];
  const document = parseDocument(body, { strict: true, uniqueKeys: true });
  expect([...document.errors, ...document.warnings]).toEqual([]);
  return [document.toJS()];
});
const stepsOf = ({ jobs }: Workflow): Step[] => Object.values(jobs).flatMap(({ steps }) => steps);
const shootdown = 'npx shootdown ';

const directory = mkdtempSync(join(tmpdir(), 'shootdown-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** Runs the steps that are this program's, as a job would. */
async function ran(workflow: Workflow, atomic: boolean): Promise<{ codes: number[]; folder: string }> {
  const folder = mkdtempSync(join(directory, 'job-'));
  for (const { language, name, body } of fences) if (language === 'js' && name) writeFileSync(join(folder, name), body);
  const codes: number[] = [];
  for (const { run = '' } of stepsOf(workflow)) {
    if (!run.startsWith(shootdown)) continue;
    const words = run.slice(shootdown.length).trim().split(/\s+/);
    const { code, err } = await call(words, { cwd: folder, importModule: async () => ({ lock: lockSystem('lock', atomic) }) });
    expect(err).toBe('');
    codes.push(code);
  }
  return { codes, folder };
}

test('the workflows are whole: each step does something, and names the version of what it uses', () => {
  expect(workflows.map(({ name }) => name)).toEqual(['systems', 'tests']);
  for (const workflow of workflows) {
    expect(Object.keys(workflow)).toEqual(['name', 'on', 'permissions', 'jobs']);
    for (const job of Object.values(workflow.jobs)) expect(Object.keys(job)).toEqual(['runs-on', 'steps']);
    const steps = stepsOf(workflow);
    for (const { uses, run } of steps) expect(uses === undefined ? run : uses).toMatch(uses === undefined ? /^np[mx] / : /^[\w-]+(\/[\w-]+)+@v\d+$/);
    // What makes the report may fail; it is uploaded all the same.
    for (const step of steps.slice(steps.findIndex(({ run }) => run !== undefined && run !== 'npm ci') + 1)) expect(step.if).toContain('!cancelled()');
  }
});

test('what a job uploads is what its commands write, whether the systems hold or not', async () => {
  const [systems] = workflows as [Workflow];
  const uploads = stepsOf(systems).flatMap((step) => [step.with?.sarif_file, step.with?.path].filter((file) => typeof file === 'string'));
  expect(uploads).toEqual(['shootdown.sarif', 'shootdown.xml']);
  for (const step of stepsOf(systems)) if (step.with?.sarif_file) expect(step.if).toContain(`hashFiles('${step.with.sarif_file}')`);
  for (const [atomic, code, found] of [
    [true, 0, 0],
    [false, 1, 1],
  ] as const) {
    const { codes, folder } = await ran(systems, atomic);
    expect(codes).toEqual([code]);
    for (const file of uploads) expect(existsSync(join(folder, file))).toBe(true);
    expect(readSarif(readFileSync(join(folder, 'shootdown.sarif'), 'utf8')).results).toHaveLength(found);
  }
});

test('uploading code-scanning results is allowed where it is done, and only there', () => {
  for (const workflow of workflows) {
    const scans = stepsOf(workflow).some(({ uses }) => uses?.startsWith('github/codeql-action/upload-sarif@'));
    expect(workflow.permissions).toEqual({ contents: 'read', ...(scans ? { 'security-events': 'write' } : {}) });
  }
});
