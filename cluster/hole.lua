-- hole.lua begins the blackhole of an overflow whose filter has let it pass, unless
-- one is on: then the overflow goes. It may run again for the same overflow.
-- KEYS 1 state, 2 outbox; ARGV 1 id in the outbox, 2 instant of the overflow µs,
-- 3 blackhole µs, 4 '1' if all events were for sites that only detect, 5 slack µs.
-- Answer: 1 it passes, 0 it does not, -1 there is no such overflow any more.
local box = redis.pcall('HGET', KEYS[2], ARGV[1])
if type(box) ~= 'string' or #box < 18 then return -1 end
local marks = string.byte(box, 18)
if marks % 16 >= 8 then return 1 end

local at, blackhole, detect, slack = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4] == '1', tonumber(ARGV[5])
local raw = redis.pcall('GET', KEYS[1])
if type(raw) ~= 'string' then raw = nil end
local f = raw and string.byte(raw) or 0
local from = f >= 64 and 42 or 2 -- of the hole in the state
if raw and (f >= 128 or #raw < (f >= 64 and 41 or 9) or f % 32 >= 16 and #raw < from + 7) then raw, f = nil, 0 end
if f % 32 >= 16 and struct.unpack('<d', raw, from) > at and (detect or f % 64 < 32) then
  redis.call('HDEL', KEYS[2], ARGV[1])
  return 0
end
redis.call('HSET', KEYS[2], ARGV[1], string.sub(box, 1, 17) .. string.char(marks + 8) .. string.sub(box, 19))
if blackhole <= 0 then return 1 end

-- The bucket that began meanwhile keeps what it has.
local ttl = redis.call('PTTL', KEYS[1])
local head, tail = '', ''
if f >= 64 then
  head = string.sub(raw, 2, 41)
  tail = string.sub(raw, f % 32 >= 16 and 50 or 42)
end
local mark = f - f % 64 + f % 4 + 16 + (detect and 32 or 0)
local ms = math.floor((blackhole + slack) / 1000) + 1
if f >= 64 and ttl > ms then ms = ttl end
redis.call('SET', KEYS[1], string.char(mark) .. head .. struct.pack('<d', at + blackhole) .. tail, 'PX', string.format('%.0f', ms))
return 1
