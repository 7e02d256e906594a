-- A node's heartbeat: its line in the table of nodes, and its small number.
-- KEYS  1 nodes: id -> "seen number session text"   2 numbers: number -> "expiry owner"
-- ARGV  1 id   2 session: of this process   3 time to live of a number, in µs
--       4 the number it has, -1: none   5 text; empty: the node leaves
-- Gives {number or -1, now in µs, 1 if another process beats under this id, else 0}
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local owner = ARGV[1] .. '.' .. ARGV[2]

local function read(entry)
  local expiry, who = string.match(entry or '', '^(%d+) (.+)$')
  return tonumber(expiry or 0), who
end

if ARGV[5] == '' then
  local _, who = read(redis.call('HGET', KEYS[2], ARGV[4]))
  if who == owner then redis.call('HDEL', KEYS[2], ARGV[4]) end
  redis.call('HDEL', KEYS[1], ARGV[1])
  return {-1, string.format('%.0f', now), 0}
end

-- The number that the node has stays its own, expired or not, until another takes it.
local number = -1
local expiry, who = read(redis.call('HGET', KEYS[2], ARGV[4]))
if ARGV[4] ~= '-1' and (expiry <= now or who == owner) then
  number = tonumber(ARGV[4])
else
  for n = 0, 255 do
    expiry, who = read(redis.call('HGET', KEYS[2], n))
    if expiry <= now or who == owner then number = n break end
  end
end
if number >= 0 then
  redis.call('HSET', KEYS[2], number, string.format('%.0f %s', now + ARGV[3], owner))
end

local seen, session = string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '', '^(%d+) %S+ (%S+) ')
local twin = session and session ~= ARGV[2] and now - seen < 3000000
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f %d %s %s', now, number, ARGV[2], ARGV[5]))
return {number, string.format('%.0f', now), twin and 1 or 0}
