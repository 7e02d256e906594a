# Finds the addresses that failed at SSH too often, and when they first did: one
# line "ADDRESS HH:MM:SS" each. It counts lines in windows of time and knows
# nothing of buckets:
#
#   six failures in less than ten seconds                          (per=6 window=10)
#   or, where more is set, seven in less than 20, eight in less than 30, and so on.
#
#   awk -f sixin10.awk auth.log
#   awk -v more=1 -v per=11 -v window=60 -f sixin10.awk auth.log
#
# Stamps are whole seconds: the ten from t to t+9 make ten seconds, so failures at
# t and t+10 are not in one window. "message repeated 5 times" is five failures.

BEGIN {
	if (!per) per = 6
	if (!window) window = 10
	split("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec", name)
	split("31 29 31 30 31 30 31 31 30 31 30 31", days)
	for (m = 1; m <= 12; m++) {
		start[name[m]] = total
		total += days[m]
	}
}

$5 ~ /^sshd\[/ && / Failed [a-z]+ for .* from [0-9a-fA-F.:]+ port [0-9]+ ssh2/ {
	split($3, clock, ":")
	now = ((start[$1] + $2) * 24 + clock[1]) * 3600 + clock[2] * 60 + clock[3]
	# The address is the word before the last "port"; user names stand before it.
	for (i = NF; i > 1 && $i != "port"; i--);
	ip = $(i - 1)
	times = $6 == "message" && $7 == "repeated" ? $8 : 1
	while (times-- > 0) {
		at[ip, ++count[ip]] = now
		if (!(ip in found) && crowded(ip, count[ip], now)) found[ip] = $3
	}
}

# crowded: some run of failures of ip up to the one just counted is too dense.
function crowded(ip, last, now,    first) {
	for (first = last - per + 1; first >= 1; first--) {
		if (now - at[ip, first] < window * (last - first + 2 - per)) return 1
		if (!more) return 0
	}
	return 0
}

END { for (ip in found) print ip, found[ip] }
