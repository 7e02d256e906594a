-- outbox packs an overflow as record.go reads it. o has: owner (8 bytes), stamp,
-- flags, depth, scenario and key (16 bytes each), gen, first, last, at, count, nodes
-- (32 bytes), group, site, incident, source; instants in microseconds.
local function outbox(o)
  return struct.pack('<Bc8i8BBc16c16i8i8i8i8I4c32I2c0I2c0I2c0I2c0',
    1, o.owner, o.stamp, o.flags, o.depth, o.scenario, o.key,
    o.gen, o.first, o.last, o.at, o.count, o.nodes,
    #o.group, o.group, #o.site, o.site, #o.incident, o.incident, #o.source, o.source)
end

-- post puts a packed overflow into an outbox: what is there and is none makes way. It
-- says whether the outbox was full, and whether it began anew. Nobody concludes any
-- more where one is full.
local function post(box, id, packed)
  local n = redis.pcall('HLEN', box)
  if type(n) == 'number' and n >= 10000 then return true, false end
  local broken = type(redis.pcall('HSET', box, id, packed)) == 'table'
  if broken then
    redis.call('DEL', box)
    redis.call('HSET', box, id, packed)
  end
  redis.call('PEXPIRE', box, '86400000')
  return false, broken
end
