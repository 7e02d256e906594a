-- Makes the state that a node joins, and returns its epoch. An empty Redis gets one. One
-- that went back gets a new one, and loses what may have been deleted since: the
-- nodes bring back what they have.
-- KEYS: m log d du a au uuid w ids ls
-- ARGV: the node's epoch, its cursor, an epoch to begin with, ids to begin after (of
-- decisions and of alerts) where the node knows better than Redis
local state, epoch = place(ARGV[1], ARGV[2])
if epoch == '' or state == 'back' then
  state, epoch = 'first', ARGV[3]
  redis.call('HSET', KEYS[1], 'epoch', epoch)
  for _, i in ipairs({3, 4, 5, 6, 7, 8, 10}) do redis.call('UNLINK', KEYS[i]) end
end
if state == 'first' or state == 'epoch' and ARGV[1] ~= '' then
  for i, field in ipairs({'d', 'a'}) do
    local from = math.max(tonumber(redis.call('HGET', KEYS[9], field) or '0'), tonumber(ARGV[3 + i]))
    redis.call('HSET', KEYS[9], field, string.format('%.0f', from))
  end
end
return epoch
