package decisions

// Step takes in what is new, as Run does when it is woken.
func (g *Aggregator) Step() { g.step() }
