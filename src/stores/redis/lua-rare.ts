/** What few scripts need, and most do without making it: `rare().name(...)`. */
export const LUA_RARE = `
local made
rare = function()
  if made then return made end

  local function tell(a, b, c, d)
    out[filled + 1], out[filled + 2], out[filled + 3], out[filled + 4] = a, b, c, d
    filled = filled + (d and 4 or 3)
  end

  local function save(key, raw, life)
    holds[key] = raw
    puts[put + 1], puts[put + 2], puts[put + 3] = key, raw, life
    put = put + 3
  end

  -- Steps between the first and the last one.
  local function step_at(m, s, number)
    local when, units = read('<dd', m.steps and m.steps[number] or call('HGET', s.key, format('r:%.0f:', number) .. m.field))
    return when, units
  end

  local function put_step(m, number, when, units)
    m.steps = m.steps or {}
    m.steps[number] = pack('<dd', when, units)
  end

  -- Lets go the steps that are outside of the window as a whole.
  local function evict(m, s)
    local oldest, dropped = floor((s.now - m.ms) / m.step), {}
    m.dropped = dropped
    if m.li < oldest then
      for number = m.f + 1, m.l - 1 do dropped[#dropped + 1] = number end
      m.used, m.f = 0, m.l + 1
      return
    end
    while m.f < m.l and m.fi < oldest do
      m.used, m.f = m.used - m.fu, m.f + 1
      if m.f < m.l then
        m.fi, m.fu = step_at(m, s, m.f)
        dropped[#dropped + 1] = m.f
      end
    end
  end

  local function take_back(m, s, units, mark)
    if not m.dirty then change(m, s) end
    if m.kind == 'r' then
      if mark < m.f or mark > m.l then return end
      local when, have
      if mark == m.l then
        have = m.lu
      elseif mark == m.f then
        have = m.fu
      else
        when, have = step_at(m, s, mark)
      end
      local taken = units < have and units or have
      m.used = m.used - taken
      if mark == m.l then
        m.lu = have - taken
      elseif mark == m.f then
        m.fu = have - taken
      else
        put_step(m, mark, when, have - taken)
      end
    elseif m.kind == 't' or (mark == m.starts and m.late == 0) then
      m.used = units < m.used and m.used - units or 0
    end
  end

  -- Moves a calendar on to a later window, which has what was booked in it before it was named.
  local function turn(m, s, starts, ends)
    if not m.dirty then change(m, s) end
    if m.late < starts then m.used = 0 end
    m.starts, m.ends, m.late = starts, ends, 0
  end

  -- Milliseconds until time alone has let so many units go; -1 where it never does.
  local function until_freed(m, s, units)
    local ends
    if m.kind == 'r' then
      local freed, number = 0, m.f
      while number <= m.l and not ends do
        local when, more
        if number == m.l then
          when, more = m.li, m.lu
        elseif number == m.f then
          when, more = m.fi, m.fu
        else
          when, more = step_at(m, s, number)
        end
        freed = freed + more
        if freed >= units then ends = (when + 1) * m.step + m.ms end
        number = number + 1
      end
    elseif m.kind == 'c' and units <= m.used then
      ends = m.ends
    end
    if not ends then return -1 end
    return ends - T < 1 and 1 or ends - T
  end

  -- Adds the fields of steps that are to be written; answers those that are to be dropped.
  local function steps(m, set, size)
    local dropped = {}
    for i = 1, m.dropped and #m.dropped or 0 do
      dropped[i] = format('r:%.0f:', m.dropped[i]) .. m.field
      if m.steps then m.steps[m.dropped[i]] = nil end
    end
    for number, packed in pairs(m.steps or {}) do
      set[size + 1], set[size + 2] = format('r:%.0f:', number) .. m.field, packed
      size = size + 2
    end
    return size, dropped
  end

  -- In parts, each no more than the stack holds.
  local function send(list, ...)
    for first = 1, #list, 1000 do
      local part, last = {...}, first + 999 < #list and first + 999 or #list
      for i = first, last do part[#part + 1] = list[i] end
      call(unpack(part))
    end
  end

  -- What extensions have added to a hold: all lines, how many, and of the added ones amounts and marks by their number.
  local function more(tail, next, lines, count)
    local all, amounts, marks, names = {}, {}, {}, {}
    -- There may be more than the stack holds.
    for i = 1, #lines do all[i] = lines[i] end
    while next <= #tail do
      local key, added, text
      key, added, next = read('<I4c0H', tail, next)
      names[#names + 1] = key
      for i = 1, added do
        amounts[count + i] = read('<d', tail, next + 8 * (i - 1))
        marks[count + i] = read('<d', tail, next + 8 * (added + i - 1))
      end
      text, next = read('<I4c0', tail, next + 16 * added)
      lines = lines_of(text)
      for i = 5, #lines do all[#all + 1] = lines[i] end
      count = count + added
    end
    return {lines = all, count = count, amounts = amounts, marks = marks, keys = names}
  end

  -- Says why an amount does not fit: it never can, the window is used up, or open holds are in the way.
  local function refuse(shape, i, room, before, amount)
    local m, limit, own = shape.ms[i], shape.force and MAX or shape.caps[i], before + amount
    if amount > MAX then error('an amount past 2 ** 53 - 1') end
    if own > limit then
      tell(10, i - 1, room, -1)
    elseif m.used + own > limit then
      tell(11, i - 1, room, until_freed(m, shape.lines[6 * i - 1], amount - room))
    else
      tell(12, i - 1, room, -1)
    end
    return false
  end

  -- Whether all lines fit: with refusals that amounts do not matter for, calendars, several lines on one counter, and force.
  local function fits(shape, from, start)
    local ms, own = shape.ms, {}
    for i = 1, shape.count do
      local m, cap, amount, s = ms[i], shape.caps[i], items[from + i], shape.lines[6 * i - 1]
      local span, limit, before = shape.lines[6 * i + 2], shape.force and MAX or cap, own[m] or 0
      if i == shape.last then
        tell(shape.why, i - 1, shape.why == 17 and s.now or T)
        return false
      end
      if span and m.kind == 'c' and span[1] > m.starts then turn(m, s, span[1], span[2]) end
      if own[m] then
        for j = 1, i - 1 do
          if ms[j] == m then out[start + j] = out[start + j] - amount end
        end
      end
      own[m] = before + amount
      local room = limit - m.used - m.held - before
      if amount > room and amount > 0 then return refuse(shape, i, room, before, amount) end
      out[start + i] = room - limit + cap - amount
    end
    return true
  end

  local STATES = {H = 1, S = 2, F = 3, C = 3}
  -- Whether the id is known, which is answered then.
  local function repeats(shape, raw, from, onto)
    local asked = shape.asked .. pack(shape.doubles, unpack(items, from + 1, from + shape.count))
    local state, same = string.sub(raw, 1, 1), string.sub(raw, 2, #asked + 1) == asked
    if state == 'X' then
      local target = string.sub(raw, 26 + 8 * read('<H', raw, 2))
      raw = holds[target] or call('GET', target)
      if not raw then return false end
      state = string.sub(raw, 1, 1)
      same = same and onto == target
    elseif onto then
      same = false
    end
    if state == 'V' then
      tell(16, -1, T)
    elseif not same then
      tell(15, -1, T)
    else
      filled = filled + 1
      out[filled] = STATES[state]
      for i = 1, shape.count do
        local m = shape.ms[i]
        filled = filled + 1
        out[filled] = shape.lines[6 * i] and shape.caps[i] or shape.caps[i] - m.used - m.held
      end
    end
    return true
  end

  -- Lets extensions be known as long as their hold.
  local function keep(extensions, life)
    for i = 1, #extensions do
      local raw = holds[extensions[i]] or call('GET', extensions[i])
      if raw then save(extensions[i], raw, life) end
    end
  end

  -- Adds to an open hold.
  local function extend(shape, id, asked, marked, onto)
    local raw, life, ends = holds[onto], false, T + shape.lease
    local plan = plan_of(raw)
    local set, lines, more = plan.set, plan.lines, plan.more
    if shape.count > 0 then
      raw = raw .. pack('<I4', #id) .. id .. string.sub(asked, 1, 2) .. string.sub(asked, 25) .. marked .. shape.text
    end
    if set == 2 then
      -- Its lease may be longer than this one, and older than this script or not.
      local was = tonumber(call('ZSCORE', KEYS[2], onto) or 0)
      for i = 1, #leased[2], 2 do
        if leased[2][i + 1] == onto and tonumber(leased[2][i]) > was then was = tonumber(leased[2][i]) end
      end
      if was > ends then ends = was end
      life = ends - T + ENDED
      for _, each in ipairs({lines, shape.lines}) do
        for at = 5, #each, 6 do
          local s = each[at]
          if s.g then use(s, ends - T) end
          if s.g and s.ends - T > life then life = s.ends - T end
        end
      end
      if shape.count > 0 and shape.set == '1' then
        -- From now on it is kept for a scope that is.
        unleased[2][#unleased[2] + 1] = onto
        local at = 26 + 8 * plan.first
        set, life, raw = 1, false, string.sub(raw, 1, at - 1) .. '1' .. string.sub(raw, at + 1)
      elseif life > lasts then
        lasts = life
      end
      life = life and format('%.0f', life)
    end
    save(onto, raw, life)
    if more then keep(more.keys, life) end
    if shape.count > 0 then save(id, 'X' .. asked .. onto, life) end
    local list = leased[set]
    list[#list + 1] = format('%.0f', ends)
    list[#list + 1] = onto
  end

  -- How many amounts a settlement needs, where they matter.
  local function needed(raw)
    local state = raw and string.sub(raw, 1, 1) or 'V'
    if state == 'S' or state == 'C' then return read('<H', raw, #raw - 1) end
    if state == 'H' or state == 'F' then return plan_of(raw).count end
  end

  -- One settlement with a wrong number of amounts keeps all that are asked together from being applied.
  local function agree(next, key, asked)
    local wrong, lines
    for i = 0, asked - 1 do
      local has = items[next] == 3 and items[next + 1]
      local needs = has and needed(holds[keys[key + i]])
      if needs and has ~= needs and not wrong then wrong, lines = i, needs end
      next = next + (has and 2 + has or 1)
    end
    if wrong then
      tell(0, wrong, lines)
      return next, key + asked
    end
  end

  -- Takes back what a hold booked when it was reserved.
  local function give_back(plan, raw)
    for i = 1, plan.count do
      local at = 6 * i - 1
      local s, gone, m = plan.lines[at], plan.lines[at + 1], plan.lines[at + 2]
      if plan.lines[at + 4] and not gone and m.kind then
        local first = i <= plan.first
        local amount = first and read('<d', raw, 18 + 8 * i) or plan.more.amounts[i]
        local mark = first and read('<d', plan.tail, 8 * i - 6) or plan.more.marks[i]
        take_back(m, s, amount, mark)
      end
    end
  end

  made = {
    tell = tell, save = save,
    put_step = put_step, evict = evict, turn = turn, until_freed = until_freed, steps = steps, send = send, more = more,
    refuse = refuse, fits = fits, repeats = repeats, extend = extend, keep = keep, needed = needed, agree = agree,
    give_back = give_back,
  }
  return made
end
`;
