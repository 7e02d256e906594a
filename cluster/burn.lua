-- Spent challenges and rates that one node tells the others.
-- KEYS  1 spent ids: a sorted set by the second in which they expire
--       2… one for each rate: the instant in µs at which its bucket is full
-- ARGV  1 node   2 channel   3 most ids to keep   4 number of ids
--       then for each id: the id, the second; then for each rate: its key as the
--       nodes know it, µs per token, burst, tokens taken
-- Gives {ids that were spent already, as 0 and 1 in a string; ids not kept;
--        for each rate how far ahead its instant is, in µs}
-- What it tells the others is a row of records: "B", id, second in 4 bytes; or
-- "R", key, µs ahead in 8 bytes; after the node's 16 digits.
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. t[1])
local room = ARGV[3] - redis.call('ZCARD', KEYS[1])
local out, spent, full, at = {ARGV[1]}, {}, 0, 5
for i = 1, ARGV[4] do
  local id, second = ARGV[at], ARGV[at + 1]
  at = at + 2
  if redis.call('ZSCORE', KEYS[1], id) then
    spent[i] = '1'
  else
    spent[i] = '0'
    if room > 0 then
      redis.call('ZADD', KEYS[1], second, id)
      room = room - 1
    else
      full = full + 1
    end
  end
  out[#out + 1] = struct.pack('<c1c16I4', 'B', id, second)
end
local reply = {table.concat(spent), full}
for i = 2, #KEYS do
  local key, period, burst, taken = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  at = at + 4
  local instant = math.max(tonumber(redis.call('GET', KEYS[i]) or '0'), now) + taken * period
  local ahead = math.ceil(math.min(instant - now, burst * period))
  if ahead > 0 then
    redis.call('SET', KEYS[i], string.format('%.0f', now + ahead), 'PX', math.ceil(ahead / 1000))
  end
  reply[i + 1] = ahead
  out[#out + 1] = struct.pack('<c1c16I8', 'R', key, ahead)
end
redis.call('PUBLISH', ARGV[2], table.concat(out))
return reply
