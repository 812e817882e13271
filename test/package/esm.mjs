import { check, defineSystem } from 'shootdown';
import { addressSpace } from 'shootdown/machines';
import { build, gupUnbindSystem, reference, scenarios } from 'shootdown/scenarios';

const safe = await check(gupUnbindSystem('safe', reference));
if (safe.verdict !== 'holds') throw new Error(`expected holds, got ${safe.verdict}`);
const [scenario] = scenarios;
const broken = await check(
  build(
    scenario,
    scenario.variants.find(({ id }) => id === 'A1'),
  ).system,
);
if (broken.verdict !== 'violated') throw new Error(`expected violated, got ${broken.verdict}`);
if (addressSpace.id !== 'mm' || typeof defineSystem !== 'function') throw new Error('exports are missing');
console.log('ES modules: ok');
