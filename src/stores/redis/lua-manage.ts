import { SHUT_MS } from '../retention.ts';

/**
 * All but reservations and settlements. KEYS: the two sorted sets, the marker of a store that was made, then scopes. ARGV: what
 * to do, and:
 *
 * - `open`: `1` to look at the server's memory, `1` to need the marker, forget-after or 0, at most so many leases to sweep; then
 *   of each scope its name and a generation. Answers a word, and with `opened` the generations;
 * - `read`: names. Answers of each `{0}` or `{1, counter, used, held, ...}`;
 * - `sweep`: at most so many leases. Answers the ids;
 * - `shut`, `resume`: a name; `stop`: a name and a generation; `initialize`.
 */
export const LUA_MANAGE: string = `
local SHUT = ${SHUT_MS}
local answer = {'ok'}

local function scope_named(name)
  local s = scopes[name]
  if s then return s end
  local got = call('HMGET', base .. 's:' .. name, 'g', 't')
  return read_scope(name, got[1], got[2])
end

local function write(s)
  if not s.dirty then
    s.dirty = true
    written[#written + 1] = s
  end
end

local function make(s, generation, forget)
  -- To be made is not yet to have seen a time.
  s.g, s.flag, s.forget, s.now = generation, 'o', forget, 0
  write(s)
  use(s, 0)
end

local function flag(s, as)
  s.flag, s.fresh = as, true
  write(s)
end

-- Has holds forfeited whose lease has ended; answers their ids.
local function sweep(most)
  local ids = {}
  items = {0}
  for set = 1, 2 do
    local ended = call('ZRANGEBYSCORE', KEYS[set], '-inf', format('%.0f', T), 'LIMIT', '0', most - #ids)
    for i = 1, #ended do
      local key = ended[i]
      local raw = call('GET', key)
      if raw and string.sub(raw, 1, 1) == 'H' then
        holds[key] = raw
        ids[#ids + 1], keys[#keys + 1], items[#items + 1] = string.sub(key, #base + 3), key, 5
      else
        -- Time has taken it away with its scopes.
        unleased[set][#unleased[set] + 1] = key
      end
    end
  end
  return ids
end

local function open()
  if ARGV[2] == '1' then
    local info = redis.pcall('INFO', 'memory')
    if type(info) ~= 'string' then return {'unknown'} end
    local policy = string.match(info, 'maxmemory_policy:([^\\r\\n]*)')
    if string.match(info, 'maxmemory:(%d+)') ~= '0' and policy ~= 'noeviction' then return {'evicts'} end
  end
  if ARGV[3] == '1' and call('EXISTS', KEYS[3]) == 0 then return {'empty'} end
  local told = {'opened'}
  for i = 6, #ARGV, 2 do
    local s = scope_named(ARGV[i])
    if s.g then
      use(s, 0)
    else
      make(s, ARGV[i + 1], tonumber(ARGV[4]))
    end
    told[#told + 1] = s.g
  end
  sweep(tonumber(ARGV[5]))
  return told
end

local function exact(integer)
  return integer > 4503599627370496 and format('%.0f', integer) or integer
end

local function readings()
  local told = {}
  for i = 2, #ARGV do
    local name = ARGV[i]
    local fields, values, readings = call('HGETALL', base .. 's:' .. name), {}, {0}
    for j = 1, #fields, 2 do values[fields[j]] = fields[j + 1] end
    if values.g then
      local s = scopes[name] or read_scope(name, values.g, values.t)
      readings[1] = 1
      use(s, 0)
      if s.now > s.clock and s.flag ~= 'c' then write(s) end
      for j = 1, #fields, 2 do
        if string.sub(fields[j], 1, 2) == 'm:' then
          local m = read_meter(s, fields[j], fields[j + 1])
          readings[#readings + 1] = string.sub(m.field, 3)
          readings[#readings + 1] = exact(m.used)
          readings[#readings + 1] = exact(m.held)
        end
      end
    end
    told[i - 1] = readings
  end
  return told
end

local what = ARGV[1]
if what == 'open' then
  answer = open()
elseif what == 'read' then
  answer = readings()
elseif what == 'sweep' then
  answer = sweep(tonumber(ARGV[2]))
elseif what == 'initialize' then
  call('SET', KEYS[3], format('%.0f', T))
else
  local s = scope_named(ARGV[2])
  if what == 'stop' and not s.g then make(s, ARGV[3], 0) end
  if s.g and s.flag ~= 'c' then
    use(s, 0)
    if what == 'shut' then
      flag(s, 'c')
      s.ends, s.expires, s.emptied = T + SHUT, true, true
    else
      flag(s, what == 'stop' and 'p' or 'o')
    end
  end
end
`;
