/** A part of the library, and the tests that must notice whatever is changed in it. */
export interface Area {
  /** Globs of the sources, from the root of the repository. */
  readonly mutate: readonly string[];
  /** Globs of test files that run in one process and take seconds; databases are at hand as for `npm test`. */
  readonly tests: readonly string[];
  /**
   * Leaves alone what runs while a module loads, each mutant of which needs all the tests: for areas whose tests take
   * half a minute or more. Default: false.
   */
  readonly ignoreStatic?: boolean;
  /** All test files run in one thread, in half the time: for tests that leave nothing behind. Default: false. */
  readonly shared?: boolean;
}

export const AREAS: Readonly<Record<string, Area>> = {
  money: {
    mutate: ['src/money.ts'],
    tests: ['test/money*.test.ts', 'test/guards/budget.test.ts'],
  },
  guards: {
    mutate: ['src/guards/**/*.ts'],
    tests: ['test/guards/*.test.ts', 'test/adapters/ajv.test.ts'],
  },
  stores: {
    mutate: ['src/stores/*.ts', '!src/stores/{sqlite,postgres,redis}.ts'],
    tests: ['test/stores/{linearizability,memory,meter,rolling,sqlite,sqlite-forgets,store-input}.test.ts'],
  },
  sqlite: {
    mutate: ['src/stores/sqlite.ts', 'src/stores/sqlite/*.ts'],
    tests: ['test/stores/sqlite{,-failures,-forgets}.test.ts'],
  },
  // What servers run, Lua and PL/pgSQL, is text to Stryker: the models of test/stores hold it to the memory store.
  redis: {
    mutate: ['src/stores/redis.ts', 'src/stores/redis/{connection,deadlines,items,keys,queue,shapes}.ts'],
    tests: ['test/stores/redis{,-connection,-deadlines,-keys,-shapes}.test.ts'],
    shared: true,
  },
  postgres: {
    mutate: ['src/stores/postgres.ts', 'src/stores/postgres/{database,failure,input,queue,request}.ts'],
    tests: ['test/stores/postgres/*.test.ts'],
    shared: true,
  },
  // What is decided and what is proved, in small areas: a mutant that acts while modules load needs all tests of its own.
  'audit-lines': {
    mutate: ['src/audit/{duplicate-key,line}.ts'],
    tests: ['test/audit/line.test.ts'],
    shared: true,
  },
  'audit-verify': {
    mutate: ['src/audit/{file-check,head,line-reader,log-check,look-back,verify}.ts'],
    tests: ['test/audit/{inclusion,line-reader,verify,verify-attacks}.test.ts'],
    shared: true,
  },
  'audit-keys': {
    mutate: ['src/audit/{checkpoint,inclusion,keys,signing}.ts'],
    tests: ['test/audit/{checkpoint,inclusion,keys}.test.ts'],
    shared: true,
  },
  'audit-proofs': {
    mutate: ['src/audit/{jws,paseto,proof-claims,proof-seen,token}.ts'],
    tests: ['test/audit/{jws,paseto,proof-claims,proof-seen,token}.test.ts'],
    shared: true,
  },
  'audit-tokens': {
    mutate: ['src/audit/proof.ts'],
    tests: ['test/audit/{proof,proof-claims,proof-seen}.test.ts'],
    shared: true,
  },
  'audit-events': {
    mutate: ['src/audit/event.ts'],
    tests: ['test/audit/event.test.ts'],
    shared: true,
  },
  'audit-arguments': {
    mutate: ['src/audit/{chain,commitment,log-key,opening}.ts'],
    tests: ['test/audit/{commitment,log-key,opening}.test.ts'],
    shared: true,
  },
  'audit-log': {
    mutate: ['src/audit/{checkpoints,delivery,dropped,failure,in-time,log}.ts'],
    tests: ['test/audit/{delivery,failure,log,on-error,root-signer,signing-policy}.test.ts'],
    ignoreStatic: true,
    shared: true,
  },
  'audit-sinks': {
    mutate: ['src/audit/{forward-sink,memory-sink,prior-heads,written-lines}.ts'],
    tests: ['test/audit/{forward-sink,memory-sink,prior-heads,written-lines}.test.ts'],
    shared: true,
  },
  'audit-webhooks': {
    mutate: ['src/audit/{webhook-post,webhook-sink}.ts'],
    tests: ['test/audit/webhook-sink.test.ts'],
    shared: true,
  },
  'audit-copies': {
    mutate: ['src/audit/{stream-sink,tee-sink}.ts'],
    tests: ['test/audit/{stream-sink,tee-sink}.test.ts'],
    ignoreStatic: true,
  },
  'egress-addresses': {
    mutate: ['src/egress/policy/{address,address-class,address-policy,address-rules,nat64}.ts'],
    tests: ['test/egress/policy/{address,address-class,address-policy,address-rules}.test.ts'],
    shared: true,
  },
  'egress-hosts': {
    mutate: ['src/egress/policy/{host,host-rule}.ts'],
    tests: ['test/egress/policy/{host,host-rule,policy}.test.ts'],
    shared: true,
  },
  'egress-rules': {
    mutate: ['src/egress/policy/{denial,place,policy,rule,shared-hosts,url-path}.ts'],
    tests: [
      'test/egress/policy/{address-policy,denial,policy,policy-literal,policy-raw,policy-request,shared-hosts}.test.ts',
      'test/guards/egress.test.ts',
    ],
    shared: true,
  },
  'egress-requests': {
    mutate: [
      'src/egress/hooks/{dispatch-snapshot,open-request,origin,passes,request-head,servername}.ts',
      'src/egress/policy/proxy.ts',
      'src/egress/transport/redirect.ts',
    ],
    tests: [
      'test/egress/hooks/{dispatch-snapshot,open-request,origin,passes,request-head}.test.ts',
      'test/egress/policy/proxy.test.ts',
      'test/egress/transport/redirect.test.ts',
    ],
    shared: true,
  },
  hashes: {
    mutate: ['src/internal/{base64,calendar,canonical-json,json-pointer,merkle,text-cache}.ts'],
    tests: ['test/internal/{base64,calendar,canonical-json,json-pointer,merkle,text-cache}.test.ts'],
    shared: true,
  },
};
