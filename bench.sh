#!/usr/bin/env bash
# Measures what docs/benchmarks.md says: prints the rows of its tables, or with -w
# writes them there. Four to six minutes. Figures are medians of three runs, of
# processor time wherever that can be had.
#
#	RAMPART_SHARED  test data that is not part of the repository (default ../shared)
set -euo pipefail
cd "$(dirname "$0")"
tags=nobadger,nomysql,nopgx
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CGO_ENABLED=0 LC_ALL=C.UTF-8 RAMPART_BINARY=$work/rampart
go build -tags $tags -o "$RAMPART_BINARY" ./cmd/rampart

# bench PACKAGE REGEXP FLAG… runs benchmarks and keeps what they say.
bench() {
	echo "== $1 $2" >&2
	go test -tags $tags -run '^$' -bench "$2" "${@:3}" "./$1" | tee -a "$work/out" | grep -E '^(---|panic|FAIL)' >&2 || true
}

# of NAME UNIT [DIVISOR] is the median of what a benchmark reported; "?" for none.
of() {
	awk -v name="Benchmark$1" -v unit="$2" -v by="${3:-1}" '
		{ sub(/-[0-9]+$/, "", $1) }
		$1 == name { for (i = 3; i < NF; i += 2) if ($(i + 1) == unit) print $i / by }' "$work/out" |
		sort -g | awk '{ a[NR] = $1 } END {
			if (!NR) { print "?"; exit }
			m = a[int((NR + 1) / 2)]
			printf m < 1000 ? "%.3g\n" : "%.0f\n", m
		}'
}

# target WHAT FIGURE LIMIT UNIT PEERS is a row of the first table.
target() {
	local met=yes
	[[ $2 == '?' ]] && met='not measured'
	awk -v f="$2" -v l="$3" 'BEGIN { exit !(f + 0 > l + 0) }' && met=**no**
	echo "| $1 | $2${4:+ $4} | ≤ $3${4:+ $4} | $met | $5 |"
}

# least WHAT FIGURE LIMIT UNIT PEERS is such a row of a figure that must be large.
least() {
	local met=yes
	[[ $2 == '?' ]] && met='not measured'
	awk -v f="$2" -v l="$3" 'BEGIN { exit !(f + 0 < l + 0) }' && [[ $met == yes ]] && met=**no**
	echo "| $1 | $2 $4 | ≥ $3 $4 | $met | $5 |"
}

targets() {
	echo '| figure | measured | target | met | peers |'
	echo '|---|---|---|---|---|'
	local peer='CrowdSec'"'"'s bouncer'
	target 'lookup, hot, address with a decision' "$(of Lookup/hot_hit cpu-ns/op)" 60 ns "$peer 90"
	target 'lookup, hot, address without' "$(of Lookup/hot_other cpu-ns/op)" 60 ns "$peer 90"
	target 'lookup, cold, address with a decision' "$(of Lookup/cold_hit cpu-ns/op)" 150 ns "$peer 887"
	target 'lookup, cold, address without' "$(of Lookup/cold_other cpu-ns/op)" 150 ns "$peer 214"
	target 'lookup, allocations' "$(of Lookup/cold_hit allocs/op)" 0 '' ''
	target 'memory of an entry' "$(of Lookup/hot_hit B/entry)" 60 B "$peer 355"
	target 'pour into one of 1 M live buckets' "$(of Pour/live cpu-ns/op 1000)" 1 µs ''
	target 'pour, hot: into one of a thousand' "$(of Pour/hot cpu-ns/op)" 500 ns ''
	target 'pour, allocations' "$(of Pour/live allocs/op)" 1 '' ''
	least 'replay, nginx access log, 60 scenarios of the Hub' "$(of Replay/hub/nginx lines/cpu-s)" 150000 'lines a second of CPU' 'CrowdSec 1,516'
	target 'the same, peak of a million lines' "$(of ReplayPeak/nginx MiB-peak)" 150 MiB 'CrowdSec 385 for a tenth'
	least 'replay, sshd log, the same items' "$(of Replay/hub/sshd lines/cpu-s)" 200000 'lines a second of CPU' 'CrowdSec 1,907 to 2,067; fail2ban-regex 28,900'
	target 'a live request through enrichment and the 60 filters' "$(of LiveRequest/filters cpu-ns/op 1000)" 3 µs 'CrowdSec 242 for the filters'
	target 'the same, allocations' "$(of LiveRequest/filters allocs/op)" 2 '' ''
	target 'added to a request by Rampart, detecting' "$(of RequestCost rampart-adds-µs/req)" 3 µs \
		"$peer 1.9 + access log 12.6 + engine 660"
	target 'let through after an overflow, request phase' "$(of LetThrough/early/1 let-through/attack)" 0 requests \
		'CrowdSec: those of 5.8 s, at a 10 s poll'
}

# row WHAT FIGURE NOTE is a row of the second table.
row() { echo "| $1 | $2 | $3 |"; }

further() {
	echo '| figure | measured | note |'
	echo '|---|---|---|'
	row 'read one word of 64 MiB that is not cached' "$(of Memory cpu-ns/op) ns" 'what the machine makes of the cold figures'
	row 'plain Caddy answering a constant' "$(of RequestCost plain-µs/req) µs" 'peers measured 21.1 µs'
	row 'Caddy'"'"'s JSON access log adds' "$(of RequestCost access-log-adds-µs/req) µs" 'peers measured 12.6 µs; Rampart needs no log'
	row 'request events dropped meanwhile' "$(of RequestCost dropped)" ''
	row 'lookup, IPv6 with a decision' "$(of Lookup/v6_hit cpu-ns/op) ns" ''
	row 'all built-in filters on a page view, both phases' "$(of Drops/200 cpu-ns/op 1000) µs" ''
	row 'a live request through all of the Hub'"'"'s set, buckets too' "$(of LiveRequest/pour cpu-ns/op 1000) µs" ''
	row 'let through, request phase, 16 connections at once' \
		"$(of LetThrough/early/16 let-through/attack) an attack, at most $(of LetThrough/early/16 let-through-most)" 'under way while the overflow is concluded'
	row 'let through, response phase, one connection' \
		"$(of LetThrough/late/1 let-through/attack) an attack, at most $(of LetThrough/late/1 let-through-most)" \
		"refused $(of LetThrough/late/1 µs-to-refusal) µs after the overflowing answer; CrowdSec 5.8 s"
	row 'let through, response phase, 16 connections at once' \
		"$(of LetThrough/late/16 let-through/attack) an attack, at most $(of LetThrough/late/16 let-through-most)" ''
	row 'replay, nginx access log, Hub'"'"'s set, alerts' "$(of Replay/hub/nginx alerts)" 'CrowdSec the same 91'
	row 'replay, sshd log, Hub'"'"'s set, alerts' "$(of Replay/hub/sshd alerts)" ''
	row 'replay, sshd log, Hub'"'"'s set, peak of a million lines' "$(of ReplayPeak/sshd MiB-peak) MiB" 'CrowdSec 621 to 851 for a tenth'
	row 'replay with databases of places besides: nginx, sshd' \
		"$(of Replay/places/nginx lines/cpu-s), $(of Replay/places/sshd lines/cpu-s) lines a second of CPU" 'CrowdSec had none'
	row 'replay, nginx access log, all built-in collections' \
		"$(of Replay/builtin/nginx lines/cpu-s) lines a second of CPU, $(of Replay/builtin/nginx alerts) alerts" ''
	row 'replay, sshd log, all built-in collections' \
		"$(of Replay/builtin/sshd lines/cpu-s) lines a second of CPU, $(of Replay/builtin/sshd alerts) alerts" ''
	row 'the limit: read nginx lines and take them apart by hand' "$(of Limit/parser lines/cpu-s) lines a second of CPU" 'peers measured 4.1 M'
	row 'parse a line: sshd, combined, Caddy JSON' \
		"$(of Parse/sshd cpu-ns/op 1000), $(of Parse/combined cpu-ns/op 1000), $(of Parse/caddy cpu-ns/op 1000) µs" ''
	row 'follow a file' "$(of Follow cpu-ns/op) ns a line" 'position saved before each batch'
	row 'challenge page with its picture' "$(of Issue cpu-ns/op 1000) µs, $(of Issue bytes/page) B" ''
	row 'check a solved challenge' "$(of Grace/solved cpu-ns/op) ns" ''
	row 'one change of the nft table at 100,000 bans' "$(of Add/100000 cpu-µs/change) µs" 'kernel included; needs root'
	row 'load 100,000 bans into the kernel' "$(of Load/Start/100000 cpu-ns/element 1000) µs each" 'the same'
}

bench internal/testkit 'Memory' -cpu 1 -count 3
bench decisions 'Lookup' -benchtime 500ms -count 3
bench scenarios 'Pour/live|Pour/hot|^BenchmarkDrops/200' -cpu 1 -benchtime 1s -count 3
bench replay '^BenchmarkReplay|^BenchmarkLimit' -benchtime 3x -count 3
bench replay 'LiveRequest' -benchtime 500ms -count 3
bench internal/e2e 'ReplayPeak' -benchtime 1x
bench internal/e2e 'RequestCost'
bench internal/e2e 'LetThrough' -benchtime 300x
bench parsers '^BenchmarkParse' -cpu 1 -benchtime 300ms -count 3
bench logsources/file 'Follow' -cpu 1
bench captcha 'Issue|Grace/solved' -cpu 1 -benchtime 300ms -count 3
bench firewall 'Add$/100000$|Load$/Start$/100000$' -cpu 1
doc=docs/benchmarks.md
if [[ ${1:-} == -w ]]; then
	targets >"$work/targets"
	further >"$work/further"
	awk -v work="$work" '
		/^<!-- \/(targets|further) -->$/ { skip = 0 }
		!skip
		/^<!-- (targets|further) -->$/ { skip = 1; while ((getline line < (work "/" $2)) > 0) print line }' "$doc" >"$work/doc"
	cp "$work/doc" "$doc"
else
	targets
	echo
	further
fi
