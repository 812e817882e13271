import { type CallGraph, callGraphFrom } from '../../src/passdown/call-graph.js';
import type { Diagnostic, Passdown } from '../../src/passdown/passdown.js';
import { passdownMapping } from '../../src/passdown/passdown-mapping.js';
import { file, graph, mapping } from './graphs.js';

const of = (given: CallGraph): Passdown => passdownMapping(callGraphFrom(given));
const parameters = (found: Passdown): Record<string, string> => Object.fromEntries(found.parameters.map(({ id, why }) => [id, why]));
const sites = (found: Passdown): (string | null)[] =>
  found.callSites.map(({ caller, callee, slot, argument }) => `${caller} -> ${callee ?? slot}: ${argument}`);
const gaps = (found: Passdown): string[] => found.diagnostics.map(({ gap, kind, function: name, slot, call }) => `${gap} ${kind} ${name ?? slot} ${call}`);
const only = ({ diagnostics }: Passdown): Diagnostic => {
  expect(diagnostics).toHaveLength(1);
  return diagnostics[0] as Diagnostic;
};

test('the mail: up the callers until one has a mapping or a file', () => {
  const found = of(
    graph(
      [{ id: 'top', has: [file()] }, { id: 'middle' }, { id: 'low', uses: true }, { id: 'not_called' }],
      ['top middle', 'middle low', 'middle low', 'top not_called'],
    ),
  );
  expect(parameters(found)).toEqual({ middle: 'calls low', low: 'uses' });
  expect(sites(found)).toEqual(['top -> middle: file->f_mapping', 'middle -> low: mapping', 'middle -> low: mapping']);
  expect(found.callSites.map(({ call, from }) => [call, from])).toEqual([
    [0, 'own parameter'],
    [1, 'new parameter'],
    [2, 'new parameter'],
  ]);
  expect(found.bodies).toEqual([{ id: 'low', at: null, from: 'new parameter', argument: 'mapping', reads: true, accessors: [] }]);
  expect([found.slots, found.roots, found.clashes, found.diagnostics]).toEqual([[], [], [], []]);
});

test('nothing uses it: nothing to do', () => {
  const found = of(graph([{ id: 'a' }, { id: 'b', fs: false, uses: true }], ['b a']));
  expect(found).toEqual({ parameters: [], slots: [], callSites: [], bodies: [], roots: [], clashes: [], diagnostics: [] });
});

test('only bodies of the filesystems are looked into, but callers are converted wherever they are', () => {
  const found = of(
    graph(
      [
        { id: 'fs', uses: true },
        { id: 'mm', fs: false, uses: true },
        { id: 'top', fs: false, has: [mapping()] },
      ],
      ['mm fs', 'top mm'],
    ),
  );
  expect(parameters(found)).toEqual({ fs: 'uses', mm: 'calls fs' });
  expect(found.bodies.map(({ id }) => id)).toEqual(['fs']);
});

test('cycles and self-calls end, and each of their calls is rewritten', () => {
  const found = of(graph([{ id: 'a', uses: true }, { id: 'b' }, { id: 'top', has: [mapping('m')] }], ['a a', 'a b', 'b a', 'top b', 'b b']));
  expect(parameters(found)).toEqual({ a: 'uses', b: 'calls a' });
  expect(sites(found)).toEqual(['a -> a: mapping', 'a -> b: mapping', 'b -> a: mapping', 'top -> b: m', 'b -> b: mapping']);
  expect(found.diagnostics).toEqual([]);
});

test('places: a call is in the file of its caller, unless it says another', () => {
  const given = graph(
    [
      { id: 'a', at: 'fs/a.c:10', uses: true },
      { id: 'b', at: 'fs/b.c:20' },
      { id: 'c', has: [file()] },
    ],
    ['b a', 'c b'],
  );
  const [first, second] = given.calls;
  const found = of({ ...given, calls: [first, { ...first, file: 'fs/b.h', line: 7 }, second] as CallGraph['calls'] });
  expect(found.callSites.map(({ file: where, line }) => `${where}:${line}`)).toEqual(['fs/b.c:1', 'fs/b.h:7', 'null:2']);
});

describe('g1: slots', () => {
  const slots = [{ id: 'ops.read', functions: ['x_read', 'y_read'] }];

  test('all functions and all call sites of a slot change together', () => {
    const found = of(
      graph(
        [{ id: 'x_read', uses: true }, { id: 'y_read' }, { id: 'vfs', has: [file()] }, { id: 'y' }, { id: 'top', has: [mapping()] }],
        ['vfs [ops.read]', 'y y_read', 'top y', 'y [ops.read]'],
        slots,
      ),
    );
    expect(parameters(found)).toEqual({ x_read: 'uses', y_read: 'slot ops.read', y: 'calls ops.read' });
    expect(sites(found)).toEqual(['vfs -> ops.read: file->f_mapping', 'y -> y_read: mapping', 'top -> y: mapping', 'y -> ops.read: mapping']);
    expect(found.slots).toEqual([{ id: 'ops.read', functions: 2, callSites: 2 }]);
    expect(found.diagnostics).toEqual([]);
  });

  test('one slot leads to another by a function that is in both', () => {
    const both = [...slots, { id: 'ops.other', functions: ['y_read', 'z'] }, { id: 'ops.apart', functions: ['apart'] }];
    const found = of(
      graph(
        [{ id: 'x_read', uses: true }, { id: 'y_read' }, { id: 'z' }, { id: 'apart' }, { id: 'vfs', has: [file()] }],
        ['vfs [ops.other]', 'vfs [ops.read]', 'vfs [ops.apart]'],
        both,
      ),
    );
    expect(parameters(found)).toEqual({ x_read: 'uses', y_read: 'slot ops.read', z: 'slot ops.other' });
    expect(found.slots.map(({ id }) => id)).toEqual(['ops.read', 'ops.other']);
    expect(found.callSites.map(({ call }) => call)).toEqual([0, 1]);
  });

  test('a function of it that has a mapping: a clash', () => {
    const found = of(
      graph(
        [
          { id: 'x_read', uses: true },
          { id: 'y_read', has: [file()] },
          { id: 'vfs', has: [file()] },
        ],
        ['vfs [ops.read]'],
        slots,
      ),
    );
    expect(found.clashes).toEqual([{ slot: 'ops.read', changes: true, with: ['y_read'], without: ['x_read'], accessors: [] }]);
    expect(gaps(found)).toEqual(['g1 problem ops.read null']);
    expect(only(found).text).toBe(
      "the functions of slot 'ops.read' have no one type: 'y_read' has a mapping from the start, 'x_read' gets one; give all of them one type by hand, or correct the graph",
    );
    expect(found.slots).toEqual([{ id: 'ops.read', functions: 1, callSites: 1 }]);
  });

  test('also in a slot that does not change, where the graph is wrong', () => {
    const found = of(graph([{ id: 'x_read' }, { id: 'y_read', has: [file()] }], [], slots));
    expect(found.clashes).toEqual([{ slot: 'ops.read', changes: false, with: ['y_read'], without: ['x_read'], accessors: [] }]);
    expect(only(found).text).toContain("'y_read' has a mapping from the start, 'x_read' has none; correct the graph");
  });

  test('an accessor in a slot that changes gets no parameter: a clash', () => {
    const found = of(
      graph(
        [
          { id: 'x_read', uses: true },
          { id: 'y_read', accessor: true },
          { id: 'vfs', has: [file()] },
        ],
        ['vfs [ops.read]'],
        slots,
      ),
    );
    expect(parameters(found)).toEqual({ x_read: 'uses' });
    expect(found.clashes).toEqual([{ slot: 'ops.read', changes: true, with: [], without: ['x_read'], accessors: ['y_read'] }]);
  });

  test('all have a mapping, or none and nobody needs one: no clash', () => {
    expect(
      of(
        graph(
          [
            { id: 'x_read', has: [file()] },
            { id: 'y_read', has: [mapping()] },
          ],
          [],
          slots,
        ),
      ).diagnostics,
    ).toEqual([]);
    expect(of(graph([{ id: 'x_read' }, { id: 'y_read', accessor: true }], [], slots)).diagnostics).toEqual([]);
  });
});

describe('g2: accessors', () => {
  test('who calls one uses the mapping, and the call is replaced', () => {
    const found = of(
      graph(
        [
          { id: 'a', at: 'fs/a.c:5' },
          { id: 'page_mapping', fs: false, uses: true, accessor: true },
          { id: 'top', has: [file()] },
        ],
        ['a page_mapping', 'top a'],
      ),
    );
    expect(parameters(found)).toEqual({ a: 'uses' });
    expect(sites(found)).toEqual(['top -> a: file->f_mapping']);
    expect(found.bodies).toEqual([
      {
        id: 'a',
        at: 'fs/a.c:5',
        from: 'new parameter',
        argument: 'mapping',
        reads: false,
        accessors: [{ call: 0, file: 'fs/a.c', line: 1, accessor: 'page_mapping', argument: 'mapping' }],
      },
    ]);
    expect(only(found)).toEqual({
      gap: 'g2',
      kind: 'information',
      function: 'a',
      slot: null,
      call: 0,
      at: 'fs/a.c:1',
      text: "'a' reads page->mapping only by way of 'page_mapping', where no search of the text finds it; the call is replaced all the same",
    });
  });

  test('an accessor is no start and is not converted; nor is who calls one outside the filesystems', () => {
    const functions = [
      { id: 'folio_mapping', uses: true, accessor: true },
      { id: 'page_mapping', uses: true, accessor: true },
      { id: 'mm', fs: false },
    ];
    expect(of(graph(functions, ['page_mapping folio_mapping', 'mm page_mapping'])).parameters).toEqual([]);
  });

  test('with a read of its own too it is found by any search: nothing to say', () => {
    const found = of(
      graph(
        [
          { id: 'a', uses: true },
          { id: 'accessor', accessor: true },
          { id: 'top', has: [file()] },
        ],
        ['a accessor', 'top a'],
      ),
    );
    expect(found.diagnostics).toEqual([]);
    expect(found.bodies[0]?.accessors).toHaveLength(1);
  });

  test('a function outside that reads it and is called from the filesystems may be one: told once', () => {
    const functions = [{ id: 'a' }, { id: 'b' }, { id: 'mm', fs: false, at: 'mm/mm.c:3' }, { id: 'helper', fs: false, uses: true, at: 'mm/util.c:9' }];
    const found = of(graph(functions, ['mm helper', 'a helper', 'b helper', 'b helper']));
    expect(found.parameters).toEqual([]);
    expect(gaps(found)).toEqual(['g2 problem helper 1']);
    expect(only(found)).toMatchObject({
      at: 'mm/util.c:9',
      text: expect.stringContaining("'helper' is outside the filesystems, reads page->mapping and is called from them (a, line 2, and 2 more); mark it"),
    });
  });

  test('not if somebody has looked', () => {
    const helper = (marks: object): Passdown => of(graph([{ id: 'a' }, { id: 'helper', fs: false, uses: true, ...marks }], ['a helper']));
    expect(gaps(helper({}))).toEqual(['g2 problem helper 0']);
    expect(helper({ accessor: false }).diagnostics).toEqual([]);
    expect(helper({ accessor: false }).bodies).toEqual([]);
  });

  test('not if only accessors call it, or nobody of the filesystems', () => {
    const functions = [
      { id: 'get', accessor: true },
      { id: 'mm', fs: false },
      { id: 'helper', fs: false, uses: true },
    ];
    expect(of(graph(functions, ['get helper', 'mm helper'])).diagnostics).toEqual([]);
  });

  test('one that calls a function which gets the parameter has none to pass', () => {
    const found = of(
      graph(
        [
          { id: 'a', uses: true },
          { id: 'get', accessor: true },
          { id: 'top', has: [file()] },
        ],
        ['get a', 'top a'],
      ),
    );
    expect(found.callSites[0]).toMatchObject({ caller: 'get', argument: null, from: null });
    expect(gaps(found)).toEqual(['g2 problem get 0']);
    expect(only(found).text).toContain("'get' is marked as an accessor, which gets no parameter, and has no mapping for the call of 'a'");
  });
});

describe('g3: bodies that the pseudo code skips', () => {
  test('of a function that has a mapping already', () => {
    const found = of(graph([{ id: 'read', at: 'fs/a.c:5', uses: true, has: [file('filp')] }], []));
    expect([found.parameters, found.callSites]).toEqual([[], []]);
    expect(found.bodies).toEqual([{ id: 'read', at: 'fs/a.c:5', from: 'own parameter', argument: 'filp->f_mapping', reads: true, accessors: [] }]);
    expect(gaps(found)).toEqual(['g3 problem read null']);
    expect(only(found)).toMatchObject({
      at: 'fs/a.c:5',
      text: "'read' has a mapping already ('filp') and reads page->mapping all the same, which the pseudo code skips; change its body by hand to filp->f_mapping",
    });
  });

  test('also where it only calls an accessor', () => {
    const found = of(
      graph(
        [
          { id: 'read', has: [mapping()] },
          { id: 'get', accessor: true },
        ],
        ['read get'],
      ),
    );
    expect(found.bodies[0]?.accessors[0]?.argument).toBe('mapping');
    expect(gaps(found)).toEqual(['g2 information read 0', 'g3 problem read null']);
  });
});

describe("g4: which mapping is the page's", () => {
  const low = { id: 'low', uses: true };

  test('several in scope and the call does not say which', () => {
    const found = of(graph([low, { id: 'splice', at: 'fs/splice.c:9', has: [file('in'), file('out')] }], ['splice low', 'splice low out']));
    expect(sites(found)).toEqual(['splice -> low: null', 'splice -> low: out->f_mapping']);
    expect(gaps(found)).toEqual(['g4 problem splice 0']);
    expect(only(found)).toMatchObject({
      at: 'fs/splice.c:1',
      text: "'splice' has several mappings in scope ('in', 'out'), and the call of 'low' does not say which is that of the page; name it in the call's 'mapping'",
    });
  });

  test('one that is known to be another leaves the rest', () => {
    const found = of(graph([low, { id: 'splice', has: [{ ...file('in'), other: true }, mapping('to')] }], ['splice low']));
    expect(sites(found)).toEqual(['splice -> low: to']);
    expect(found.diagnostics).toEqual([]);
  });

  test('the only one in scope is known to be another', () => {
    const found = of(graph([low, { id: 'splice', has: [{ ...file('in'), other: true }] }], ['splice low', 'splice low in']));
    expect(sites(found)).toEqual(['splice -> low: null', 'splice -> low: in->f_mapping']);
    expect(gaps(found)).toEqual(['g4 problem splice 0']);
    expect(only(found).text).toContain("has 'in' in scope, known not to be the mapping of the page, and the call of 'low' needs that one");
  });

  test('a body does not say which either; a call of an accessor may', () => {
    const two = [file('in'), file('out')];
    const found = of(
      graph(
        [
          { id: 'reads', uses: true, has: two },
          { id: 'asks', has: two },
          { id: 'get', accessor: true },
        ],
        ['asks get out', 'asks get', 'reads get in'],
      ),
    );
    expect(found.bodies.map(({ id, argument, accessors }) => [id, argument, accessors.map((site) => site.argument)])).toEqual([
      ['reads', null, ['in->f_mapping']],
      ['asks', null, ['out->f_mapping', null]],
    ]);
    expect(gaps(found).filter((text) => text.startsWith('g4'))).toEqual(['g4 problem reads null', 'g4 problem asks 1']);
  });

  test('through a slot', () => {
    const found = of(graph([low, { id: 'vfs', has: [file('in'), file('out')] }], ['vfs [ops.low]'], [{ id: 'ops.low', functions: ['low'] }]));
    expect(only(found)).toMatchObject({ gap: 'g4', function: 'vfs', slot: 'ops.low', call: 0, text: expect.stringContaining("the call through 'ops.low'") });
  });
});

describe('g5: roots without a source', () => {
  test('no call site at all', () => {
    const found = of(graph([{ id: 'a', at: 'fs/a.c:5', uses: true }, { id: 'top' }], ['top a']));
    expect(found.roots).toEqual([{ id: 'top', at: null, slots: [], circle: [] }]);
    expect(gaps(found)).toEqual(['g5 problem top null']);
    expect(only(found).text).toBe(
      "'top' gets the parameter, and nobody has a mapping to pass: nothing calls it; add the calls that the graph lacks, or find a source by hand",
    );
  });

  test('only through a slot that has none', () => {
    const slots = [{ id: 'ops.a', functions: ['a'] }];
    const found = of(graph([{ id: 'a', uses: true }], [], slots));
    expect(found.roots).toEqual([{ id: 'a', at: null, slots: ['ops.a'], circle: [] }]);
    expect(only(found).text).toContain("nothing is called through slot 'ops.a', and nothing calls it otherwise");
    expect(
      of(
        graph(
          [
            { id: 'a', uses: true },
            { id: 'vfs', has: [file()] },
          ],
          ['vfs [ops.a]'],
          slots,
        ),
      ).roots,
    ).toEqual([]);
    expect(
      of(
        graph(
          [
            { id: 'a', uses: true },
            { id: 'vfs', has: [file()] },
          ],
          ['vfs a'],
          slots,
        ),
      ).roots,
    ).toEqual([]);
  });

  test('a circle that nothing else calls, but not what it calls', () => {
    const functions = [{ id: 'low', uses: true }, { id: 'b' }, { id: 'a' }];
    const found = of(graph(functions, ['a b', 'b a', 'b low']));
    expect(found.roots).toEqual([{ id: 'b', at: null, slots: [], circle: ['b', 'a'] }]);
    expect(only(found).text).toContain("'b', 'a' get the parameter, and nobody has a mapping to pass: they call each other, and nothing else calls them");
    expect(of(graph([...functions, { id: 'top', has: [file()] }], ['a b', 'b a', 'b low', 'top a'])).roots).toEqual([]);
  });

  test('a function that only itself calls, and one that it calls through its slot', () => {
    expect(only(of(graph([{ id: 'a', uses: true }], ['a a']))).text).toContain('nothing but itself calls it');
    const found = of(graph([{ id: 'a', uses: true }, { id: 'b' }], ['b [ops.a]', 'a b'], [{ id: 'ops.a', functions: ['a'] }]));
    expect(found.roots).toEqual([{ id: 'a', at: null, slots: [], circle: ['a', 'b'] }]);
  });
});

describe('g6: stacked filesystems', () => {
  const upper = { id: 'upper', at: 'fs/upper.c:3', has: [{ ...file(), stacked: true }] };

  test('the argument comes from the file above', () => {
    const found = of(graph([{ id: 'low', uses: true }, upper], ['upper low']));
    expect(sites(found)).toEqual(['upper -> low: file->f_mapping']);
    expect(gaps(found)).toEqual(['g6 problem upper 0']);
    expect(only(found)).toMatchObject({
      at: 'fs/upper.c:1',
      text: "the call of 'low' in 'upper' takes the mapping of 'file', a stacked filesystem's, whose pages belong to the file below; take that one's by hand",
    });
  });

  test('in a body too; not if another is named', () => {
    expect(gaps(of(graph([{ ...upper, uses: true }], [])))).toEqual(['g3 problem upper null', 'g6 problem upper null']);
    const both = { ...upper, has: [...upper.has, file('below')] };
    expect(of(graph([{ id: 'low', uses: true }, both], ['upper low below'])).diagnostics).toEqual([]);
  });
});

test('what callGraphFrom would refuse is no wrong result: names that are unknown are told of', () => {
  const checks = "('callGraphFrom' checks all of a call graph)";
  expect(() => passdownMapping(graph([{ id: 'a', uses: true }], ['a a', 'a b']))).toThrow(`a call calls none of the functions and slots ${checks}`);
  expect(() => passdownMapping(graph([{ id: 'a' }], ['b a']))).toThrow(`calls[0] has a caller that is none of the functions ${checks}`);
  expect(() => passdownMapping(graph([{ id: 'a' }], [], [{ id: 's', functions: ['b'] }]))).toThrow(
    `a slot has a function 'b', which is none of them ${checks}`,
  );
});
