-- Takes or renews a lease, or gives it back.
-- KEYS  1 the lease: its owner, until it expires
-- ARGV  1 owner   2 time to live in ms, 0 to give it back
-- Gives 1 if the owner has it now
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
