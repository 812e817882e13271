import Table from 'cli-table3';
import { heading } from '../../format/table.js';
import { expectedVerdict, type ParameterSpec, parametersOf, type Scenario } from '../../scenarios/scenario.js';
import type { Context } from '../context.js';

const listDocument = (scenarios: readonly Scenario[]): unknown => ({
  format: 'shootdown.list/1',
  scenarios: scenarios.map((scenario) => ({
    id: scenario.id,
    title: scenario.title,
    question: scenario.question,
    parameters: scenario.parameters,
    variants: scenario.variants.map((variant) => ({
      id: `${scenario.id}/${variant.id}`,
      variant: variant.id,
      row: variant.row,
      summary: variant.summary,
      parameters: parametersOf(scenario, variant),
      fixed: Object.keys(variant.fixed ?? {}),
      least: variant.least ?? {},
      expected: expectedVerdict(variant),
      properties: variant.expected,
      source: variant.source,
    })),
  })),
});

const valuesOf = (spec: ParameterSpec): string => ('values' in spec ? spec.values.join(', ') : `${spec.min} to ${spec.max}`);
const lines = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '',
};

/** The variants of a scenario; summaries and sources wrap within what the first two columns leave of the width. */
function variants(scenario: Scenario, width: number): string {
  const names = Math.max(...scenario.variants.map(({ id }) => id.length));
  const table = new Table({
    chars: lines,
    style: { 'padding-left': 2, 'padding-right': 0 },
    colWidths: [names + 4, 17, Math.max(width - names - 21, 24)],
    wordWrap: true,
  });
  for (const variant of scenario.variants) {
    const parameters = [
      ...Object.entries(variant.fixed ?? {}).map(([name, value]) => `${name}=${value}`),
      ...Object.entries(variant.least ?? {}).map(([name, value]) => `${name}>=${value}`),
    ];
    table.push([
      variant.id,
      expectedVerdict(variant) ?? 'open question',
      `${variant.summary}${parameters.length > 0 ? ` [${parameters.join(', ')}]` : ''} (${variant.source})`,
    ]);
  }
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

/** `list`: every scenario with its question, parameters and variants. */
export function list({ io, scenarios, palette }: Context, { json = false }: { json?: boolean }): void {
  if (json) {
    io.stdout(`${JSON.stringify(listDocument(scenarios), null, 2)}\n`);
    return;
  }
  const blocks = scenarios.map((scenario) => {
    const parameters = Object.entries(scenario.parameters).map(
      ([name, spec]) => `  --param ${name}=${spec.default}: ${spec.description} (${valuesOf(spec)})\n`,
    );
    return `${heading(scenario.id, scenario.question, palette)}\n${parameters.join('')}${variants(scenario, Math.min(io.columns, 160))}\n`;
  });
  io.stdout(blocks.length > 0 ? blocks.join('\n') : 'no scenarios\n');
}
