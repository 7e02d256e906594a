-- Buckets of scenarios that have conditions or a duration, for compare.lua and
-- deadline.lua; record.lua goes before it. The state, little endian:
--
--   version u8 = 1 · flags u8 · depth u8 · token [16] · tripped [8] · gen f64 ·
--   credit f64 · last f64 · first f64 · touched f64 · wall f64 · hole f64 ·
--   count u32 · nodes [32] · (length u16 · text) of group, site and source
--
-- Count 0: a blackhole alone. Wall is when an event came late, 0 if the newest did
-- not; the texts are there where the bucket has a deadline. Instants are in µs.
local has = bit.band
local DIRECT, DETECT, WIDTH, PASSED, WATCHED = 1, 2, 4, 8, 16
local layout, size = '<BBBc16c8dddddddI4c32', 119
local nobody, absent = string.rep('\0', 32), string.rep('\0', 16)

local function load(key)
  local raw = redis.pcall('GET', key)
  local s = {flags = 0, depth = 0, token = absent, hole = 0, count = 0, group = '', site = '', source = ''}
  if type(raw) ~= 'string' or #raw < size + 6 or raw:byte() ~= 1 then return s end
  local _, at
  _, s.flags, s.depth, s.token, s.tripped, s.gen, s.credit, s.last, s.first, s.touched, s.wall, s.hole, s.count, s.nodes, at =
    struct.unpack(layout, raw)
  s.group, s.site, s.source = struct.unpack('<I2c0I2c0I2c0', raw, at)
  return s
end

-- rule reads what a scenario demands; see packRule in comparecall.go.
local function rule(packed)
  local r = {}
  local bits
  bits, r.full, r.each, r.life, r.hole, r.slack, r.most, r.scenario = struct.unpack('<BdddddI4c16', packed)
  r.leaky, r.timed, r.judged, r.queued, r.filtered =
    has(bits, 1) > 0, has(bits, 2) > 0, has(bits, 4) > 0, has(bits, 8) > 0, has(bits, 16) > 0
  return r
end

-- save writes the state as the call with that token leaves it at instant t, or
-- removes it where there is none left. Lives count in the time of the events: late
-- ones may be followed by more for ten minutes, and a deadline waits for its node. A
-- blackhole that is over may still matter to an event that comes out of order.
local function save(keys, s, r, t, token)
  local rest = s.hole > 0 and math.max(s.hole - t + r.slack, 0) or 0
  if s.count > 0 then rest = math.max(rest, r.life) end
  if rest == 0 then
    s.token = absent
    return redis.call('DEL', keys[1])
  end
  s.token = token
  local slack = (r.timed or (s.wall or 0) > 0) and 1200000 or 15000
  local ttl = string.format('%.0f', math.ceil(rest / 1000) + slack)
  redis.call('SET', keys[1], struct.pack(layout .. 'I2c0I2c0I2c0', 1, s.flags, s.depth, s.token, s.tripped or '\0\0\0\0\0\0\0\0',
    s.gen or 0, s.credit or 0, s.last or 0, s.first or 0, s.touched or 0, s.wall or 0, s.hole, s.count, s.nodes or nobody,
    #s.group, s.group, #s.site, s.site, #s.source, s.source), 'PX', ttl)
  if s.count > 0 then
    redis.call('PEXPIRE', keys[2], ttl)
    redis.call('PEXPIRE', keys[3], ttl)
  end
end

-- spill ends the bucket; a blackhole stays.
local function spill(keys, s)
  redis.call('DEL', keys[2], keys[3])
  redis.pcall('ZREM', keys[5], keys[1]:sub(-16))
  s.count, s.group, s.site, s.source = 0, '', '', ''
end

-- overflow notes that the bucket overflowed at instant e.at and returns the record;
-- nil within a blackhole. Where a filter is to be asked, the node begins it later.
local function overflow(keys, s, r, e)
  local flags = has(s.flags, DIRECT + DETECT) + e.width
  if not r.filtered then
    local detect = has(flags, DETECT) > 0
    if s.hole > e.at and (detect or has(s.flags, WATCHED) == 0) then return nil end
    if r.hole > 0 then
      s.hole = e.at + r.hole
      s.flags = has(s.flags, 255 - WATCHED) + (detect and WATCHED or 0)
    end
    flags = flags + PASSED
  end
  local packed = outbox {
    owner = e.owner, stamp = e.now, flags = flags, depth = e.depth, scenario = r.scenario, key = keys[1]:sub(-16),
    gen = s.gen, first = s.first, last = e.last, at = e.at, count = s.count, nodes = s.nodes,
    group = e.group, site = e.site, incident = e.incident, source = e.source,
  }
  post(keys[4], e.id, packed) -- where it is full, the node that is told of this one still concludes it
  return packed
end

-- strike ends the bucket at its deadline and returns the record as overflow does.
local function strike(keys, s, r, e)
  e.at, e.last, e.width, e.depth = s.first + r.life, s.touched, has(s.flags, WIDTH), s.depth
  e.group, e.site, e.incident, e.source = s.group, s.site, '', s.source
  local packed = overflow(keys, s, r, e)
  spill(keys, s)
  return packed
end

-- due is when the deadline has passed for certain: late events may be followed by
-- more.
local function due(s, r)
  if s.wall > 0 then return (math.floor(s.wall / 1000000) + 601) * 1000000 end
  return s.first + r.life
end

local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end
