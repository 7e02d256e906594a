-- Gives the tables an epoch, unless they have one.
-- KEYS: heads: epoch and versions
-- ARGV: epoch
if redis.call('HEXISTS', KEYS[1], 'epoch') == 0 then redis.call('HSET', KEYS[1], 'epoch', ARGV[1]) end
return 1
