import { defineConfig } from 'vitest/config';
export default defineConfig({
  test: { include: (process.env.MT ?? '').split(' '), testTimeout: 30000, isolate: false },
});
