// node service.mjs [SCENARIO/VARIANT] [PORT]
import { serve } from './server.mjs';
import { variant } from './variant.mjs';

const [what = 'percpu-ref/C2', port = '8080'] = process.argv.slice(2);
const server = serve(variant(what)).listen(Number(port), '127.0.0.1', () => console.log(`${what}: http://127.0.0.1:${server.address().port}/violations`));
