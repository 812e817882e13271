import { check } from '../../src/check/check.js';
import { junit } from '../../src/format/junit.js';
import { build, type Variant } from '../../src/scenarios/scenario.js';
import { lockScenario, lockSystem } from '../cli/lock.js';
import { drawn } from './drawn.js';

const [safe, broken] = lockScenario.variants as [Variant, Variant];
const timeless = (text: string): string => text.replace(/time="[\d.]+"/g, 'time="0"');

/** Reads XML as strictly as a test needs: tags must match, and `<`, `&` and forbidden characters must not stand in texts. Returns the attributes by tag. */
function parsed(xml: string): { tag: string; attributes: Record<string, string>; text: string }[] {
  const found: ReturnType<typeof parsed> = [];
  const open: (typeof found)[number][] = [];
  const [, body = ''] = /^<\?xml version="1\.0" encoding="UTF-8"\?>\n(.*)\n$/s.exec(xml) ?? [];
  for (const [, text = '', closing, tag = '', attributes = '', empty] of body.matchAll(/([^<]*)<(\/?)([a-z]+)((?: [a-z]+="[^"<]*")*)(\/?)>/g)) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that none is left is what is tested
    expect(text).not.toMatch(/&(?!amp;|lt;|gt;|#13;)|[\u0000-\u0008\u000b-\u001f\ufffe\uffff]/);
    if (open.length > 0) (open.at(-1) as (typeof found)[number]).text += text;
    if (closing) expect(open.pop()?.tag).toBe(tag);
    else {
      found.push({ tag, attributes: Object.fromEntries([...attributes.matchAll(/([a-z]+)="([^"]*)"/g)].map(([, name, value]) => [name, value])), text: '' });
      if (!empty) open.push(found.at(-1) as (typeof found)[number]);
    }
  }
  expect(open).toEqual([]);
  return found;
}

test('a suite per scenario, a case per variant: passed, failed with its diagram, skipped when inconclusive', async () => {
  const scenario = { ...lockScenario, variants: [safe, { ...broken, expected: { mutex: 'holds' as const } }] };
  const results = [];
  for (const variant of scenario.variants) {
    const found = build(scenario, variant);
    results.push(await check({ id: found.id, system: found.system, case: found }));
  }
  const own = { id: './lock.mjs#<one>', system: lockSystem('<one>', true), case: null };
  results.push(await check(own, { maxStates: 3 }));
  const xml = junit(results);
  expect(timeless(xml)).toBe(
    `${drawn(`
      <?xml version="1.0" encoding="UTF-8"?>
      <testsuites name="shootdown" tests="3" failures="1" errors="0" skipped="1" time="0">
        <testsuite name="lock" tests="2" failures="1" errors="0" skipped="0" time="0">
          <testcase name="safe" classname="shootdown.lock" time="0"/>
          <testcase name="broken" classname="shootdown.lock" time="0">
            <failure message="violated, expected: holds (mutex)" type="violated">CPU 0 (a)                              CPU 1 (b)
      -----------------------------------    -----------------------------------
      read_lock: word 0
                                             read_lock: word 0
      write_lock
                                             write_lock
      =&gt; mutex violated: one path at a time is in the critical section

      shootdown replay 'sd1:lock/broken,rounds=1~f754da1b~AAEAAQ~984f'
            </failure>
          </testcase>
        </testsuite>
        <testsuite name="./lock.mjs" tests="1" failures="0" errors="0" skipped="1" time="0">
          <testcase name="./lock.mjs#&lt;one&gt;" classname="shootdown../lock.mjs" time="0">
            <skipped message="inconclusive: 3 states"/>
          </testcase>
        </testsuite>
      </testsuites>`)}\n`,
  );
  expect(parsed(xml).map(({ tag }) => tag)).toEqual(['testsuites', 'testsuite', 'testcase', 'testcase', 'failure', 'testsuite', 'testcase', 'skipped']);
});

test('what XML cannot hold is escaped or replaced', async () => {
  const system = lockSystem('bad', false);
  const description = 'a < b && "c" > \u0000 \u001b[31m \ud800 \u{1f600} ]]>\r\nend';
  const nasty = {
    ...system,
    properties: system.properties.map((property) => (property.name === 'mutex' ? { ...property, name: 'm<"&\n\u0007>', description } : property)),
  };
  const xml = junit([await check({ id: 'x "y" <z> & \u0001', system: nasty, case: null })]);
  const elements = parsed(xml);
  expect(elements.find(({ tag }) => tag === 'testcase')?.attributes.name).toBe('x &quot;y&quot; &lt;z&gt; &amp; \ufffd');
  expect(elements.find(({ tag }) => tag === 'failure')?.attributes.message).toBe('violated, expected: holds (m&lt;&quot;&amp;&#10;\ufffd&gt;)');
  const { text = '' } = elements.find(({ tag }) => tag === 'failure') ?? {};
  for (const part of ['a &lt; b &amp;&amp; "c" &gt; \ufffd \ufffd[31m \ufffd \u{1f600} ]]&gt; end']) expect(text.replace(/\s+/g, ' ')).toContain(part);
});

test('no results are a valid document', () => {
  expect(parsed(junit([]))).toHaveLength(1);
});
