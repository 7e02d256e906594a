-- outbox packs an overflow as record.go reads it. o has: owner (8 bytes), stamp,
-- flags, depth, scenario and key (16 bytes each), gen, first, last, at, count, nodes
-- (32 bytes), group, site, incident, source; instants in microseconds.
local function outbox(o)
  return struct.pack('<Bc8i8BBc16c16i8i8i8i8I4c32I2c0I2c0I2c0I2c0',
    1, o.owner, o.stamp, o.flags, o.depth, o.scenario, o.key,
    o.gen, o.first, o.last, o.at, o.count, o.nodes,
    #o.group, o.group, #o.site, o.site, #o.incident, o.incident, #o.source, o.source)
end
