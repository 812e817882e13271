import { defineConfig } from 'vite';

// For the browser one classic script, so that the page also opens from a file; for the server (--ssr) what it is told.
export default defineConfig(({ isSsrBuild }) => ({
  define: { 'process.env.NODE_ENV': '"production"' },
  oxc: { jsx: { runtime: 'automatic' } },
  ssr: { external: ['react', 'react-dom', 'xstate', '@xstate/react', 'shootdown'] },
  build: isSsrBuild ? {} : { lib: { entry: 'main.jsx', formats: ['iife'], name: 'app', fileName: () => 'app.js' } },
}));
