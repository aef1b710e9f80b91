import type { ViteUserConfig } from 'vitest/config';

const config: ViteUserConfig = {
  test: {
    // Stryker's own choice of test files would keep mutants from acting while modules load: stryker-js issue 6144.
    include: JSON.parse(process.env['LEASHKIT_MUTATION_TESTS'] ?? '[]'),
    isolate: process.env['LEASHKIT_MUTATION_ISOLATE'] !== 'false',
    setupFiles: ['test/mutation/same-cases.ts'],
    // Tests are slower while it is counted what each of them reaches.
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
};

// biome-ignore lint/style/noDefaultExport: Vitest reads it.
export default config;
