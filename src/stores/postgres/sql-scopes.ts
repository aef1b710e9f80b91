/**
 * Scopes: made, locked, read, shut, stopped, forgotten. Every function locks them by their ids in ascending order, and does not
 * wait for one when it already has something that others wait for.
 */
export const SCOPES = `
  -- \`keep\` has for how long what is kept. Without \`scopes\` in it this is no use of the scope.
  CREATE FUNCTION locked(wanted bigint, keep jsonb) RETURNS scopes LANGUAGE plpgsql AS $function$
  DECLARE
    forget constant bigint := keep ->> 'scopes';
    place scopes;
  BEGIN
    UPDATE scopes s SET
      seen_ms = greatest(s.seen_ms, now_ms()),
      -- An eighth later than it must be: so a scope in use changes its place in the index now and then alone.
      forget_ms = CASE WHEN s.forget_ms < now_ms() + forget AND NOT s.shut THEN now_ms() + forget + forget / 8
        ELSE s.forget_ms END
    WHERE s.id = wanted
    RETURNING s.* INTO place;
    RETURN place;
  END $function$;

  CREATE FUNCTION opened(request jsonb) RETURNS jsonb LANGUAGE plpgsql AS $function$
  DECLARE
    names constant text[] := ARRAY(SELECT jsonb_array_elements_text(request -> 'scopes'));
    keep constant jsonb := request -> 'keep';
    place scopes;
  BEGIN
    INSERT INTO scopes (name, forget_ms)
    SELECT DISTINCT n, CASE request ->> 'lifetime' WHEN 'temporary' THEN 0 END FROM unnest(names) n ORDER BY n
    ON CONFLICT (name) DO NOTHING;
    FOR place IN
      SELECT s.* FROM scopes s
      WHERE s.name = ANY (names) AND s.forget_ms < now_ms() + (keep ->> 'scopes')::bigint ORDER BY s.id
    LOOP
      PERFORM locked(place.id, keep);
    END LOOP;
    RETURN (SELECT jsonb_object_agg(s.name, s.generation) FROM scopes s WHERE s.name = ANY (names));
  END $function$;

  CREATE FUNCTION readings(request jsonb) RETURNS jsonb LANGUAGE plpgsql AS $function$
  DECLARE
    place scopes;
    counter meters;
    counters jsonb;
    answer jsonb := '{}';
  BEGIN
    FOR place IN
      SELECT s.* FROM scopes s WHERE s.name IN (SELECT jsonb_array_elements_text(request -> 'scopes')) ORDER BY s.id
    LOOP
      place := locked(place.id, request -> 'keep');
      CONTINUE WHEN place.id IS NULL;
      counters := '{}';
      FOR counter IN SELECT m.* FROM meters m WHERE m.scope = place.id ORDER BY m.id LOOP
        IF lags(counter, place.seen_ms) THEN
          counter := let_go(counter, place.seen_ms);
          UPDATE meters m SET used = counter.used, step_units = counter.step_units, oldest = counter.oldest
          WHERE m.id = counter.id;
        END IF;
        counters := counters || jsonb_build_object(
          counter.name, jsonb_build_object('used', used_of(counter, place.seen_ms), 'held', counter.held)
        );
      END LOOP;
      answer := answer || jsonb_build_object(place.name, counters);
    END LOOP;
    RETURN answer;
  END $function$;

  CREATE FUNCTION shut(request jsonb) RETURNS jsonb LANGUAGE plpgsql AS $function$
  DECLARE
    place bigint;
  BEGIN
    UPDATE scopes s SET shut = true, forget_ms = now_ms() + (request -> 'keep' ->> 'shut')::bigint
    WHERE s.name = request ->> 'scope' AND NOT s.shut RETURNING s.id INTO place;
    IF FOUND THEN PERFORM forget_counters(place); END IF;
    RETURN NULL;
  END $function$;

  CREATE FUNCTION stopped(request jsonb) RETURNS jsonb LANGUAGE plpgsql AS $function$
  BEGIN
    INSERT INTO scopes (name, stopped) VALUES (request ->> 'scope', true)
    ON CONFLICT (name) DO UPDATE SET stopped = true;
    RETURN NULL;
  END $function$;

  CREATE FUNCTION resumed(request jsonb) RETURNS jsonb LANGUAGE plpgsql AS $function$
  BEGIN
    UPDATE scopes s SET stopped = false WHERE s.name = request ->> 'scope';
    RETURN NULL;
  END $function$;

  CREATE FUNCTION forget_counters(place bigint) RETURNS void LANGUAGE plpgsql AS $function$
  BEGIN
    DELETE FROM steps s USING meters m WHERE m.scope = place AND s.meter = m.id;
    DELETE FROM meters m WHERE m.scope = place;
  END $function$;

  CREATE FUNCTION forget_scopes(clock bigint, many int) RETURNS void LANGUAGE plpgsql AS $function$
  DECLARE
    place scopes;
  BEGIN
    FOR place IN
      SELECT s.* FROM scopes s WHERE s.forget_ms <= clock ORDER BY s.forget_ms LIMIT many FOR UPDATE SKIP LOCKED
    LOOP
      IF EXISTS (SELECT FROM meters m WHERE m.scope = place.id AND m.held > 0) THEN
        -- Its last holds are forfeited first; until then it must not stand before others.
        UPDATE scopes s SET forget_ms = clock + 3600000 WHERE s.id = place.id;
      ELSE
        PERFORM forget_counters(place.id);
        DELETE FROM scopes s WHERE s.id = place.id;
      END IF;
    END LOOP;
  END $function$;
`;
