-- Forgets deleted rows of a table that nobody has written anew.
-- KEYS: rows by key; keys by the version that brought them
-- ARGV: key and rank of each
local rows, order = unpack(KEYS)
for i = 1, #ARGV, 2 do
  local there = redis.call('HGET', rows, ARGV[i])
  if there and string.sub(there, 1, 64) == ARGV[i + 1] then
    redis.call('HDEL', rows, ARGV[i])
    redis.call('ZREM', order, ARGV[i])
  end
end
return 1
