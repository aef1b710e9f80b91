import { ENDED_MS, VOID_MS } from '../retention.ts';

/**
 * Holds, a key of its own each. The value begins with a letter and, but for `V`, what was asked for: the number of lines (two
 * bytes), the print of their counters (22 characters), the amounts. Then comes, for
 *
 * - `H`, held, and `F`, forfeited: `1` or `2`; what `take_back` needs of each line; the text of the lines with its length; and for
 *   each extension its key with its length, the number of its lines, their amounts and so on, and their text;
 * - `S`, settled, and `C`, forfeited and corrected: the number of lines with those of extensions;
 * - `X`, an extension: the key of its hold.
 *
 * `V` is void. While a hold is open its key is in one of two sorted sets by the end of its lease: the second, `2`, is for holds
 * on temporary scopes alone, which time takes away with them.
 *
 * The text of lines is a flat JSON array: print, keepMs, leaseMs, 1 if forced, and six values for each line: scope, generation
 * (both 0: as in the line before), field of the counter, span, 1 if booked when reserved, cap. In the script those of a line
 * become its scope, `lost` or `shut` if what it counted is gone, the counter, span, true if booked when reserved, cap.
 */
export const LUA_HOLDS: string = `
local ENDED, ENDED_LIFE, VOID_LIFE = ${ENDED_MS}, '${ENDED_MS}', '${VOID_MS}'
-- Values by key, as read or as they will be written; and what to write: key, value, milliseconds that it lives or false.
local holds, puts, put = {a = nil}, {nil, nil, nil}, 0
-- Of both sorted sets: ends of leases and keys, and keys. How long the second must last.
local leased, unleased, lasts = {{nil, nil}, {nil, nil}}, {{nil}, {nil}}, 0

local texts = {a = nil}
local function lines_of(text)
  local lines = texts[text]
  if lines then return lines end
  lines = cjson.decode(text)
  texts[text] = lines
  local at, size = 5, #lines
  while at < size do
    local name, g, first = lines[at], lines[at + 1], at
    local s = scopes[name]
    local fields, asked = {nil, nil, nil, nil, nil, nil}, 0
    if not s then
      fields[1], fields[2], asked = 'g', 't', 2
    end
    repeat
      local field = lines[at + 2]
      if not s or not s.meters[field] then
        asked = asked + 1
        fields[asked] = field
      end
      at = at + 6
    until at > size or lines[at] ~= 0
    if asked > 0 then
      local got, from = call('HMGET', base .. 's:' .. name, unpack(fields, 1, asked)), 1
      if not s then
        s = read_scope(name, got[1], got[2])
        from = 3
      end
      for j = from, asked do
        if not s.meters[fields[j]] then read_meter(s, fields[j], got[j]) end
      end
    end
    local gone = s.g ~= g and 'lost' or s.flag == 'c' and 'shut'
    for j = first, at - 6, 6 do
      lines[j], lines[j + 1], lines[j + 2], lines[j + 4] = s, gone, s.meters[lines[j + 2]], lines[j + 4] == 1
    end
  end
  return lines
end

-- What is the same for all holds that are alike but for their amounts, by what follows these in their values: the set, how many
-- lines, how long an end is kept, and those lines that are booked when settled.
local plans = {a = nil}
local function plan_of(raw)
  local count = read('<H', raw, 2)
  local tail = string.sub(raw, 26 + 8 * count)
  local plan = plans[tail]
  if plan then return plan end
  local text, next = read('<I4c0', tail, 2 + 8 * count)
  local lines, due, more = lines_of(text), {nil, nil}, nil
  if next <= #tail then more = rare().more(tail, next, lines, count) end
  plan = {
    tail = tail, set = string.sub(tail, 1, 1) == '1' and 1 or 2, first = count, count = more and more.count or count,
    lines = more and more.lines or lines, due = due, more = more,
    life = lines[2] > ENDED and format('%.0f', lines[2]) or ENDED_LIFE,
  }
  plan.ended = pack('<H', plan.count)
  for i = 1, plan.count do
    local at = 6 * i - 1
    local s, m = plan.lines[at], plan.lines[at + 2]
    if plan.lines[at + 1] or not m.kind then
      s, m = false, false
    else
      use(s, 0)
    end
    if not plan.lines[at + 4] then
      if m and not m.dirty then change(m, s) end
      local size = #due
      due[size + 1], due[size + 2], due[size + 3] = i, m, s
    end
  end
  plans[tail] = plan
  return plan
end
`;
