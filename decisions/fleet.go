package decisions

// Share makes the Book one of a fleet: from now on local changes are recorded as
// ops. node is a hash of the node's id.
func (b *Book) Share(node uint64, o ShareOptions) error { return nil }

// Ops returns up to limit ops after the one with Seq after, oldest first, of those
// that were not sent.
func (b *Book) Ops(after int64, limit int) ([]Op, error) { return nil, nil }

// Sent says that the ops up to and with this Seq were sent.
func (b *Book) Sent(upTo int64) {}

// Grant gives the Book decision and alert ids to use, both ends included; 0, 0: none.
func (b *Book) Grant(decisionFrom, decisionTo, alertFrom, alertTo int64) {}

// Wants tells of which ids Grant should bring more.
func (b *Book) Wants() (decision, alert bool) { return false, false }

// Incomplete reports whether ops were dropped for want of place since the last Reconcile.
func (b *Book) Incomplete() bool { return false }

// ShareList records an OpList, for the fleet to hear of a list that was put in force or dropped here.
func (b *Book) ShareList(name, by string) error { return nil }

// Adopt applies a piece of the fleet's log in order.
func (b *Book) Adopt(batch Adopted) (refused []error) { return nil }

// Retract takes back what an own op made here, since the fleet has its alert from another node.
func (b *Book) Retract(op Op) {}

// Reconcile makes the Book what the fleet has.
func (b *Book) Reconcile(all Snapshot) error { return nil }

// Export returns what the Book has, by id; Suppressed is never set.
func (b *Book) Export() Snapshot { return Snapshot{} }

// Position tells where in the fleet's log the Book is; both are empty before the first Adopt or Reconcile.
func (b *Book) Position() (epoch, cursor string) { return "", "" }

// HasAlert reports whether an alert with this uuid is kept.
func (b *Book) HasAlert(uuid string) bool { return false }
