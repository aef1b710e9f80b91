/**
 * One counter, a row of `meters`, as `Meter` and `RollingSum` are in memory. The functions answer the row as it is then; what
 * they change at once are steps before the latest alone. `seen` is the time in the counter's scope.
 *
 * Functions of one expression are in SQL, which is then a part of the statement; anything longer would be parsed each time.
 */
export const COUNTERS = `
  CREATE FUNCTION new_counter(place scopes, name text, kind text, window_ms bigint, step_ms bigint)
  RETURNS meters LANGUAGE plpgsql AS $function$
  DECLARE
    counter meters;
  BEGIN
    counter.scope := place.id;
    counter.name := name;
    counter.kind := kind;
    counter.held := 0;
    counter.used := 0;
    counter.window_ms := window_ms;
    counter.step_ms := step_ms;
    counter.step_units := 0;
    counter.oldest := (place.seen_ms - window_ms) / step_ms;
    -- Before any that a line can name.
    counter.start_ms := -9007199254740992;
    counter.end_ms := -9007199254740992;
    RETURN counter;
  END $function$;

  CREATE FUNCTION recorded(counter meters) RETURNS meters LANGUAGE plpgsql AS $function$
  BEGIN
    INSERT INTO meters (scope, name, kind, held, used, window_ms, step_ms)
    VALUES (counter.scope, counter.name, counter.kind, 0, 0, counter.window_ms, counter.step_ms)
    RETURNING id INTO counter.id;
    RETURN counter;
  END $function$;

  CREATE FUNCTION used_of(counter meters, seen bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $function$
    SELECT CASE WHEN counter.kind = 'calendar' AND seen >= counter.end_ms AND counter.late_ms IS NULL THEN 0
      ELSE counter.used END
  $function$;

  -- Whether a step may have left the window that still counts.
  CREATE FUNCTION lags(counter meters, seen bigint) RETURNS boolean LANGUAGE sql IMMUTABLE AS $function$
    SELECT counter.id IS NOT NULL AND counter.kind = 'rolling'
      AND (seen - counter.window_ms) / counter.step_ms > counter.oldest
  $function$;

  CREATE FUNCTION let_go(counter meters, seen bigint) RETURNS meters LANGUAGE plpgsql AS $function$
  DECLARE
    gone bigint;
  BEGIN
    counter.oldest := (seen - counter.window_ms) / counter.step_ms;
    WITH old AS (DELETE FROM steps s WHERE s.meter = counter.id AND s.step < counter.oldest RETURNING s.units)
    SELECT coalesce(sum(old.units), 0) INTO gone FROM old;
    IF counter.step < counter.oldest THEN
      gone := gone + counter.step_units;
      counter.step_units := 0;
    END IF;
    counter.used := counter.used - gone;
    RETURN counter;
  END $function$;

  -- Moves on to a later calendar window.
  CREATE FUNCTION turned(counter meters, start_ms bigint, end_ms bigint) RETURNS meters LANGUAGE plpgsql AS $function$
  BEGIN
    IF counter.late_ms IS NULL OR counter.late_ms < start_ms THEN counter.used := 0; END IF;
    counter.start_ms := start_ms;
    counter.end_ms := end_ms;
    counter.late_ms := NULL;
    RETURN counter;
  END $function$;

  CREATE FUNCTION booked(counter meters, amount bigint, seen bigint) RETURNS meters LANGUAGE plpgsql AS $function$
  DECLARE
    total constant bigint := least(9007199254740991, counter.used + amount);
  BEGIN
    IF counter.kind = 'rolling' THEN
      IF counter.step IS DISTINCT FROM seen / counter.step_ms THEN
        IF counter.step_units > 0 THEN
          INSERT INTO steps (meter, step, units) VALUES (counter.id, counter.step, counter.step_units);
        END IF;
        counter.step := seen / counter.step_ms;
        counter.step_units := 0;
      END IF;
      counter.step_units := counter.step_units + total - counter.used;
    ELSIF counter.kind = 'calendar' AND seen >= counter.end_ms THEN
      -- It belongs to a window that no reservation has named yet, and is kept for it.
      counter.used := CASE WHEN counter.late_ms IS NULL THEN amount ELSE total END;
      counter.late_ms := seen;
      RETURN counter;
    END IF;
    counter.used := total;
    RETURN counter;
  END $function$;

  -- Where \`booked\` has booked, for \`taken_back\`.
  CREATE FUNCTION mark_of(counter meters) RETURNS bigint LANGUAGE sql IMMUTABLE AS $function$
    SELECT CASE counter.kind WHEN 'rolling' THEN counter.step WHEN 'calendar' THEN counter.start_ms ELSE 0 END
  $function$;

  CREATE FUNCTION taken_back(counter meters, amount bigint, mark bigint) RETURNS meters LANGUAGE plpgsql AS $function$
  DECLARE
    taken bigint := 0;
  BEGIN
    IF counter.kind = 'total' OR counter.kind = 'calendar' AND counter.start_ms = mark AND counter.late_ms IS NULL THEN
      taken := least(amount, counter.used);
    ELSIF counter.kind = 'rolling' AND counter.step = mark THEN
      taken := least(amount, counter.step_units);
      counter.step_units := counter.step_units - taken;
    ELSIF counter.kind = 'rolling' THEN
      SELECT least(amount, s.units) INTO taken FROM steps s WHERE s.meter = counter.id AND s.step = mark;
      IF NOT FOUND THEN RETURN counter; END IF;
      UPDATE steps s SET units = s.units - taken WHERE s.meter = counter.id AND s.step = mark;
    END IF;
    counter.used := counter.used - taken;
    RETURN counter;
  END $function$;

  -- What was held is booked with what it came to.
  CREATE FUNCTION released(counter meters, amount bigint, actual bigint, seen bigint)
  RETURNS meters LANGUAGE plpgsql AS $function$
  BEGIN
    counter.held := counter.held - amount;
    IF actual = 0 THEN RETURN counter; END IF;
    RETURN booked(counter, actual, seen);
  END $function$;

  -- Milliseconds until time alone has let \`amount\` go; null: it never does.
  CREATE FUNCTION until_freed(counter meters, amount bigint, clock bigint)
  RETURNS bigint LANGUAGE plpgsql AS $function$
  DECLARE
    old steps;
    freed bigint := 0;
  BEGIN
    IF counter.kind = 'calendar' AND amount <= counter.used THEN RETURN greatest(1, counter.end_ms - clock); END IF;
    IF counter.kind <> 'rolling' THEN RETURN NULL; END IF;
    FOR old IN
      SELECT s.* FROM steps s WHERE s.meter = counter.id
      UNION ALL SELECT counter.id, counter.step, counter.step_units
      ORDER BY step
    LOOP
      freed := freed + old.units;
      IF freed >= amount THEN
        RETURN greatest(1, (old.step + 1) * counter.step_ms + counter.window_ms - clock);
      END IF;
    END LOOP;
    RETURN NULL;
  END $function$;
`;
