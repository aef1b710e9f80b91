/** Writes what has changed. What may fail comes first: a sorted set that is none. */
export const LUA_WRITE = `
for set = 1, 2 do
  local key, added, removed = KEYS[set], leased[set], unleased[set]
  if #added > 1000 then
    rare().send(added, 'ZADD', key, 'GT')
  elseif #added > 0 then
    call('ZADD', key, 'GT', unpack(added))
  end
  if #removed > 1000 then
    rare().send(removed, 'ZREM', key)
  elseif #removed > 0 then
    call('ZREM', key, unpack(removed))
  end
end
if lasts > 0 and call('PTTL', KEYS[2]) < lasts then call('PEXPIRE', KEYS[2], format('%.0f', lasts + lasts / 8)) end
for i = 1, #written do
  local s = written[i]
  local set, size = {'t', pack('<ddd', s.now, s.forget, s.ends), nil, nil, nil, nil, nil, nil, nil, nil, nil, nil}, 2
  if s.fresh then
    set[3], set[4], size = 'g', s.flag .. s.g, 4
  end
  for j = 1, #s.changed do
    local m = s.changed[j]
    set[size + 1] = m.field
    if m.kind == 't' then
      set[size + 2] = pack('<dd', m.used, m.held)
    elseif m.kind == 'r' then
      set[size + 2] = pack('<dddddddddd', m.used, m.held, m.ms, m.step, m.f, m.fi, m.fu, m.l, m.li, m.lu)
    else
      set[size + 2] = pack('<ddddd', m.used, m.held, m.starts, m.ends, m.late)
    end
    size = size + 2
    if m.steps or m.dropped then
      local dropped
      size, dropped = rare().steps(m, set, size)
      rare().send(dropped, 'HDEL', s.key)
    end
  end
  if s.emptied then call('DEL', s.key) end
  if size > 1000 then
    rare().send(set, 'HSET', s.key)
  else
    call('HSET', s.key, unpack(set, 1, size))
  end
  if s.expires then call('PEXPIRE', s.key, format('%.0f', s.ends - T)) end
end
for i = 1, put, 3 do
  if puts[i + 2] then
    call('SET', puts[i], puts[i + 1], 'PX', puts[i + 2])
  else
    call('SET', puts[i], puts[i + 1])
  end
end
`;
