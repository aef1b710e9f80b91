/** Holds, and those that are over: leases that have ended, and ends that need not be remembered any more. */
export const HOLDS = `
  CREATE FUNCTION new_hold(id text, state text, digest text, keep_ms bigint) RETURNS holds LANGUAGE plpgsql AS $function$
  DECLARE
    hold holds;
  BEGIN
    hold := ROW (id, state, NULL, coalesce(keep_ms, 0), digest, '{}', '{}', '{}', '{}', false, NULL, NULL);
    RETURN hold;
  END $function$;

  -- By line, what it cost beyond what was held; empty where that is nothing.
  CREATE FUNCTION overruns(hold holds, actual bigint[]) RETURNS bigint[] LANGUAGE plpgsql AS $function$
  DECLARE
    overrun bigint[] := '{}';
    worst bigint := 0;
  BEGIN
    FOR i IN 1 .. coalesce(cardinality(actual), 0) LOOP
      overrun[i] := CASE WHEN hold.marks[i] IS NULL THEN greatest(0, actual[i] - hold.amounts[i]) ELSE 0 END;
      worst := greatest(worst, overrun[i]);
    END LOOP;
    RETURN CASE worst WHEN 0 THEN '{}' ELSE overrun END;
  END $function$;

  CREATE FUNCTION forget_holds(clock bigint, many int) RETURNS void LANGUAGE plpgsql AS $function$
  BEGIN
    DELETE FROM holds h WHERE h.id = ANY (ARRAY(
      SELECT o.id FROM holds o WHERE o.state <> 'held' AND o.due_ms <= clock
      ORDER BY o.due_ms LIMIT many FOR UPDATE SKIP LOCKED
    ));
  END $function$;

  -- Forfeits at most \`limit\` holds, and forgets some of what may be forgotten. Whoever comes second finds less to do.
  CREATE FUNCTION swept(request jsonb) RETURNS jsonb LANGUAGE plpgsql AS $function$
  DECLARE
    many constant int := request ->> 'limit';
    clock constant bigint := now_ms();
    ids constant text[] := ARRAY(
      SELECT h.id FROM holds h WHERE h.state = 'held' AND h.due_ms <= clock ORDER BY h.due_ms LIMIT many
    );
    answers jsonb;
    forfeited jsonb := '[]';
  BEGIN
    IF cardinality(ids) > 0 THEN
      answers := decided(jsonb_build_object(
        'ids', to_jsonb(ids), 'closing', cardinality(ids), 'scopes', '[]'::jsonb, 'lines', '[]'::jsonb,
        'items',
          (SELECT jsonb_agg(jsonb_build_object('op', 'lapse', 'hold', n)) FROM generate_series(1, cardinality(ids)) n),
        -- A scope is not used by what its dead leave behind.
        'keep', (request -> 'keep') - 'scopes'
      ));
      SELECT coalesce(jsonb_agg(ids[a.n]), '[]') INTO forfeited
      FROM jsonb_array_elements(answers) WITH ORDINALITY a (answer, n) WHERE (a.answer ->> 'first')::boolean;
    END IF;
    PERFORM forget_holds(clock, many + 64);
    PERFORM forget_scopes(clock, many + 64);
    RETURN forfeited;
  END $function$;
`;
