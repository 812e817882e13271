import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { parseToken, replay } from 'shootdown';
import { serve } from './server.mjs';
import { variant } from './variant.mjs';

/** What a service of this variant answers to some requests. */
async function ask(what, ...paths) {
  const server = serve(variant(what)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const answers = [];
  for (const path of paths) {
    const response = await fetch(`http://127.0.0.1:${server.address().port}${path}`);
    answers.push({ status: response.status, text: await response.text() });
  }
  server.close();
  server.closeAllConnections();
  return answers;
}

const recordsOf = ({ text }) => text.trim().split('\n').map(JSON.parse);

test('a run is the same whenever its seed is, and another for another seed', async () => {
  const [first, again, other] = await ask('percpu-ref/C2', '/runs/1', '/runs/1', '/runs/2');
  assert.equal(first.text, again.text);
  assert.notEqual(first.text, other.text);
});

test('a run ends with its violation, whose token replays to the BUG', async () => {
  const records = recordsOf((await ask('percpu-ref/C2', '/runs/1'))[0]);
  const { kind, property, message, token } = records.at(-1);
  assert.deepEqual([kind, property], ['violation', 'I7']);
  assert.ok(records.slice(0, -1).every((record) => record.kind === 'message'));
  const { live } = replay(variant('percpu-ref/C2'), parseToken(token).schedule);
  assert.ok(live.bugs().some(({ description }) => description === message));
});

test('what holds is never violated', async () => {
  assert.equal((await ask('percpu-ref/C0.tryget', '/violations?runs=20'))[0].text, '');
});

test('any other request is told what to ask', async () => {
  for (const { status } of await ask('percpu-ref/C2', '/', '/runs/x', '/violations?runs=0')) assert.equal(status, 404);
});

test('the command says where it listens', async () => {
  const service = spawn(process.execPath, ['service.mjs', 'percpu-ref/C2', '0'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(service.stdout, 'data');
  const { status } = await fetch(/http:\S+/.exec(String(line))[0]);
  service.kill();
  assert.equal(status, 200);
});
