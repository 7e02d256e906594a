-- claim.lua finds and takes over overflows whose owner has not concluded them.
-- KEYS 1 outbox; ARGV 1 age in µs, 2 owner, 3… ids to take over; without any, those
-- are listed that could be. Answer: a list of id · scenario's ID and owner, or of id
-- · record, at most 64.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local age = tonumber(ARGV[1])

local function stale(box)
  if not box or #box < 127 or box:byte() ~= 1 then return false end
  local stamp = struct.unpack('<i8', box, 10)
  return stamp <= now - age or stamp > now + age -- the clock of Redis may have gone back
end

local out = {}
if #ARGV > 2 then
  for i = 3, #ARGV do
    local box = redis.call('HGET', KEYS[1], ARGV[i])
    if stale(box) then
      box = box:sub(1, 1) .. ARGV[2] .. struct.pack('<i8', now) .. box:sub(18)
      redis.call('HSET', KEYS[1], ARGV[i], box)
      out[#out + 1] = ARGV[i]
      out[#out + 1] = box
    end
  end
  return out
end

local all
if redis.call('HLEN', KEYS[1]) > 256 then
  all = redis.call('HRANDFIELD', KEYS[1], 256, 'WITHVALUES')
else
  all = redis.call('HGETALL', KEYS[1])
end
for i = 1, #all, 2 do
  if stale(all[i + 1]) and #out < 128 then
    out[#out + 1] = all[i]
    out[#out + 1] = all[i + 1]:sub(20, 35) .. all[i + 1]:sub(2, 9)
  end
end
return out
