-- Adds changes to the state and to the log, in order, each once.
-- KEYS: m log d du a au uuid w seq t
-- ARGV: epoch, cursor, node, entries to keep in the log; then of each change
--   kind seq op key num score body n, n times (id until text)
-- key, num, score and body are uuid, id, time to forget after and text of an alert,
-- or key and text of an allowlist entry; body has the ids that a delete names.
-- seq is the node's number of its own change: it is applied if it is above the last
-- one. Without one the change brings back what a node knew: of it is taken what is
-- not there and was not deleted.
-- Reply: 'ok', then of each change 'ok', 'done', or 'known' if another node told of
-- the same alert before. Or only 'epoch' or 'back': not the Redis that the node joined.
local state, _, last, count = place(ARGV[1], ARGV[2])
if state == 'epoch' or state == 'back' then return {state} end
local log, d, du, a, au, uuid, w, seqs, t = unpack(KEYS, 2)
local node, keep = ARGV[3], ARGV[4]
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local reply, done, at = {'ok'}, tonumber(redis.call('HGET', seqs, node) or '0'), 5

-- Each returns whether there is something for the log, and the alert and decisions of it.
local apply = {}
function apply.append(c, merge)
  local alert, list = c.body, {}
  for i = c.first, c.first + 3 * (c.n - 1), 3 do
    local id, ends, text = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    local had = merge and redis.call('ZSCORE', du, id)
    if not merge or not (had and tonumber(had) >= tonumber(ends)) and not redis.call('ZSCORE', t, id) then
      redis.call('HSET', d, id, text)
      redis.call('ZADD', du, ends, id)
      if not merge then redis.call('ZREM', t, id) end
      list[#list + 1] = text
    end
  end
  if alert ~= '' and merge and redis.call('HEXISTS', uuid, c.key) == 1 then alert = '' end
  if alert ~= '' then
    redis.call('HSET', a, c.num, alert)
    redis.call('ZADD', au, c.score, c.num .. ':' .. c.key)
    redis.call('HSET', uuid, c.key, c.num)
  end
  return alert ~= '' or #list > 0, alert, list
end
function apply.delete(c, merge)
  local found = 0
  for id in string.gmatch(c.body, '%d+') do
    found = found + redis.call('HDEL', d, id)
    redis.call('ZREM', du, id)
    redis.call('ZADD', t, now, id)
  end
  return found > 0 or not merge, '', {}
end
function apply.allow(c, merge)
  local mark = 'w:' .. c.key
  if merge and (redis.call('HEXISTS', w, c.key) == 1 or redis.call('ZSCORE', t, mark)) then return false end
  redis.call('HSET', w, c.key, c.body)
  redis.call('ZREM', t, mark)
  return true, '', {}
end
function apply.unallow(c)
  redis.call('HDEL', w, c.key)
  redis.call('ZADD', t, now, 'w:' .. c.key)
  return true, '', {}
end

-- whether the alert of c is another node's already
local function known(c)
  local id = c.kind == 'append' and c.body ~= '' and redis.call('HGET', uuid, c.key)
  return id and id ~= c.num
end

while at <= #ARGV do
  local c = {kind = ARGV[at], op = ARGV[at + 2], key = ARGV[at + 3], num = ARGV[at + 4], score = ARGV[at + 5],
    body = ARGV[at + 6], n = tonumber(ARGV[at + 7]), first = at + 8}
  local seqtext, said = ARGV[at + 1], 'ok'
  local seq = tonumber(seqtext)
  local merge = seq == 0
  if not merge and known(c) then
    said = 'known'
  elseif not merge and seq <= done then
    said = 'done'
  else
    local changed, alert, list = apply[c.kind](c, merge)
    if changed then
      last = redis.call('XADD', log, 'MAXLEN', '~', keep, '*', 'k', c.kind, 'w', node, 'q', seqtext, 'p', last,
        'n', count + 1, 'o', c.op, 'a', alert, 'd', '[' .. table.concat(list, ',') .. ']')
      count = count + 1
    end
  end
  if seq > done then
    done = seq
    redis.call('HSET', seqs, node, seqtext)
  end
  reply[#reply + 1] = said
  at = c.first + 3 * c.n
end
redis.call('HSET', KEYS[1], 'last', last, 'n', string.format('%.0f', count))
return reply
