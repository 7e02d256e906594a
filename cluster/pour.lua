-- pour.lua puts a batch of pours into leaky buckets and into triggers with a
-- blackhole, as scenarios/step.go does it in memory. Overflows go into the outbox;
-- record.lua goes before it.
-- Instants and credit are whole microseconds in doubles, which hold them exactly as
-- long as nothing makes a text of them.
--
-- KEYS  1 what the last call of this node and group answered, 2… a state for each
--       bucket; further ones only tell a Redis Cluster what else is touched.
-- ARGV  1 head, 2 scenarios, 3 buckets, each with its pours, 4 what goes into the
--       outbox, 5… the time to live for each scenario; see pourcall.go.
--
-- State, little endian: flags u8 · credit f64 · last f64 · first f64 · touched f64 ·
-- count u32 · gen u32 · [hole f64] · a byte for each node that poured; or of a
-- blackhole alone: flags u8 · hole f64. Flags: 1 direct, 2 detect, 16 there is a
-- hole, 32 only detecting sites began it, 64 there is a bucket.
-- Answer: expired, poured, discarded, cancelled, blackholed, broken, forgotten u32 ·
-- events, see pourreply.go.
local unpk, pack, sub, byte, floor = struct.unpack, struct.pack, string.sub, string.byte, math.floor
local call = redis.call

local seq, sent, slack, gens, ns, nb, owner, instance, p = unpk('<dddI4I2I2c8c8', ARGV[1])
local me = sub(ARGV[1], p)

-- A call that comes again is answered, not run, again.
local before = redis.pcall('GET', KEYS[1])
if type(before) == 'string' and #before >= 8 then
  local last = unpk('<d', before)
  if last == seq then return sub(before, 9) end
  if last > seq then return '' end
end

-- Instants came with the node's clock; Redis' own counts. sent < 0: as they are.
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
local shift, latest = 0, 2 ^ 53
if sent >= 0 then shift, latest = now - sent, now end

local scenarios = {}
p = 1
for i = 1, ns do
  local full, each, life, blackhole, kind, id
  full, each, life, blackhole, kind, id, p = unpk('<ddddBc16', ARGV[2], p)
  -- PXAT rather than PX: Redis would make the one of the other, at some cost.
  scenarios[i] = {full, each, life, blackhole, kind, id, string.format('%.0f', floor(now / 1000) + ARGV[4 + i])}
end

local expired, poured, discarded, cancelled, blackholed, broken, forgotten = 0, 0, 0, 0, 0, 0, 0
local out, outs, records = {}, 0, 0

local function beside(key, letter) return sub(key, 1, -19) .. letter .. sub(key, -17) end

-- fresh adds a distinct value to a bucket's set; false: it was there.
local function fresh(key, value, count)
  local set = beside(key, 'd')
  if count >= 10000 and redis.pcall('SCARD', set) == 10000 then
    if redis.call('SISMEMBER', set, value) == 1 then return false end
    call('SPOP', set)
  end
  local n = redis.pcall('SADD', set, value)
  if type(n) == 'table' then
    broken = broken + 1
    call('DEL', set)
    call('SADD', set, value)
    return true
  end
  return n == 1
end

-- spill notes the overflow of pour number pos of an item; from pours of the item
-- came before its bucket began.
local function spill(key, s, item, pos, from, w, info, first, at, count, gen, nodes)
  local mask = {}
  for i = 1, 32 do mask[i] = 0 end
  for i = 1, #nodes do
    local n = byte(nodes, i)
    local m = floor(n / 8) + 1
    mask[m] = bit.bor(mask[m], 2 ^ (n % 8))
  end
  mask = string.char(unpack(mask))
  local flags = w % 8
  if s[5] < 4 then flags = flags + 8 end
  records = records + 1
  local depth, group, site, incident, source = byte(info), unpk('<I2c0I2c0I2c0I2c0', info, 2)
  local full, anew = post(sub(key, 1, -19) .. 'o', instance .. pack('<dI2', seq, records), outbox {
    owner = owner, stamp = now, flags = flags, depth = depth, scenario = s[6], key = sub(key, -16),
    gen = gen, first = first, last = at, at = at, count = count, nodes = mask,
    group = group, site = site, incident = incident, source = source,
  })
  if full then forgotten = forgotten + 1 end
  if anew then broken = broken + 1 end
  outs = outs + 1
  out[outs] = pack('<BI2I2I2I4ddI4BI2c32', 2, item, pos, from, gen, first, at, count, flags, records, mask)
end

local states = call('MGET', unpack(KEYS, 2, nb + 1))
local items, infos = ARGV[3], ARGV[4]
local item, q, si = 0, 1, -1
local full, each, life, blackhole, ttl, s, trigger, distinct, filtered
p = 1
for b = 1, nb do
  local key, raw = KEYS[b + 1], states[b]
  local sn, n, t, count, w, len
  sn, n, t, count, w, len, p = unpk('<I2I2dI2BI2', items, p)
  if sn ~= si then
    si, s = sn, scenarios[sn]
    full, each, life, blackhole, ttl = s[1], s[2], s[3], s[4], s[7]
    trigger, distinct, filtered = s[5] % 2 == 1, s[5] % 4 >= 2, s[5] >= 4
  end
  local f, credit, last, first, touched, cnt, gen, hole, nodes = 0, 0, 0, 0, 0, 0, 0, -1, ''
  local filled, dirty = false, false

  if raw then
    local size, sound = #raw, false
    f = byte(raw) or 0
    local holed = f % 32 >= 16
    if f >= 64 and size >= (holed and 49 or 41) and size <= 305 then
      local from
      f, credit, last, first, touched, cnt, gen, from = unpk('<BddddI4I4', raw)
      if holed then hole, from = unpk('<d', raw, from) end
      nodes, filled = sub(raw, from), true
      sound = f < 128 and credit >= 0 and credit <= full and last >= 0 and last < 1e16 and first >= 0 and first < 1e16
        and touched >= 0 and touched < 1e16 and cnt > 0 and hole >= -1 and hole < 1e16
    elseif f < 64 and holed and size == 9 then
      f, hole = unpk('<Bd', raw)
      sound = hole >= 0 and hole < 1e16
    end
    if not sound then -- not ours: the bucket starts anew
      broken = broken + 1
      f, hole, filled, dirty = 0, -1, false, true
    end
  end

  for j = 1, n do
    local value
    if j > 1 then t, count, w, len, p = unpk('<dI2BI2', items, p) end
    if w % 32 >= 16 then value, p = sub(items, p, p + 7), p + 8 end
    t = t + shift
    if t > latest then t = latest end

    local done, from = 0, 0
    local marks = w % 4
    if trigger then -- it overflows at once
      poured = poured + count
      cnt, first, gen, nodes = 1, t, 0, me
      filled = false
    elseif filled and t > touched + life then
      filled, dirty = false, true
      expired = expired + 1
    end
    while done < count do
      local over = true
      if trigger then
        f = f - f % 4 + marks
        done = done + 1
      else
        if value and filled and not fresh(key, value, cnt) then
          discarded = discarded + count - done
          break
        end
        if w % 16 >= 8 then
          cancelled = cancelled + count - done
          filled, dirty = false, true
          break
        end
        if not filled then
          credit, last, first, cnt, gen, nodes = full, t, t, 0, gens, ''
          gens = (gens + 1) % 4294967296
          f = f % 64 - f % 4 + 64 + marks
          filled, from = true, done
          if distinct then call('DEL', beside(key, 'd')) end
          if value then fresh(key, value, 0) end
        end
        touched, dirty = t, true
        if nodes ~= me and me ~= '' and not string.find(nodes, me, 1, true) then nodes = nodes .. me end
        if f % 4 ~= marks then f = bit.band(f, 252 + marks) end
        if t > last then
          credit = credit + (t - last)
          if credit > full then credit = full end
        end
        -- Equal pours at one instant: as many as fit go in at once.
        local k = count - done
        if value then k = 1 end
        local fits = k
        if each > 0 then fits = floor(credit / each) end
        if k <= fits then
          over = false
          credit, cnt, done, poured = credit - k * each, cnt + k, done + k, poured + k
          if t > last then last = t end
        else
          cnt, done, poured = cnt + fits + 1, done + fits + 1, poured + fits + 1
        end
      end
      if over then
        filled = false
        if f >= 64 then f = f - 64 end
        local detect = f % 4 >= 2
        if not filtered and hole > t and (detect or f % 64 < 32) then
          blackholed = blackholed + 1
        else
          if not filtered and blackhole > 0 then
            hole, dirty = t + blackhole, true
            f = f % 4 + 16 + (detect and 32 or 0)
          end
          local flags = f % 4
          if w % 8 >= 4 then flags = flags + 4 end
          spill(key, s, item, done, from, flags, sub(infos, q, q + len - 1), first, t, cnt, gen, nodes)
        end
        from = done
      end
    end
    if w >= 32 and filled and done > from then
      outs = outs + 1
      out[outs] = pack('<BI2I2I2I4I4', 1, item, done, from, gen, cnt)
    end
    item, q = item + 1, q + len
  end

  if dirty then
    -- A blackhole that is over cannot matter to an event that comes a little late.
    if hole >= 0 and hole <= t - slack then
      hole, f = -1, f - 16
      if f % 64 >= 32 then f = f - 32 end
    end
    local keep = ttl
    if hole >= 0 then
      local ms = floor((now + hole - t + slack) / 1000) + 1
      if not filled or ms > tonumber(ttl) then keep = string.format('%.0f', ms) end
    end
    if cnt > 4294967295 then cnt = 4294967295 end
    if filled and hole < 0 then
      call('SET', key, pack('<BddddI4I4c0', f, credit, last, first, touched, cnt, gen, nodes), 'PXAT', keep)
    elseif filled then
      call('SET', key, pack('<BddddI4I4dc0', f, credit, last, first, touched, cnt, gen, hole, nodes), 'PXAT', keep)
    elseif hole >= 0 then
      -- Cancelled or over, the bucket has left its flag.
      call('SET', key, pack('<Bd', f % 64, hole), 'PXAT', keep)
    elseif raw then
      call('DEL', key)
    end
    if distinct then
      if filled then call('PEXPIREAT', beside(key, 'd'), keep) else call('DEL', beside(key, 'd')) end
    end
  end
end

local answer = pack('<I4I4I4I4I4I4I4', expired, poured, discarded, cancelled, blackholed, broken, forgotten) .. table.concat(out)
call('SET', KEYS[1], pack('<d', seq) .. answer, 'PX', '3600000')
return answer
