-- Takes out what is over: decisions, old alerts, tombstones; at most a few each.
-- KEYS: log d du a au uuid t
-- ARGV: most of each at a time, decisions and alerts to keep, ms to keep alerts for, and log entries and tombstones
-- Reply: decisions, alerts and tombstones taken out.
local log, d, du, a, au, uuid, t = unpack(KEYS)
local most, decisions, alerts = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)

-- the members of set that are before an instant, or those with the lowest scores above a limit
local function old(set, before, limit)
  local list = redis.call('ZRANGEBYSCORE', set, '-inf', before, 'LIMIT', 0, most)
  local over = math.min(redis.call('ZCARD', set) - limit, most)
  if #list < over then list = redis.call('ZRANGE', set, 0, over - 1) end
  return list
end

local gone = old(du, now, decisions)
for _, id in ipairs(gone) do
  redis.call('HDEL', d, id)
  redis.call('ZREM', du, id)
end
local told = old(au, now - ARGV[4], alerts)
for _, member in ipairs(told) do
  local id, name = string.match(member, '^(%d+):(.*)$')
  redis.call('ZREM', au, member)
  if id then
    redis.call('HDEL', a, id)
    if redis.call('HGET', uuid, name) == id then redis.call('HDEL', uuid, name) end
  end
end
local marks = old(t, now - ARGV[5], decisions)
for _, member in ipairs(marks) do redis.call('ZREM', t, member) end
redis.call('XTRIM', log, 'MINID', '~', string.format('%.0f', now - ARGV[5]))
return {#gone, #told, #marks}
