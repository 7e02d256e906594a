-- deadline.lua ends a bucket whose deadline has passed; bucket.lua goes before it.
-- KEYS  as in compare.lua, 1 to 5
-- ARGV  1 rule, 2 now in µs, 0: Redis' own clock, 3 owner, 4 id in the outbox
-- Answer: the record; '' if it is not over, or within a blackhole.
local r, s = rule(ARGV[1]), load(KEYS[1])
local now = tonumber(ARGV[2])
if now == 0 then now = clock() end
local member = KEYS[1]:sub(-16)
if s.count == 0 then
  redis.call('ZREM', KEYS[5], member)
  return ''
end
if due(s, r) > now then
  redis.call('ZADD', KEYS[5], string.format('%.0f', due(s, r)), member)
  return ''
end
local packed = strike(KEYS, s, r, {id = ARGV[4], owner = ARGV[3], now = clock()})
save(KEYS, s, r, s.first + r.life, ARGV[4]:sub(2, 17))
return packed or ''
