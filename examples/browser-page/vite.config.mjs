import { defineConfig } from 'vite';

// One classic script, so that the page also opens from a file.
export default defineConfig({
  define: { 'process.env.NODE_ENV': '"production"' },
  build: { lib: { entry: 'page.mjs', formats: ['iife'], name: 'page', fileName: () => 'page.js' } },
});
