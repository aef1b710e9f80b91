#!/bin/bash
# usage: run.sh name "mutate,csv" "test files"
cd /tmp/wt/mutate-audit
name=$1; export MT="$3"
cat > test/mutation/scratch/$name.json <<J
{ "testRunner": "vitest", "plugins": ["@stryker-mutator/vitest-runner"], "coverageAnalysis": "perTest", "concurrency": 1,
  "tsconfigFile": "none.json", "mutate": [$(echo $2 | sed 's/[^,]*/"&"/g')], "vitest": { "configFile": "test/mutation/scratch/vitest.config.ts", "related": false },
  "reporters": ["json","clear-text"], "jsonReporter": { "fileName": "/tmp/mt-audit/$name.json" }, "clearTextReporter": {"allowColor": false, "logTests": false, "reportTests": false},
  "tempDirName": "/tmp/mt-audit/tmp-$name", "cleanTempDir": "always", "disableTypeChecks": false, "checkers": [],
  "ignorePatterns": ["dist","bench","docs","examples","coverage","test/frameworks","test/consumers","test/egress/matrix","test/egress/clients","test/mutation/node_modules","test/isolated/node_modules"], "allowConsoleColors": false, "timeoutMS": 3000, "timeoutFactor": 2, "incremental": true, "incrementalFile": "/tmp/mt-audit/inc-$name.json" }
J
nice -n 10 node test/mutation/node_modules/@stryker-mutator/core/bin/stryker.js run test/mutation/scratch/$name.json > /tmp/mt-audit/$name.log 2>&1
tail -30 /tmp/mt-audit/$name.log
