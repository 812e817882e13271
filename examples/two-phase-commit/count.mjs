import { check } from 'shootdown';
import { twoPhaseCommit } from './two-phase-commit.mjs';

console.log('resource managers   states   depth   verdict');
for (const count of [3, 5, 6]) {
  const { verdict, exploration } = await check(twoPhaseCommit(`${count}-rms`, count));
  console.log(`${String(count).padStart(17)}   ${String(exploration.states).padStart(6)}   ${String(exploration.depth).padStart(5)}   ${verdict}`);
}
