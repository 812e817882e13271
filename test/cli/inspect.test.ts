import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { builtPage, type InspectFlags, inspect } from '../../src/cli/commands/inspect.js';
import { type RunFlags, run } from '../../src/cli/commands/run.js';
import { type Context, contextOf } from '../../src/cli/context.js';
import { startInspector } from '../../src/inspect/server.js';
import { formatToken } from '../../src/schedule/token.js';
import { type Called, call, collected, quiet } from './call.js';
import { lockScenario } from './lock.js';

const token = 'sd1:lock/broken,rounds=1~f754da1b~AAEAAQ~984f';
const html = '<title>fake</title>';
const page = (): string => html;

/** A command that is served in the background, until it is interrupted. */
interface Served {
  url: string;
  out: () => string;
  opened: string[];
  /** Ctrl-C. */
  interrupt: () => Promise<Called>;
}

/** Starts a command with a fake page and browser, and waits for the address that it prints. */
async function served(command: (context: Context) => Promise<number>, open: (url: string) => unknown = () => {}): Promise<Served> {
  const [out, err] = [collected(), collected()];
  const interruption = new AbortController();
  const opened: string[] = [];
  const running: { code?: Promise<number> } = {};
  const url = await new Promise<string>((resolve, reject) => {
    const io = {
      stdout: (text: string) => {
        out.write(text);
        const [, url] = /^inspector at (.*)\n$/.exec(text) ?? [];
        if (url !== undefined) resolve(url);
      },
      stderr: err.write,
      ...quiet,
      signal: interruption.signal,
      importModule: async (name: string) => {
        expect(name).toBe('open');
        return {
          default: (url: string) => {
            opened.push(url);
            return open(url);
          },
        };
      },
    };
    running.code = command(contextOf({ io, scenarios: [lockScenario] }));
    running.code.catch(reject);
  });
  const interrupt = async (): Promise<Called> => {
    interruption.abort('SIGINT');
    return { code: (await running.code) ?? -1, out: out.text(), err: err.text() };
  };
  return { url, out: out.text, opened, interrupt };
}

const inspecting = (what?: string, flags: Partial<InspectFlags> = {}): Promise<Served> =>
  served((context) => inspect(context, what, { open: false, ...flags }, page));
const hashOf = ({ url }: { url: string }): string => new URL(url).hash;

describe('inspect', () => {
  test('serves the page until Ctrl-C', async () => {
    const { url, opened, interrupt } = await inspecting();
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/\?key=[0-9a-f]{32}$/);
    expect(await (await fetch(url)).text()).toBe(html);
    expect(opened).toEqual([]);
    expect(await interrupt()).toEqual({ code: 0, out: `inspector at ${url}\n`, err: '' });
    await expect(fetch(url)).rejects.toThrow();
  });

  test('opens it in the browser', async () => {
    const { url, opened, interrupt } = await inspecting('lock/safe', { open: true });
    expect(await interrupt()).toMatchObject({ code: 0, err: '' });
    expect(opened).toEqual([url]);
  });

  test('goes on when no browser opens', async () => {
    const failing = (): never => {
      throw new Error('no browser here');
    };
    const { url, interrupt } = await served((context) => inspect(context, undefined, { open: true }, page), failing);
    expect((await fetch(url)).status).toBe(200);
    expect(await interrupt()).toEqual({ code: 0, out: `inspector at ${url}\n`, err: '' });
  });

  test('on the port asked for', async () => {
    const free = await startInspector({ html });
    const port = Number(new URL(free.url).port);
    await expect(inspecting(undefined, { port })).rejects.toThrow(`port ${port} is in use; choose another with --port, or leave it out`);
    await free.close();
    const { url, interrupt } = await inspecting(undefined, { port });
    expect(url).toContain(`:${port}/`);
    await interrupt();
  });

  test.each([
    ['lock', {}, '#lock/safe'],
    ['lock/broken', {}, '#lock/broken'],
    ['lock', { param: { how: 'write' } }, '#lock/broken?how=write'],
    ['lock/broken', { param: { rounds: '02', how: 'write' } }, '#lock/broken?rounds=2&how=write'],
    ['lock/b*', {}, '#lock/broken'],
    [token, {}, `#${token}`],
  ])('%s is shown first', async (what, flags, hash) => {
    const served = await inspecting(what, flags);
    expect(hashOf(served)).toBe(hash);
    expect(await served.interrupt()).toMatchObject({ code: 0, err: '' });
  });

  test('notes that the model has changed since a token was recorded', async () => {
    const old = formatToken({ name: 'lock/broken', parameters: {}, digest: '00000000', schedule: [0, 1] });
    const served = await inspecting(old);
    expect(hashOf(served)).toBe(`#${old}`);
    expect((await served.interrupt()).err).toMatch(/^shootdown: lock\/broken has changed since this schedule was recorded .*\n$/);
  });

  const gone = formatToken({ name: 'lock/gone', parameters: {}, digest: '00000000', schedule: [0] });
  const own = formatToken({ name: './own.mjs', parameters: {}, digest: '00000000', schedule: [0] });
  const onlyShipped = "the page has the shipped scenarios only, not './own.mjs'; a live system of your own is shown by 'shootdown run ./own.mjs --inspect'";
  test.each([
    ['lok', "there is no scenario 'lok'; did you mean 'lock'?"],
    ['lock/brokn', "scenario 'lock' has no variant 'brokn'; did you mean 'broken'?"],
    ['lock/*', "'lock/*' names 2 systems and 'inspect' takes one, such as 'lock/safe'"],
    ['lock --param hw=write', "lock/safe: there is no parameter 'hw'; did you mean 'how'? (the scenario has how, rounds)"],
    ['--param how=write', "option '--param' needs a scenario or a variant"],
    ['--port 0', "option '--port' takes a whole number from 1 to 65535, not '0'"],
    ['--port 65536', "option '--port' takes a whole number from 1 to 65535, not '65536'"],
    ['lock lock', "too many arguments for 'inspect'. Expected 1 argument but got 2."],
    ['sd1:lock/safe~00000000~AA~0000', 'the token is damaged: its check digits do not fit; copy it again'],
    [`${token} --param how=write`, "a token has its parameters inside, so '--param' cannot be combined with one"],
    [gone, "scenario 'lock' has no variant 'gone'"],
    ['./own.mjs', onlyShipped],
    [own, onlyShipped],
    ['lock/safe --no-open', 'the page is not built; run npm run build'],
  ])('%s: 2 and one line', async (words, line) => {
    expect(await call(['inspect', ...words.split(' ')])).toEqual({ code: 2, out: '', err: `shootdown: ${line}\n` });
  });

  test('explains itself', async () => {
    expect((await call(['--help'])).out).toContain('\n  inspect ');
    const { code, out } = await call(['inspect', '--help']);
    expect(code).toBe(0);
    for (const option of ['--port <n>', '--no-open', '--param <name=value>']) expect(out).toContain(`  ${option} `);
  });
});

describe('the built page', () => {
  const directory = mkdtempSync(join(tmpdir(), 'shootdown-'));
  afterAll(() => rmSync(directory, { recursive: true }));

  test('is found from the program, also through the link that a package manager makes to it', () => {
    for (const folder of ['package/bin', 'package/dist', '.bin']) mkdirSync(join(directory, folder), { recursive: true });
    const program = join(directory, 'package/bin/shootdown.js');
    writeFileSync(program, '');
    symlinkSync(program, join(directory, '.bin/shootdown'));
    expect(() => builtPage(program)).toThrow('the page is not built; run npm run build');
    writeFileSync(join(directory, 'package/dist/inspector.html'), html);
    expect(builtPage(program)).toBe(html);
    expect(builtPage(join(directory, '.bin/shootdown'))).toBe(html);
  });
});

describe('run --inspect', () => {
  const running = (what: string, flags: Partial<RunFlags> = {}): Promise<Served> =>
    served((context) => run(context, what, { schedule: 'round-robin', inspect: true, open: false, ...flags }, page));

  interface Frame {
    type: string;
    sessionId?: string;
    choices?: { index: number; label: string }[];
    snapshot?: { status: string; value: unknown };
  }

  /** The page's end: sends commands, and gives the frames up to the next list of choices. */
  async function watching({ url }: Served): Promise<{ frames: () => Promise<Frame[]>; send: (data: unknown) => void }> {
    const { origin, search } = new URL(url);
    const socket = new WebSocket(`${origin.replace('http', 'ws')}/viewer${search}`, { origin });
    const arrived: Frame[] = [];
    let told: (() => void) | null = null;
    socket.on('message', (text) => {
      const { data } = JSON.parse(String(text));
      if (data?.type) arrived.push(data);
      told?.();
    });
    await once(socket, 'open');
    return {
      send: (data) => socket.send(JSON.stringify({ connection: 1, data })),
      frames: async () => {
        const end = (): number => arrived.findIndex(({ type }) => type === 'shootdown.enabled');
        while (end() < 0)
          await new Promise<void>((resolve) => {
            told = resolve;
          });
        return arrived.splice(0, end() + 1);
      },
    };
  }
  const inShort = ({ type, sessionId, snapshot, choices }: Frame): string =>
    [type.replace(/^(@xstate|shootdown)\./, ''), sessionId, snapshot?.value, choices?.map(({ index, label }) => `${index} ${label}`).join(' | ')]
      .filter((part) => part !== undefined)
      .join(' ');
  const take = (choice: unknown): object => ({ type: 'shootdown.take', choice });

  test('shows the system from its start, as its own schedule left it', async () => {
    const served = await running('lock/broken', { steps: 1 });
    expect(served.out()).toContain("=> nothing violated in 1 step\n\nshootdown replay 'sd1:lock/broken");
    const frames = await (await watching(served)).frames();
    expect(frames.map(inShort)).toEqual([
      'actor lock free',
      'actor a read_lock',
      'actor b read_lock',
      'event a',
      'event lock',
      'event a',
      'snapshot a write_lock',
      'enabled 0 a: step | 1 b: step',
    ]);
    const { definition, createdAt, ...actor } = frames[1] as Frame & { definition: string; createdAt: string };
    expect(actor).toEqual({
      type: '@xstate.actor',
      name: 'a',
      snapshot: { status: 'active', value: 'read_lock', context: { lock: 'lock', taken: 0 } },
      sessionId: 'a',
      rootId: 'lock/broken',
      id: '2',
      _version: '1.2.3',
    });
    expect(createdAt).toMatch(/^\d{13}$/);
    expect(Object.keys(JSON.parse(definition).states)).toEqual(['read_lock', 'write_lock', 'critical', 'done']);
    expect(frames[4]).toMatchObject({ type: '@xstate.event', sessionId: 'lock', sourceId: 'a', event: { type: 'read' } });
    expect(frames[3]).not.toHaveProperty('sourceId');
    expect(frames.at(-1)).toHaveProperty('_version', '1.2.3');
    await served.interrupt();
  });

  test('takes the steps that the page commands, and prints all of them at the end', async () => {
    const served = await running('lock/broken', { steps: 1 });
    const { frames, send } = await watching(served);
    await frames();
    send(take(1));
    expect((await frames()).map(inShort)).toEqual(['event b', 'event lock', 'event b', 'snapshot b write_lock', 'enabled 0 a: step | 1 b: step']);
    for (const choice of [0, 1]) {
      send(take(choice));
      await frames();
    }
    const { code, out, err } = await served.interrupt();
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(/\ninspector at http.*\n\nCPU 0 \(a\)/);
    expect(out.endsWith(`=> mutex violated: one path at a time is in the critical section\n\nshootdown replay '${token}'\n`)).toBe(true);
  });

  test('goes on after a violation, and says at the end where it was', async () => {
    const served = await running('lock/broken');
    const { frames, send } = await watching(served);
    await frames();
    send(take(0));
    await frames();
    expect((await served.interrupt()).out).toContain('\n=> after step 4: mutex violated: ');
  });

  test('exits as run does, with what was violated by a commanded step', async () => {
    const surprising = { ...lockScenario, variants: lockScenario.variants.map((variant) => ({ ...variant, expected: { mutex: 'holds' as const } })) };
    const served_ = await served((context) =>
      run({ ...context, scenarios: [surprising] }, 'lock/broken', { schedule: token, steps: 3, inspect: true, open: false }, page),
    );
    const { frames, send } = await watching(served_);
    await frames();
    send(take(1));
    await frames();
    expect((await served_.interrupt()).code).toBe(1);
  });

  test('says so when a step is not possible, and ignores what is no command', async () => {
    const served = await running('lock/safe');
    const { frames, send } = await watching(served);
    expect((await frames()).map(inShort).at(-1)).toBe('enabled ');
    for (const nothing of [null, 'take', {}, { type: 'shootdown.take' }, take('0'), take(0.5), { type: 'other', choice: 0 }]) send(nothing);
    for (const choice of [0, 7, -1]) {
      send(take(choice));
      expect((await frames()).map(inShort)).toEqual(['enabled ']);
    }
    const { code, out, err } = await served.interrupt();
    expect(err).toBe(
      [
        "shootdown: step 6: 'a: step' is not possible, a is in 'done'\n",
        "shootdown: step 6: choice 7 is not one of this system's 2\n",
        "shootdown: step 6: choice -1 is not one of this system's 2\n",
      ].join(''),
    );
    expect(code).toBe(0);
    // Nothing was added, so nothing is printed again.
    expect(out).toMatch(/inspector at http.*\n$/);
  });

  test.each([
    ['--port 4711', "option '--port' needs '--inspect'"],
    ['--no-open', "option '--no-open' needs '--inspect'"],
    ['--inspect --no-open', 'the page is not built; run npm run build'],
  ])('%s: 2 and one line', async (words, line) => {
    expect(await call(['run', 'lock/safe', ...words.split(' ')])).toEqual({ code: 2, out: '', err: `shootdown: ${line}\n` });
  });
});
