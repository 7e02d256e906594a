// Package lint finds what is wrong with parsers, scenarios and profiles before
// they run: what does not load, nodes that nothing reaches, filters that nothing
// passes, and what each filter costs.
//
//	items ─► loaders (schema, compile) ─► nodes and filters ─► Findings, Costs
//
// It repeats none of the loaders' checks, reads no files, and changes nothing. A
// warning is a proof under the rules of the engine unless its text says
// otherwise: what can be true for some event is not reported.
//
// Concurrency: Check keeps nothing between calls.
package lint
