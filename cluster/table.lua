-- Takes rows of a table that rank above those that are there.
-- KEYS: rows by key; keys by the version that brought them; heads: epoch and versions
-- ARGV: table, channel, epoch, most rows, then key and record of each
-- Reply: 'ok', 'epoch' when Redis was emptied, 'full' when a row found no room.
local rows, order, heads = unpack(KEYS)
local name, channel, epoch, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
if redis.call('HGET', heads, 'epoch') ~= epoch then return 'epoch' end
local told, answer = false, 'ok'
for i = 5, #ARGV, 2 do
  local key, record = ARGV[i], ARGV[i + 1]
  local there = redis.call('HGET', rows, key)
  if not there and redis.call('HLEN', rows) >= most then
    answer = 'full'
  elseif not there or string.sub(there, 1, 64) < string.sub(record, 1, 64) then
    redis.call('HSET', rows, key, record)
    redis.call('ZADD', order, redis.call('HINCRBY', heads, 'v:' .. name, 1), key)
    told = true
  end
end
if told then redis.call('PUBLISH', channel, name) end
return answer
