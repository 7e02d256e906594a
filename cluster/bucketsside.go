package cluster

// side are further goroutines of Buckets: they end with b.ctx.
func (b *Buckets) side() []func() { return nil }

// judged pours the buckets that are poured into event by event; heads are the first
// parcels of each, followed by parcel.follower. Parcels of these are never merged.
func (b *Buckets) judged(g *group, c *chunk, heads []int32) {
	for _, h := range heads {
		for ; h >= 0; h = c.parcels[h].follower {
			b.untake(c, &c.parcels[h])
		}
	}
}
