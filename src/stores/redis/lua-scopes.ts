/**
 * What every script begins with: the server's time, scopes and their counters. Scripts read, and change tables of their own;
 * what has changed is written when everything is decided, so that a script that fails has changed nothing.
 *
 * A scope is a hash. Its field `g` is a flag, `o` open, `p` stopped or `c` shut, and the generation. Numbers are IEEE 754
 * doubles, little-endian, and so exact up to 2 ** 53: `tostring`, `..` and cjson.encode would round them. The field `t` has the
 * highest time that was seen, for how long the scope is kept unused (0: for ever), and when it is forgotten. Each counter is a
 * field `m:name`, whose length tells its kind:
 *
 * - a total: used, held;
 * - a calendar: used, held, start, end, and when something was booked after the end, or 0;
 * - a rolling window: used, held, ms, step, and of the first and of the last step that holds something its number, when it was
 *   in steps, and its units. The steps between are fields `r:number:m:name`: when, units.
 *
 * Much of a script's time goes to making functions, tables that grow, and numbers in decimal. So what is seldom needed is made
 * when it is, in `lua-rare.ts`, and tables are made as large as they mostly get: `{nil, nil}` is an empty one with room for two.
 */
export const LUA_SCOPES = `
local call, pack, read, floor, format = redis.call, struct.pack, struct.unpack, math.floor, string.format
local MAX = 9007199254740991
local base = string.sub(KEYS[1], 1, -2)
local time = redis.call('TIME')
local T = time[1] * 1000 + floor(time[2] / 1000)
local scopes, written = {a = nil}, {nil}
local rare

local function read_scope(name, flagged, times)
  local g, flag, now, forget, ends = false, false, T, 0, 0
  if flagged then
    flag, g = string.sub(flagged, 1, 1), string.sub(flagged, 2)
    now, forget, ends = read('<ddd', times)
  end
  local s = {
    key = base .. 's:' .. name, g = g, flag = flag, clock = now, now = now > T and now or T, forget = forget, ends = ends,
    dirty = false, expires = false, fresh = not g, meters = {a = nil, b = nil, c = nil, d = nil},
    changed = {nil, nil, nil, nil},
  }
  scopes[name] = s
  return s
end

local function read_meter(s, field, packed)
  local m
  if not packed then
    m = {
      field = field, kind = false, used = 0, held = 0, ms = 0, step = 0, f = 1, fi = 0, fu = 0, l = 0, li = 0, lu = 0,
      dirty = false,
    }
  elseif #packed == 16 then
    local used, held = read('<dd', packed)
    m = {field = field, kind = 't', used = used, held = held, dirty = false}
  elseif #packed == 80 then
    local used, held, ms, step, f, fi, fu, l, li, lu = read('<dddddddddd', packed)
    m = {
      field = field, kind = 'r', used = used, held = held, ms = ms, step = step, f = f, fi = fi, fu = fu, l = l, li = li,
      lu = lu, dirty = false,
    }
    if f <= l and (f == l and li or fi) < floor((s.now - ms) / step) then rare().evict(m, s) end
  else
    local used, held, starts, ends, late = read('<ddddd', packed)
    -- What was booked in a window that is over counts no more.
    if late == 0 and s.now >= ends then used = 0 end
    m = {field = field, kind = 'c', used = used, held = held, starts = starts, ends = ends, late = late, dirty = false}
  end
  s.meters[field] = m
  return m
end

local function change(m, s)
  m.dirty = true
  s.changed[#s.changed + 1] = m
  if not s.dirty then
    s.dirty = true
    written[#written + 1] = s
  end
end

-- Keeps a temporary scope from being forgotten; not at every use, so that most uses cost nothing.
local function use(s, lease)
  if s.forget > 0 and s.ends < T + s.forget + lease and s.flag ~= 'c' then
    s.ends = T + s.forget + lease + floor(s.forget / 8)
    s.expires = true
    if not s.dirty then
      s.dirty = true
      written[#written + 1] = s
    end
  end
end

-- Answers what take_back needs to find the booking again.
local function book(m, s, units)
  if not m.dirty then change(m, s) end
  local sum = m.used + units
  if sum > MAX then sum = MAX end
  if m.kind == 'c' then
    -- After its end a window waits for a reservation to name the next one, which gets what is booked meanwhile.
    if s.now >= m.ends then m.late = s.now end
    m.used = sum
    return m.starts
  end
  local added = sum - m.used
  m.used = sum
  if m.kind == 't' then return 0 end
  local index = floor(s.now / m.step)
  if m.f > m.l or m.li ~= index then
    if m.f == m.l then
      m.fi, m.fu = m.li, m.lu
    elseif m.f < m.l then
      rare().put_step(m, m.l, m.li, m.lu)
    end
    m.l, m.li, m.lu = m.l + 1, index, 0
  end
  m.lu = m.lu + added
  return m.l
end
`;
