/**
 * What is kept. Counters and their steps are changed under the lock of their scope alone. Half of each page stays free where
 * rows change all the time, so that a change is one of the page and needs no index.
 */
export const TABLES = `
  CREATE DOMAIN units AS bigint CHECK (VALUE BETWEEN 0 AND 9007199254740991);

  CREATE TABLE scopes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    generation text NOT NULL DEFAULT gen_random_uuid()::text,
    shut boolean NOT NULL DEFAULT false,
    stopped boolean NOT NULL DEFAULT false,
    -- The latest time that was seen in it: within a scope time does not run backwards.
    seen_ms bigint NOT NULL DEFAULT 0,
    -- When it may be forgotten; null: never.
    forget_ms bigint
  ) WITH (fillfactor = 50);
  CREATE INDEX scopes_forget ON scopes (forget_ms) WHERE forget_ms IS NOT NULL;

  CREATE TABLE meters (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scope bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    held units NOT NULL,
    used units NOT NULL,
    -- Of a rolling window: its length, that of its steps, the latest step and what was booked in it. Earlier ones are
    -- rows of their own, none of them before the oldest.
    window_ms bigint,
    step_ms bigint,
    step bigint,
    step_units units,
    oldest bigint,
    -- Of a calendar window: its bounds, and when something was booked after its end.
    start_ms bigint,
    end_ms bigint,
    late_ms bigint
  ) WITH (fillfactor = 50);
  CREATE INDEX meters_scope ON meters (scope);

  CREATE TABLE steps (
    meter bigint,
    step bigint,
    units units NOT NULL,
    PRIMARY KEY (meter, step)
  );

  CREATE TABLE holds (
    id text COLLATE "C" PRIMARY KEY,
    -- held, settled, void or forfeited; extension: it was added to the hold \`onto\`, which has its lines and ends it.
    state text NOT NULL,
    -- When its lease ends, while it is held; then, when it may be forgotten.
    due_ms bigint,
    keep_ms bigint NOT NULL,
    -- Of what was asked for: a repeat asks for the same.
    digest text,
    scopes bigint[] NOT NULL,
    -- By line. A mark tells where it was booked when it was booked at once; null: it is held.
    meters bigint[] NOT NULL,
    amounts bigint[] NOT NULL,
    marks bigint[] NOT NULL,
    -- After a forfeit: whether the truth was booked since.
    corrected boolean NOT NULL,
    onto text,
    extensions text[]
  );
  CREATE INDEX holds_lease ON holds (due_ms) WHERE state = 'held';
  CREATE INDEX holds_forget ON holds (due_ms) WHERE state <> 'held';
`;
