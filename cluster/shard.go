package cluster

import (
	"strconv"
)

// shards is how many tags buckets have. It is part of the format.
const shards = 256

func shardOf(key *[16]byte) int { return int(key[0]) }

// shardTag is the part of a key that places a shard in a Redis Cluster.
func shardTag(shard int) string { return "{s" + strconv.Itoa(shard) + "}" }

// groupOf gives a shard to one of n groups. Groups have ranges of slots, so that one
// rarely has to do with all servers.
func groupOf(shard, n int) int { return slotOf("s"+strconv.Itoa(shard)) * n / 16384 }

// slotOf is the slot of a tag in a Redis Cluster: CRC-16/XMODEM modulo 16384.
func slotOf(tag string) int {
	crc := uint16(0)
	for i := range len(tag) {
		crc ^= uint16(tag[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc % 16384)
}
