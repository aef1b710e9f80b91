/**
 * Reservations, endings and lapsed leases, one after the other, each by itself, by the rules that the memory store has.
 *
 * What they are on is locked in one order everywhere, scopes by id, holds by id, new holds by id, so nobody waits for one who
 * waits for him. Counters and holds are then worked on in variables, and written once however many items were on them.
 *
 * The request says once what its items share, and they name it by its position, from 1 on:
 *
 * - `ids` of holds; the first `closing` of them are those that an item ends.
 * - `scopes` by name, and `lines`: a counter in one of them, as it was named. `meter` is the first line on the same counter.
 * - `items`, whose `op` is `reserve`, `end` (into the state `ending`) or `lapse` (into `forfeited`, if the lease has ended).
 */
export const DECIDED = `
  CREATE FUNCTION refused(why text, line int, clock bigint) RETURNS jsonb LANGUAGE sql STABLE AS $function$
    SELECT jsonb_build_object('ok', false, 'why', why, 'line', line, 'nowMs', clock)
  $function$;

  CREATE FUNCTION decided(request jsonb) RETURNS jsonb LANGUAGE plpgsql AS $function$
  DECLARE
    most constant bigint := 9007199254740991;
    clock bigint;
    entry record;
    item record;
    answer jsonb;
    answers jsonb[] := '{}';

    -- The scopes that are locked, and the ids of those that the request names.
    places scopes[] := '{}';
    place_ids bigint[];
    named_ids bigint[];
    place scopes;

    -- Holds by position, as they are by now, and which of them are in the table or must get there.
    ids text[] := ARRAY(SELECT jsonb_array_elements_text(request -> 'ids'));
    closing constant int := request ->> 'closing';
    holds_now holds[];
    on_record boolean[];
    touched boolean[];
    hold holds;
    base holds;
    ended int := 0;

    -- Counters as they are by now: one for each line of the request, then those that only holds are on.
    counters meters[] := '{}';
    counter_ids bigint[] := '{}';
    seen bigint[] := '{}';
    changed boolean[] := '{}';
    -- What the item that is decided wants of each.
    wanted bigint[] := '{}';
    counter meters;

    -- Lines by position.
    meter_at int[] := '{}';
    place_at int[] := '{}';
    generations text[] := '{}';
    calendars boolean[] := '{}';
    starts bigint[] := '{}';
    stops bigint[] := '{}';

    at int;
    line int;
    cap bigint;
    used bigint;
    room bigint;
    amount bigint;
    why text;
    repeated text;
    rest bigint[];
    overrun bigint[];
    late boolean;
    skip_to int := 0;
  BEGIN
    -- Locks. What a hold is on is known before it is locked, and may be more by then.
    SELECT coalesce(array_agg(s.id ORDER BY n.i), '{}') INTO named_ids
    FROM jsonb_array_elements_text(request -> 'scopes') WITH ORDINALITY n (name, i)
    LEFT JOIN LATERAL (SELECT o.id FROM scopes o WHERE o.name = n.name OFFSET 0) s ON true;
    place_ids := named_ids;
    IF closing > 0 THEN
      FOR hold IN SELECT h.* FROM holds h WHERE h.id = ANY (ids[1 : closing]) LOOP
        place_ids := place_ids || hold.scopes;
        ids := ids || hold.extensions;
      END LOOP;
    END IF;
    FOR entry IN SELECT DISTINCT p AS id FROM unnest(place_ids) p WHERE p IS NOT NULL ORDER BY p LOOP
      places := places || locked(entry.id, request -> 'keep');
    END LOOP;
    clock := now_ms();
    holds_now := array_fill(NULL::holds, ARRAY[cardinality(ids)]);
    on_record := array_fill(false, ARRAY[cardinality(ids)]);
    touched := on_record;
    FOR hold IN SELECT h.* FROM holds h WHERE h.id = ANY (ids) ORDER BY h.id FOR UPDATE LOOP
      at := array_position(ids, hold.id);
      IF at <= closing AND NOT (hold.scopes <@ place_ids AND coalesce(hold.extensions <@ ids, true)) THEN
        RAISE EXCEPTION 'a hold has grown meanwhile' USING ERRCODE = 'serialization_failure';
      END IF;
      -- Of what was asked to be kept: who asks for it later has something new to count.
      IF hold.keep_ms > 0 AND hold.state <> 'held' AND hold.due_ms <= clock THEN
        DELETE FROM holds h WHERE h.id = hold.id;
        CONTINUE;
      END IF;
      holds_now[at] := hold;
      on_record[at] := true;
    END LOOP;

    -- Counters.
    place_ids := ARRAY(SELECT p.id FROM unnest(places) p);
    FOR entry IN
      SELECT l.*, m AS counter
      FROM ROWS FROM (jsonb_to_recordset(request -> 'lines') AS (
        meter int, scope int, generation text, name text, kind text,
        window_ms bigint, step_ms bigint, start_ms bigint, end_ms bigint
      )) WITH ORDINALITY l
      LEFT JOIN LATERAL (
        SELECT o.* FROM meters o WHERE o.scope = named_ids[l.scope] AND o.name = l.name OFFSET 0
      ) m ON true
      ORDER BY l.ordinality
    LOOP
      at := array_position(place_ids, named_ids[entry.scope]);
      place := places[at];
      counter := entry.counter;
      IF counter.id IS NULL THEN
        counter := new_counter(place, entry.name, entry.kind, entry.window_ms, entry.step_ms);
      END IF;
      counters := counters || counter;
      seen := seen || place.seen_ms;
      meter_at := meter_at || entry.meter;
      place_at := place_at || at;
      generations := generations || entry.generation;
      calendars := calendars || (entry.kind = 'calendar');
      starts := starts || entry.start_ms;
      stops := stops || entry.end_ms;
    END LOOP;
    IF closing > 0 THEN
      FOR counter IN
        SELECT m.* FROM meters m
        WHERE m.id = ANY (ARRAY(SELECT unnest(h.meters) FROM unnest(holds_now[1 : closing]) h))
          AND m.id <> ALL (ARRAY(SELECT c.id FROM unnest(counters) c WHERE c.id IS NOT NULL))
      LOOP
        place := places[array_position(place_ids, counter.scope)];
        counters := counters || counter;
        seen := seen || place.seen_ms;
      END LOOP;
    END IF;
    FOR i IN 1 .. cardinality(counters) LOOP
      counter := counters[i];
      changed[i] := lags(counter, seen[i]);
      IF changed[i] THEN counters[i] := let_go(counter, seen[i]); END IF;
      counter_ids := counter_ids || counter.id;
    END LOOP;

    FOR item IN
      SELECT * FROM ROWS FROM (jsonb_to_recordset(request -> 'items') AS (
        op text, hold int,
        digest text, onto int, lease_ms units, keep_ms units, force boolean,
        lines int[], caps units[], amounts units[], booked boolean[],
        ending text, actual units[], checks jsonb, together int
      )) WITH ORDINALITY
    LOOP
      answer := NULL;
      hold := holds_now[item.hold];

      IF item.op = 'reserve' THEN
        repeated := CASE hold.state WHEN 'extension' THEN 'held' ELSE hold.state END;
        IF repeated = 'void' THEN
          answer := refused('terminal', -1, clock);
        ELSIF hold.digest <> item.digest THEN
          answer := refused('conflict', -1, clock);
        END IF;
      END IF;

      IF item.op = 'reserve' AND hold.state IS NULL THEN
        IF item.onto IS NULL THEN
          base := new_hold(ids[item.hold], 'held', item.digest, item.keep_ms);
        ELSE
          base := holds_now[item.onto];
          IF base.state IS DISTINCT FROM 'held' THEN answer := refused('terminal', -1, clock); END IF;
        END IF;
        FOREACH line IN ARRAY item.lines LOOP
          wanted[meter_at[line]] := 0;
        END LOOP;
        FOR i IN 1 .. cardinality(item.lines) LOOP
          EXIT WHEN answer IS NOT NULL;
          line := item.lines[i];
          at := meter_at[line];
          place := places[place_at[line]];
          counter := counters[at];
          why := CASE
            WHEN place.id IS NULL OR place.generation <> generations[line] THEN 'state_lost'
            WHEN place.shut THEN 'closed'
            WHEN place.stopped AND item.force IS NOT TRUE THEN 'stopped'
            WHEN calendars[line] AND (starts[line] <= place.seen_ms AND place.seen_ms < stops[line]) IS NOT TRUE
              THEN 'stale'
          END;
          IF why IS NOT NULL THEN
            answer := refused(why, i - 1, CASE why WHEN 'stale' THEN place.seen_ms ELSE clock END);
            EXIT;
          END IF;
          -- A calendar window that has begun is never left for an earlier one.
          IF calendars[line] AND counter.kind = 'calendar' AND starts[line] > counter.start_ms THEN
            counter := turned(counter, starts[line], stops[line]);
            counters[at] := counter;
            changed[at] := true;
          END IF;
          amount := item.amounts[i];
          cap := CASE WHEN item.force THEN most ELSE item.caps[i] END;
          used := used_of(counter, place.seen_ms);
          room := cap - used - counter.held - wanted[at];
          wanted[at] := wanted[at] + amount;
          IF amount > 0 AND amount > room THEN
            why := CASE
              WHEN wanted[at] > cap THEN 'exceeds_cap'
              WHEN used + wanted[at] > cap THEN 'exhausted'
              ELSE 'in_flight'
            END;
            answer := jsonb_strip_nulls(jsonb_build_object('ok', false, 'why', why, 'line', i - 1, 'left', room,
              'retryMs', CASE why WHEN 'exhausted' THEN until_freed(counter, amount - room, clock) END));
          END IF;
        END LOOP;

        IF answer IS NULL THEN
          FOR i IN 1 .. cardinality(item.lines) LOOP
            at := meter_at[item.lines[i]];
            counter := counters[at];
            IF counter.id IS NULL THEN
              counter := recorded(counter);
              counter_ids[at] := counter.id;
            END IF;
            amount := item.amounts[i];
            IF item.booked[i] THEN
              counter := booked(counter, amount, seen[at]);
            ELSE
              counter.held := counter.held + amount;
            END IF;
            counters[at] := counter;
            changed[at] := true;
            base.meters := base.meters || counter.id;
            base.amounts := base.amounts || amount;
            base.marks := base.marks || CASE WHEN item.booked[i] THEN mark_of(counter) END;
            IF counter.scope <> ALL (base.scopes) THEN base.scopes := base.scopes || counter.scope; END IF;
          END LOOP;
          base.due_ms := greatest(base.due_ms, clock + item.lease_ms);
          IF item.onto IS NOT NULL AND cardinality(item.lines) > 0 THEN
            hold := new_hold(ids[item.hold], 'extension', item.digest, 0);
            hold.onto := base.id;
            holds_now[item.hold] := hold;
            touched[item.hold] := true;
            base.extensions := base.extensions || hold.id;
          END IF;
          at := coalesce(item.onto, item.hold);
          holds_now[at] := base;
          touched[at] := true;
        END IF;
      END IF;

      IF item.op = 'reserve' AND answer IS NULL THEN
        rest := '{}';
        FOR i IN 1 .. cardinality(item.lines) LOOP
          at := meter_at[item.lines[i]];
          counter := counters[at];
          rest[i] := item.caps[i] - used_of(counter, seen[at]) - counter.held;
        END LOOP;
        answer := jsonb_build_object('ok', true, 'repeat', repeated, 'left', to_jsonb(rest));
      END IF;

      IF item.op <> 'reserve' AND item.ordinality > skip_to THEN
        -- Of several endings that were asked for together none comes about when one is wrong.
        FOR entry IN SELECT c.* FROM jsonb_to_recordset(item.checks) AS c (hold int, amounts int) LOOP
          base := holds_now[entry.hold];
          IF base.state <> 'void' AND base.onto IS NULL AND cardinality(base.amounts) <> entry.amounts THEN
            answer := jsonb_build_object('amounts', entry.amounts, 'lines', cardinality(base.amounts));
            skip_to := item.ordinality + item.together - 1;
            EXIT;
          END IF;
        END LOOP;
        IF item.op = 'lapse' THEN
          item.ending := 'forfeited';
          IF hold.state IS DISTINCT FROM 'held' OR hold.due_ms > clock THEN
            answer := jsonb_build_object('first', false);
          END IF;
        END IF;
        late := hold.state = 'forfeited' AND NOT hold.corrected AND item.actual IS NOT NULL;

        IF answer IS NOT NULL THEN
          NULL;
        ELSIF hold.state IS NULL OR hold.onto IS NOT NULL THEN
          hold := new_hold(ids[item.hold], 'void', NULL, 0);
          hold.due_ms := clock + (request -> 'keep' ->> 'voids')::bigint;
          holds_now[item.hold] := hold;
          touched[item.hold] := true;
          ended := ended + 1;
          answer := jsonb_build_object('state', 'unknown', 'first', true);
        ELSIF hold.state <> 'held' AND NOT late THEN
          answer := jsonb_build_object('state', hold.state, 'first', false);
        ELSE
          overrun := overruns(hold, item.actual);
          FOR i IN 1 .. cardinality(hold.meters) LOOP
            at := array_position(counter_ids, hold.meters[i]);
            -- It may be gone with its scope.
            CONTINUE WHEN at IS NULL;
            IF late THEN
              CONTINUE WHEN coalesce(overrun[i], 0) = 0;
              counters[at] := booked(counters[at], overrun[i], seen[at]);
            ELSIF hold.marks[i] IS NULL THEN
              amount := CASE item.ending
                WHEN 'void' THEN 0
                WHEN 'forfeited' THEN hold.amounts[i]
                ELSE item.actual[i]
              END;
              counters[at] := released(counters[at], hold.amounts[i], amount, seen[at]);
            ELSE
              CONTINUE WHEN item.ending <> 'void';
              counters[at] := taken_back(counters[at], hold.amounts[i], hold.marks[i]);
            END IF;
            changed[at] := true;
          END LOOP;
          hold.corrected := late;
          IF NOT late THEN
            hold.state := item.ending;
            hold.due_ms := clock + greatest((request -> 'keep' ->> 'ends')::bigint, hold.keep_ms);
            ended := ended + 1;
            FOREACH why IN ARRAY coalesce(hold.extensions, '{}') LOOP
              at := array_position(ids, why);
              base := holds_now[at];
              base.state := CASE base.state WHEN 'void' THEN 'void' ELSE hold.state END;
              base.due_ms := greatest(base.due_ms, hold.due_ms);
              holds_now[at] := base;
              touched[at] := true;
              ended := ended + 1;
            END LOOP;
          END IF;
          holds_now[item.hold] := hold;
          touched[item.hold] := true;
          answer := jsonb_build_object('state', hold.state, 'first', NOT late, 'overrun', to_jsonb(overrun));
        END IF;
      END IF;
      answers := answers || answer;
    END LOOP;

    UPDATE meters m SET held = c.held, used = c.used, step = c.step, step_units = c.step_units, oldest = c.oldest,
      start_ms = c.start_ms, end_ms = c.end_ms, late_ms = c.late_ms
    FROM unnest(counters) WITH ORDINALITY c WHERE changed[c.ordinality] AND m.id = c.id;
    IF true = ANY (on_record) THEN
      UPDATE holds h SET state = k.state, due_ms = k.due_ms, digest = k.digest, scopes = k.scopes, meters = k.meters,
        amounts = k.amounts, marks = k.marks, corrected = k.corrected, onto = k.onto, extensions = k.extensions
      FROM unnest(holds_now) WITH ORDINALITY k
      WHERE touched[k.ordinality] AND on_record[k.ordinality] AND h.id = k.id;
    END IF;
    IF false = ANY (on_record) THEN
      -- An id that another one has taken meanwhile is a unique violation, and all of this is tried again.
      INSERT INTO holds
      SELECT k.id, k.state, k.due_ms, k.keep_ms, k.digest, k.scopes, k.meters, k.amounts, k.marks, k.corrected, k.onto,
        k.extensions
      FROM unnest(holds_now) WITH ORDINALITY k
      WHERE touched[k.ordinality] AND NOT on_record[k.ordinality] ORDER BY k.id;
    END IF;
    -- Who leaves something behind takes some of what others left with him.
    IF ended > 0 THEN PERFORM forget_holds(clock, 2 * ended); END IF;
    RETURN to_jsonb(answers);
  END $function$;
`;
