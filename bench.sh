#!/usr/bin/env bash
# Measures what docs/benchmarks.md says: prints the rows of its tables, or with -w
# writes them there. Twelve to fifteen minutes, of which those of a fleet, which need
# redis-server, take three to four, and those of the Local API and of large lists four
# to five; `./bench.sh fleet` and `./bench.sh api` print those alone. Figures are medians
# of three runs, of processor time wherever that can be had.
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

# ratio A B is A/B.
ratio() {
	awk -v a="$1" -v b="$2" 'BEGIN { if (a + 0 > 0 && b + 0 > 0) printf "%.2f\n", a / b; else print "?" }'
}

fleet() {
	echo '| figure | measured | target | met | note |'
	echo '|---|---|---|---|---|'
	local each incr one
	each=$(of Redis/unbatched pours/redis-cpu-s) incr=$(of Redis/incr pours/redis-cpu-s)
	# pours WHAT BENCHMARK is the part of a row that compares.
	pours() { one=$(of "Redis/$1" pours/redis-cpu-s); echo "$(ratio "$one" "$each") × an EVALSHA each, $(ratio "$one" "$incr") × INCR; $(of "Redis/$1" pours/s) a second on this machine, the node beside it"; }
	least 'pours a second of CPU of Redis, every one distinct, without samples' "$(of Redis/packed/distinct pours/redis-cpu-s)" 250000 '' "$(pours packed/distinct)"
	least 'the same, Zipf (1.1 of 5,000)' "$(of Redis/packed/zipf pours/redis-cpu-s)" 500000 '' "$(pours packed/zipf)"
	local none='| | |'
	echo "| the same, every one begins a bucket | $(of Redis/packed/fresh pours/redis-cpu-s) $none $(pours packed/fresh) |"
	echo "| distinct, with samples | $(of Redis/samples/distinct pours/redis-cpu-s) $none $(pours samples/distinct) |"
	echo "| Zipf, with samples | $(of Redis/samples/zipf pours/redis-cpu-s) $none $(pours samples/zipf) |"
	echo "| one EVALSHA for each pour, 64 under way | $each $none $(of Redis/unbatched pours/s) a second |"
	echo "| INCR, pipelines of 100 | $incr $none $(of Redis/incr pours/s) a second |"
	target 'added to a request on its own thread, Begin to End' "$(of FleetVisit path-adds-%)" 10 % \
		"$(of FleetVisit alone-path-ns/req) ns alone, $(of FleetVisit fleet-path-ns/req) ns in a fleet, $(of FleetVisit pours/req) pours"
	echo "| the whole process, flushes included | $(of FleetVisit alone-ns/req) ns alone, $(of FleetVisit fleet-ns/req) ns in a fleet $none Redis besides: $(of FleetVisit redis-ns/req) ns |"
	echo "| a pour into memory, into the queue for Redis | $(of PourEnqueue/memory cpu-ns/op), $(of PourEnqueue/redis cpu-ns/op) ns $none |"
	target 'a live bucket in Redis, of a million' "$(of RedisBytes B/bucket)" 250 B ''
	echo "| list of a million addresses to a fresh node | $(of JournalList/fresh s/list) s, $(of JournalList/fresh bytes/list 1000) kB $none start of the node included |"
	echo "| the same list with 1 % changed | $(of JournalList/refresh s/list) s, $(of JournalList/refresh bytes/list 1000) kB $none both ends |"
	echo "| 100,000 decisions to a fresh node | $(of JournalReconcile s/reconcile) s, $(of JournalReconcile bytes/reconcile 1000) kB $none |"
	echo "| a change of decisions in Redis, one node, four | $(of JournalOps/1 redis-µs/op), $(of JournalOps/4 redis-µs/op) µs $none to each node $(of JournalOps/1 bytes-out/op) B |"
	echo "| a node's copy: a decision, an address of a list | $(of JournalCopy B/decision), $(of JournalCopy B/address) B $none heap |"
	echo "| CPU of Redis: round trip, call, bucket | $(of Scale redis-µs/trip), $(of Scale redis-µs/call), $(of Scale redis-µs/bucket) µs $none constants of docs/scale.md |"
	echo "| the same in a Redis Cluster | $(of Scale cluster-µs/trip), $(of Scale cluster-µs/call), $(of Scale cluster-µs/bucket) µs $none |"
	echo "| an idle node | $(of Scale redis-µs/idle-node-s) µs of Redis a second $none |"
	echo "| a bucket on the wire: to Redis, back | $(of Scale bytes-in/bucket), $(of Scale bytes-out/bucket) B $none $(of Scale node-ns/bucket) ns of the node's CPU |"
}

# fleets measures what a fleet shares.
fleets() {
	bench cluster '^BenchmarkRedis$' -benchtime 300000x
	bench cluster '^BenchmarkRedisBytes$|^BenchmarkJournalCopy$|^BenchmarkScale$|^BenchmarkJournalReconcile$' -benchtime 1x
	bench cluster '^BenchmarkJournalList$' -benchtime 3x
	bench cluster '^BenchmarkJournalOps$' -benchtime 5000x
	bench cluster '^BenchmarkPourEnqueue$' -cpu 1 -benchtime 500ms -count 3
	bench appliance '^BenchmarkFleetVisit$' -benchtime 1x
}

# most A… is the largest of some figures.
most() { printf '%s\n' "$@" | grep -v '^?$' | sort -g | tail -1 | grep . || echo '?'; }

# worst BENCHMARK… is the largest 99th of a hundred of some benchmarks.
worst() {
	local all=() name
	for name; do all+=("$(of "$name" p99-ms)"); done
	most "${all[@]}"
}

api() {
	echo '| figure | measured | target | met | note |'
	echo '|---|---|---|---|---|'
	local selective=() alerts=() q load=APILoad one
	for q in id uuid 100_uuids value covering_address within_/20 scope rare_type_and_origin no_such_scenario \
		part_of_no_scenario limit_100 limit_100_after_half; do selective+=("Query/$q"); done
	for q in newest_100 value scenario no_such_scenario covering_address within_/16 type_and_origin \
		in_force,_no_such_machine without_decision started_before_all; do alerts+=("Alerts/$q"); done
	target 'query of a million decisions and a list of a million, the slowest of twelve, p99' "$(worst "${selective[@]}")" 50 ms \
		"of one address $(of Query/covering_address p99-ms) ms; wall time"
	target 'query of 100,000 alerts, the slowest of ten, p99' "$(worst "${alerts[@]}")" 50 ms "the newest 100 $(of Alerts/newest_100 p99-ms) ms; wall time"
	target 'delta of the stream, ten changes of a million decisions' "$(of Stream/own/delta_of_10 ns/op 1000000)" 10 ms \
		"of a list $(of Stream/list/delta_of_10 ns/op 1000000) ms; none: $(of Stream/own/delta_of_none ns/op 1000000) ms"
	local none='| | |'
	echo "| start of the stream, a million decisions, as many entries of a list | $(of Stream/own/startup ns/op 1000000), $(of Stream/list/startup ns/op 1000000) ms $none without a network |"
	echo "| one address, live: with a decision, without | $(of Stream/own/live_hit ns/op 1000), $(of Stream/own/live_miss ns/op 1000) µs $none the whole handler |"
	# kind WHAT NAME is a row of the load.
	kind() { echo "| under load, $1: p50, p99 | $(of $load "$2-p50-ms"), $(of $load "$2-p99-ms") ms $none wall time, the callers on the same machine |"; }
	kind 'delta of the stream' stream-delta
	kind 'ten alerts pushed' push
	kind 'one address' query
	kind 'newest 50 alerts' alerts
	kind 'deletion' delete
	kind 'login' login
	echo "| the same, processor of the node, growth | $(of $load cpu-%) %, $(of $load MiB-grown) MiB $none 20 bouncers each second, 100 alerts a second |"
	one=Reputation/nftables
	[[ $(of $one import-s) == '?' ]] && one=Reputation/dry-run
	target 'a list of a million addresses, fetched' "$(of $one import-cpu-s)" 5 's of CPU' "$(of $one import-s) s, the firewall included"
	target 'memory of it: set, stream and mirror of the firewall' "$(of $one MB-grown)" 160 MB "at its highest $(of $one MB-peak) MB; resident"
	target 'visits meanwhile, p99, as a multiple of before' "$(ratio "$(of $one import-p99-ms)" "$(of $one before-p99-ms)")" 2 '' \
		"$(of $one before-p99-ms) ms before, $(of $one import-p99-ms) ms meanwhile; 800 a second"
	target 'the same with the command, a second list' "$(of $one command-cpu-s)" 5 's of CPU' "$(of $one command-s) s"
	echo "| a hundredth of the list exchanged | $(of $one refresh-cpu-s) s of CPU $none stream: $(of $one delta-ms) ms, $(of $one delta-MB) MB |"
	echo "| start of the stream with it, over a socket | $(of $one startup-s) s, $(of $one startup-cpu-s) s of CPU, $(of $one startup-MB) MB $none the caller on the same machine |"
}

# apis measures the Local API and large lists.
apis() {
	bench decisions '^BenchmarkQuery$|^BenchmarkAlerts$' -benchtime 300ms -timeout 20m
	bench localapi '^BenchmarkStream$' -benchtime 300ms -timeout 20m
	bench internal/e2e '^BenchmarkAPILoad$|^BenchmarkReputation$' -benchtime 1x -count 3
}

if [[ ${1:-} == fleet || ${1:-} == api ]]; then
	"${1}s"
	"$1"
	exit
fi
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
fleets
apis
doc=docs/benchmarks.md
if [[ ${1:-} == -w ]]; then
	targets >"$work/targets"
	further >"$work/further"
	fleet >"$work/fleet"
	api >"$work/api"
	awk -v work="$work" '
		/^<!-- \/(targets|further|fleet|api) -->$/ { skip = 0 }
		!skip
		/^<!-- (targets|further|fleet|api) -->$/ { skip = 1; while ((getline line < (work "/" $2)) > 0) print line }' "$doc" >"$work/doc"
	cp "$work/doc" "$doc"
else
	targets
	echo
	further
	echo
	fleet
	echo
	api
fi
