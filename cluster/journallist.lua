-- Puts a list that was stored aside in force for the fleet, or drops one.
-- KEYS: m log ls l:NAME l:NAME:p aside t seq (and patch aside, if there is one)
-- ARGV: epoch, cursor, node, entries to keep in the log, seq, op, name, version (0 drops), state
-- Reply: 'ok', 'done', 'epoch', 'back', or 'newer' when the fleet's is not older.
local state, _, last, count = place(ARGV[1], ARGV[2])
if state == 'epoch' or state == 'back' then return state end
local seq, name, version = tonumber(ARGV[5]), ARGV[7], tonumber(ARGV[8])
local merge = seq == 0 -- brings back what a node had
local said, mark = 'ok', 'l:' .. name
local there = tonumber(string.match(redis.call('HGET', KEYS[3], name) or '', '^%d+') or '-1')
if not merge and seq <= tonumber(redis.call('HGET', KEYS[8], ARGV[3]) or '0') then
  return 'done'
elseif version > 0 and (there >= version or merge and redis.call('ZSCORE', KEYS[7], mark)) then
  said = 'newer'
elseif version == 0 then
  redis.call('HDEL', KEYS[3], name)
  redis.call('UNLINK', KEYS[4], KEYS[5])
  local now = redis.call('TIME')
  redis.call('ZADD', KEYS[7], now[1] * 1000 + math.floor(now[2] / 1000), mark)
else
  redis.call('RENAME', KEYS[6], KEYS[4])
  redis.call('PERSIST', KEYS[4])
  redis.call('UNLINK', KEYS[5])
  if KEYS[9] then
    redis.call('RENAME', KEYS[9], KEYS[5])
    redis.call('PERSIST', KEYS[5])
  end
  redis.call('HSET', KEYS[3], name, ARGV[9])
  redis.call('ZREM', KEYS[7], mark)
end
if said == 'ok' then
  last = redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*', 'k', 'list', 'w', ARGV[3], 'q', ARGV[5], 'p', last,
    'n', count + 1, 'o', ARGV[6])
  redis.call('HSET', KEYS[1], 'last', last, 'n', string.format('%.0f', count + 1))
end
if seq > 0 then redis.call('HSET', KEYS[8], ARGV[3], ARGV[5]) end
return said
