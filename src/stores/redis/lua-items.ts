/**
 * Reservations and settlements, in order: `items` is a flat list that begins with how many keys of holds there are, which are
 * in `keys` from `first` on, in the order of the items; texts of lines are in ARGV from the second on. An item is
 *
 * - 1, which text, and an amount for each line: reserves;
 * - 2, the same: adds to the hold whose key is next;
 * - 3, how many amounts, and these: settles; 4: gives back; 5: forfeits;
 * - 6, how many: so many settlements follow that one caller asks together.
 *
 * A reservation is answered by
 *
 * - 0, new, or 1 held, 2 settled, 3 forfeited, when it is a repeat; then what each cap leaves;
 * - 10 exceeds_cap, 11 exhausted, 12 in_flight; then the line from 0 on, what is left, and ms to wait or -1;
 * - 13 closed, 14 stopped, 15 conflict, 16 terminal, 17 stale, 18 state_lost; then the line or -1, and the time;
 *
 * and a settlement by 1 settled, 2 void, 3 forfeited, 4 unknown; 1 if it came first; and how many overruns follow. 0 says that
 * the number of amounts is wrong: then come which settlement from 0 on, and how many lines it has.
 *
 * The answer is one flat list of integers, which every protocol and client tells in the same way; those that clients would
 * round are text.
 */
export const LUA_OUT = `
local out, filled = {nil, nil, nil, nil, nil, nil, nil, nil}, 0
`;

export const LUA_ITEMS = `
local next, size = items[1], #items
if next == 1 then
  holds[keys[first]] = call('GET', keys[first])
elseif next > 1 then
  local missing, last = {}, first + next - 1
  for from = first, last, 1000 do
    local got = call('MGET', unpack(keys, from, from + 999 < last and from + 999 or last))
    for i = 1, #got do
      local key, raw = keys[from + i - 1], got[i]
      holds[key] = raw
      if not raw then missing[#missing + 1] = key end
    end
  end
  -- For MGET a value of another type is none.
  for from = 1, #missing, 1000 do
    if call('EXISTS', unpack(missing, from, from + 999 < #missing and from + 999 or #missing)) > 0 then
      error('a key of another type')
    end
  end
end

local ENDS = {nil, nil, 1, 2, 3}
local shapes, key = {nil}, first
next = 2
while next <= size do
  local kind, id = items[next], keys[key]
  local raw = holds[id]
  if kind <= 2 then
    local number = items[next + 1]
    local shape = shapes[number]
    if not shape then
      -- The lines of a text with all that is the same for each of their reservations in this script: also the first line that
      -- is refused whatever the amounts are, and why.
      local text = ARGV[1 + number]
      local lines = lines_of(text)
      local length, lease, force = #lines, lines[3], lines[4] == 1
      local count, twice, turns, ends, set, last, why = (length - 4) / 6, false, false, 0, '2', 0, 0
      local ms, caps = {nil, nil, nil, nil}, {nil, nil, nil, nil}
      -- Lines whose amounts are held; counted at once in a total; and in a window.
      local holding, counting, windows = {nil, nil}, {nil, nil}, {nil, nil}
      for i = 1, count do
        local at = 6 * i - 1
        local s, m, span, cap = lines[at], lines[at + 2], lines[at + 3], lines[at + 5]
        if cap < 0 or cap > MAX or cap % 1 ~= 0 then error('a cap that is no amount') end
        for j = 1, i - 1 do
          if ms[j] == m then twice = true end
        end
        ms[i], caps[i] = m, cap
        local name, a, b
        if span == 't' then
          name, span = 't', false
        elseif span and type(span) == 'string' then
          name, a, b = string.match(span, '^(%a) (%d+) (%d+)$')
          a, b = tonumber(a), tonumber(b)
          if name == 'r' and (a < 1 or b < 1) then error('a window that is none') end
          span = name == 'c' and {a, b}
        end
        lines[at + 3], turns = span, turns or span
        if last == 0 then
          if lines[at + 1] then
            last, why = i, lines[at + 1] == 'lost' and 18 or 13
          elseif s.flag == 'p' and not force then
            last, why = i, 14
          elseif span and not (span[1] <= s.now and s.now < span[2]) then
            last, why = i, 17
          elseif name and not m.kind then
            -- A line that is refused makes no counter, which would begin in its window.
            m.kind, m.ms, m.step, m.starts, m.ends, m.late = name, a, b, a, b, 0
          end
        end
        local list = not lines[at + 4] and holding or m.kind == 't' and counting or windows
        list[#list + 1] = i
        if s.g then
          use(s, lease)
          if s.forget == 0 then set = '1' end
          if s.ends > ends then ends = s.ends end
        end
      end
      if set == '2' then
        if count == 0 then ends = T + lease + ENDED end
        if last == 0 and ends - T > lasts then lasts = ends - T end
      end
      shape = {
        lines = lines, ms = ms, caps = caps, count = count, lease = lease, force = force, twice = twice, turns = turns,
        simple = last == 0 and not turns and not twice and not force, last = last, why = why, holding = holding,
        counting = counting, windows = windows, set = set, list = leased[set == '1' and 1 or 2], tail = false,
        life = set == '2' and format('%.0f', ends - T), ends = format('%.0f', T + lease),
        doubles = '<' .. string.rep('d', count), asked = pack('<H', count) .. lines[1],
        head = 'H' .. pack('<H', count) .. lines[1], text = pack('<I4', #text) .. text,
      }
      shapes[number] = shape
    end
    local ms, caps, count, from = shape.ms, shape.caps, shape.count, next + 1
    local onto, fits, start = kind == 2 and keys[key + 1], true, filled + 1
    key, next = key + kind, next + 2 + count
    if raw and rare().repeats(shape, raw, from, onto) then
      fits = false
    elseif onto and string.sub(holds[onto] or '', 1, 1) ~= 'H' then
      rare().tell(16, -1, T)
      fits = false
    elseif shape.simple then
      for i = 1, count do
        local m, amount = ms[i], items[from + i]
        local room = caps[i] - m.used - m.held
        if amount > room and amount > 0 then
          fits = rare().refuse(shape, i, room, 0, amount)
          break
        end
        out[start + i] = room - amount
      end
    else
      fits = rare().fits(shape, from, start)
    end
    if fits then
      out[start] = 0
      filled = start + count
      local tail, holding, counting, windows = shape.tail, shape.holding, shape.counting, shape.windows
      local lines, marks = shape.lines, nil
      if not tail then
        marks = {nil, nil, nil, nil}
        for i = 1, count do
          marks[i] = 0
          if not ms[i].dirty then change(ms[i], lines[6 * i - 1]) end
        end
      end
      for j = 1, #holding do
        local i = holding[j]
        local m = ms[i]
        m.held = m.held + items[from + i]
      end
      for j = 1, #counting do
        local i = counting[j]
        local m = ms[i]
        m.used = m.used + items[from + i]
      end
      for j = 1, #windows do
        local i = windows[j]
        local m = ms[i]
        if tail and m.kind == 'r' then
          -- A step of this time is there.
          m.used, m.lu = m.used + items[from + i], m.lu + items[from + i]
        else
          local mark = book(m, lines[6 * i - 1], items[from + i])
          if marks then marks[i] = mark end
        end
      end
      if not tail then
        tail = shape.set .. pack(shape.doubles, unpack(marks, 1, count)) .. shape.text
        -- All marks of a script are the same, but for a calendar that another line may turn.
        if not shape.turns then shape.tail = tail end
      end
      local amounts = pack(shape.doubles, unpack(items, from + 1, from + count))
      if onto then
        rare().extend(shape, id, shape.asked .. amounts, string.sub(tail, 2, 1 + 8 * count), onto)
      else
        raw = shape.head .. amounts .. tail
        holds[id] = raw
        puts[put + 1], puts[put + 2], puts[put + 3] = id, raw, shape.life
        put = put + 3
        local list = shape.list
        local length = #list
        list[length + 1], list[length + 2] = shape.ends, id
      end
    end
  elseif kind == 6 then
    local to, by = rare().agree(next + 2, key, items[next + 1])
    next, key = to or next + 2, by or key
  else
    local has, from = kind == 3 and items[next + 1], next + 1
    key, next = key + 1, next + (has and 2 + has or 1)
    local state = raw and string.sub(raw, 1, 1) or 'X'
    if state == 'X' then
      -- What was never reserved is void from now on.
      rare().save(id, 'V', VOID_LIFE)
      rare().tell(4, 1, 0)
    elseif state == 'V' then
      rare().tell(2, 0, 0)
    else
      local plan = (state == 'H' or state == 'F') and plan_of(raw)
      local count = plan and plan.count or read('<H', raw, #raw - 1)
      if has and has ~= count then
        rare().tell(0, 0, count)
      elseif not plan or (state == 'F' and not has) then
        rare().tell(state == 'S' and 1 or 3, 0, 0)
      else
        local due, excess = plan.due, nil
        for j = 1, #due, 3 do
          local i, m = due[j], due[j + 1]
          local amount = i <= plan.first and read('<d', raw, 18 + 8 * i) or plan.more.amounts[i]
          local units = has and items[from + i] or kind == 5 and amount or 0
          if units > MAX then error('an amount past 2 ** 53 - 1') end
          if units > amount then
            if not excess then
              excess = {}
              for k = 1, count do excess[k] = 0 end
            end
            excess[i] = units - amount
          end
          if state == 'F' then
            units = units > amount and units - amount or 0
          elseif m then
            m.held = m.held - amount
          end
          if m and units > 0 then
            if m.kind == 't' then
              m.used = m.used + units < MAX and m.used + units or MAX
            else
              book(m, due[j + 2], units)
            end
          end
        end
        if kind == 4 then rare().give_back(plan, raw) end
        local value
        if kind == 3 then
          value = (state == 'F' and 'C' or 'S') .. string.sub(raw, 2, 25 + 8 * plan.first) .. plan.ended
        else
          value = kind == 4 and 'V' or 'F' .. string.sub(raw, 2)
        end
        holds[id] = value
        puts[put + 1], puts[put + 2], puts[put + 3] = id, value, plan.life
        put = put + 3
        if plan.more then rare().keep(plan.more.keys, plan.life) end
        if state == 'H' then
          local list = unleased[plan.set]
          list[#list + 1] = id
          out[filled + 1], out[filled + 2], out[filled + 3] = ENDS[kind], 1, excess and count or 0
        else
          out[filled + 1], out[filled + 2], out[filled + 3] = 3, 0, excess and count or 0
        end
        filled = filled + 3
        for k = 1, excess and count or 0 do
          filled = filled + 1
          out[filled] = excess[k]
        end
      end
    end
  end
end
-- Clients read integers exactly up to some way before 2 ** 53, and text all the way.
for i = 1, filled do
  local told = out[i]
  if told > 4503599627370496 or told < -4503599627370496 then out[i] = format('%.0f', told) end
end
-- The lines before one that was refused may have left something behind; the first nil ends an answer.
out[filled + 1] = nil
`;
