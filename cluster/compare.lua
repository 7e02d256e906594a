-- compare.lua pours one event into a bucket with conditions or a duration, as
-- scenarios/step.go does it; bucket.lua goes before it. Conditions are asked by the
-- node: it is told the state, comes again with its verdict, and that counts if the
-- token is still the one it was told.
--
-- KEYS  1 state, 2 queue, 3 distinct values, 4 outbox, 5 deadlines, 6 what the last
--       call of this node for this shard answered
-- ARGV  1 rule, 2 pour, 3 depth and texts, 4 record, 5 the token it was told, '?' if
--       none, 6 verdict; see comparecall.go
-- Answer: status u8 · t f64 · gen f64 · first f64 · count u32 · record of the
-- overflow, if one; or, as a list, the same with token [16] · tripped [8] in place of
-- the record, and the queue.
local ASK, POURED, DISCARDED, CANCELLED, BLACKHOLED, OVERFLOWED, STRUCK = 1, 2, 3, 4, 5, 6, 7

local r, p = rule(ARGV[1]), {}
p.seq, p.clock, p.at, p.sent, p.bits, p.times, p.distinct, p.node, p.gen, p.token, p.owner, p.id =
  struct.unpack('<dBddBI4c8Bdc16c8c17', ARGV[2])
local function is(b) return has(p.bits, b) > 0 end
local width, compare, cancel, late, numbered = has(p.bits, WIDTH), is(8), is(16), is(32), is(64)

-- A call that comes again is answered, not run, again.
local before = redis.pcall('GET', KEYS[6])
if type(before) == 'string' and #before > 8 then
  local last = struct.unpack('<d', before)
  if last == p.seq then return before:sub(9) end
  if last > p.seq then return '' end
end

-- Instants came with the node's clock; Redis' own counts, unless they are to be
-- taken as they are (1) or were told before (2).
local now = clock()
local t = p.at
if p.clock == 0 then t = math.min(t + now - p.sent, now) end
local s = load(KEYS[1])

local function done(status, packed)
  local answer = struct.pack('<BdddI4', status, t, s.gen or 0, s.first or 0, s.count) .. (packed or '')
  redis.call('SET', KEYS[6], struct.pack('<d', p.seq) .. answer, 'PX', '60000')
  return answer
end

local e = {id = p.id, owner = p.owner, now = now}
if s.count > 0 and r.timed and t >= s.first + r.life then
  local packed = strike(KEYS, s, r, e)
  save(KEYS, s, r, t, p.token)
  return done(STRUCK, packed)
end
if s.count > 0 and not r.timed and t > s.touched + r.life then
  spill(KEYS, s)
  save(KEYS, s, r, t, p.token)
end

if compare and s.count > 0 and redis.call('ZSCORE', KEYS[3], p.distinct) then return done(DISCARDED) end
if cancel then
  if s.count > 0 then
    spill(KEYS, s)
    save(KEYS, s, r, t, p.token)
  end
  return done(CANCELLED)
end

local told, depth, group, site, incident, source = ARGV[5] == s.token, struct.unpack('<BI2c0I2c0I2c0I2c0', ARGV[3])
if s.count == 0 then
  redis.call('DEL', KEYS[2], KEYS[3])
  s.gen, s.credit, s.last, s.first, s.tripped, s.nodes = p.gen, r.full, t, t, string.rep('\0', 8), nobody
  s.flags = has(s.flags, WATCHED) + DIRECT + DETECT
end
s.count = math.min(s.count + p.times, 4294967295)
s.touched, s.wall, s.depth = t, late and (p.clock == 1 and p.sent or now) or 0, depth
s.flags = has(s.flags, WATCHED + has(p.bits, DIRECT + DETECT)) + width
local n = math.floor(p.node / 8) + 1
if numbered then
  s.nodes = s.nodes:sub(1, n - 1) .. string.char(bit.bor(s.nodes:byte(n), 2 ^ (p.node % 8))) .. s.nodes:sub(n + 1)
end

local fits = true
if r.leaky then
  if t > s.last then s.credit = math.min(r.full, s.credit + t - s.last) end
  fits = s.credit >= r.each
end
if fits and r.judged and not told then
  local queue = {}
  if r.queued then queue = redis.call('LRANGE', KEYS[2], 0, -1) end
  return {struct.pack('<BdddI4c16c8', ASK, t, s.gen, s.first, s.count, s.token, s.tripped), queue}
end

local overflows, tripped, forget = 0, s.tripped, 0
if told and ARGV[6] ~= '' then overflows, tripped, forget = struct.unpack('<Bc8I4', ARGV[6]) end
s.tripped = tripped
if not fits or overflows == 1 then
  e.at, e.last, e.width, e.depth = t, t, width, depth
  e.group, e.site, e.incident, e.source = group, site, incident, source
  local packed = overflow(KEYS, s, r, e)
  spill(KEYS, s)
  save(KEYS, s, r, t, p.token)
  return done(packed and OVERFLOWED or BLACKHOLED, packed)
end

if r.leaky then s.credit, s.last = s.credit - r.each, math.max(s.last, t) end
if compare then
  redis.call('ZADD', KEYS[3], s.count, p.distinct)
  redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -10001)
end
if r.queued then
  redis.call('RPUSH', KEYS[2], ARGV[4])
  redis.call('LTRIM', KEYS[2], math.max(forget, redis.call('LLEN', KEYS[2]) - r.most), -1)
end
if r.timed then
  s.group, s.site, s.source = group, site, source
  local at, member = string.format('%.0f', due(s, r)), KEYS[1]:sub(-16)
  if type(redis.pcall('ZADD', KEYS[5], 'LT', at, member)) == 'table' then
    redis.call('DEL', KEYS[5])
    redis.call('ZADD', KEYS[5], at, member)
  end
  redis.call('PEXPIRE', KEYS[5], '86400000')
end
save(KEYS, s, r, t, p.token)
return done(POURED)
