// Bundles a program for the browser: node bundle.mjs FOLDER, from FOLDER/app.js to FOLDER/bundle.js.
import { join } from 'node:path';
import { build } from 'vite';

const [, , folder] = process.argv;
await build({
  configFile: false,
  root: folder,
  logLevel: 'error',
  define: { 'process.env.NODE_ENV': '"production"' },
  build: {
    outDir: folder,
    emptyOutDir: false,
    minify: false,
    lib: { entry: join(folder, 'app.js'), formats: ['iife'], name: 'app', fileName: () => 'bundle.js' },
  },
});
