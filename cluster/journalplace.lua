-- The beginning of every script of the journal: where a node stands in the log.
-- KEYS[1] is the hash of epoch, last entry and count of entries, KEYS[2] the log.
local function before(a, b) -- of two ids of stream entries
  local am, as = string.match(a, '^(%d+)-(%d+)$')
  local bm, bs = string.match(b, '^(%d+)-(%d+)$')
  if not am or not bm then return false end
  am, as, bm, bs = tonumber(am), tonumber(as), tonumber(bm), tonumber(bs)
  return am < bm or am == bm and as < bs
end

-- 'ok', 'epoch' (another one), 'old' (what followed the cursor was trimmed) or
-- 'back' (the log never had it: Redis started from an old copy).
local function place(epoch, cursor)
  local at = redis.call('HMGET', KEYS[1], 'epoch', 'last', 'n')
  local last = at[2] or '0-0'
  local state = 'ok'
  if at[1] ~= epoch then
    state = 'epoch'
  elseif cursor ~= last and #redis.call('XRANGE', KEYS[2], cursor, cursor, 'COUNT', 1) == 0 then
    local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)
    first = first[1] and first[1][1] or last
    state = before(cursor, first) and 'old' or 'back'
  end
  return state, at[1] or '', last, at[3] or '0'
end
