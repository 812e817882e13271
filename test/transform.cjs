// Jest runs modules in a context of its own, where every look-up of a global is slow (`Math` in a loop: ten times).
// So each module of ours looks the language's own up once.
const { createTransformer } = require('@swc/jest');

const names = ['Array', 'Boolean', 'Error', 'JSON', 'Map', 'Math', 'Number', 'Object', 'Set', 'String', 'Symbol', 'WeakMap'];
// On the first line, so that line numbers stay what they are.
const prelude = `const { ${names.join(', ')} } = globalThis;`;
const lookUpOnce = (code) => code.replace(/^(['"]use strict['"];)?/, (strict) => `${strict}${prelude}`);

module.exports = {
  createTransformer(options) {
    const swc = createTransformer(options);
    return {
      getCacheKey: (...given) => `${swc.getCacheKey(...given)}-${prelude.length}`,
      process(...given) {
        const result = swc.process(...given);
        return { ...result, code: lookUpOnce(result.code) };
      },
    };
  },
};
