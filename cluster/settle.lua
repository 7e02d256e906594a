-- settle.lua deletes the record of an overflow whose alert is recorded, or renews its
-- stamp while that takes long; in either case only if the node still owns it.
-- KEYS 1 outbox; ARGV 1 id, 2 owner, 3 'delete' or 'renew'. Answer: 1, or 0 if the
-- record is gone or another's.
local box = redis.call('HGET', KEYS[1], ARGV[1])
if not box or box:sub(2, 9) ~= ARGV[2] then return 0 end
if ARGV[3] == 'delete' then return redis.call('HDEL', KEYS[1], ARGV[1]) end
local time = redis.call('TIME')
redis.call('HSET', KEYS[1], ARGV[1], box:sub(1, 9) .. struct.pack('<i8', time[1] * 1000000 + time[2]) .. box:sub(18))
return 1
