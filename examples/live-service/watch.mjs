// node watch.mjs SCENARIO/VARIANT RUNS: prints the violations of so many live runs, a line of JSON each.
import { count, tap } from 'rxjs';
import { violations } from './streams.mjs';
import { variant } from './variant.mjs';

const [what, runs] = process.argv.slice(2);
violations(variant(what), Number(runs), 300)
  .pipe(
    tap((violation) => console.log(JSON.stringify(violation))),
    count(),
  )
  .subscribe((found) => console.log(`${runs} runs of ${what}: ${found} violated`));
