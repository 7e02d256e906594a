// Package expression compiles and runs the expressions of Hub content: filters,
// statics, groupings, conditions and profile rules. It gives them the variables
// and functions that CrowdSec gives them, and it says about each what it needs:
// which values must hold for it to be true (Requires, Excludes), which texts must be
// found (Clues), which fields it reads (Reads).
//
//	source ─► syntax tree, checked ─► folded ─► requirements, clues, reads ─► Program ─► bool, text or value
//
// It neither decodes YAML nor decides when an expression runs. Data files come from
// the fs.FS it is given; nobody downloads here. Other machines are asked only by the
// functions that are for it, with the client and the resolver that Options gives;
// without these they are not asked.
//
// Concurrency: Env and Program are safe for concurrent use. AddData, Stash and
// Compile may run beside programs, but a program sees a data file or a stash only
// once the call that added it has returned. Vars, their Memo and the event that a
// program runs on belong to the caller: some programs write to it (Reads.Writes).
package expression
