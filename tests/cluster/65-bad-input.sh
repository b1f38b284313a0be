#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cluster: timeout=240
#
# What members make of bad input (Documentation/metadata.rst, "Bad input"): damaged databases
# and logs, directories and keys that are not theirs, what strangers and clients must not
# say, another time of day. A client writes meanwhile: nothing that it was told is lost.

. "$(dirname "$0")/lib.sh"

acked()
{
	local is

	is=$(tail -n 1 "$D/seq")
	echo "${is:-0}"
}

# It goes on: 20 more changes are acknowledged.
writes()
{
	local from

	from=$(acked)
	wait_for 60 eval '[ "$(acked)" -ge '$((from + 20))' ]'
}

conf_of()
{
	sed "s|^$2 = .*|$2 = $3|" "$D/$1.conf" > "$D/bad.conf"
}

# refuses_start WORDS [CONF]: it ends by itself, with a failure, and these words in one line
refuses_start()
{
	timeout -k 5 30 "$BIN/datafs-metad" --config "${2:-$D/3.conf}" > "$D/out" 2>&1
	status=$?
	cat "$D/out" >> "$D/refused.log"
	[ "$status" -eq 1 ] && grep -q -- "$1" "$D/out" && return
	note "status $status"
	sed 's/^/# /' "$D/out"
	return 1
}

# Member 3 stops, and its directory is kept as it is.
take_3()
{
	member_end 3 "$1"
	rm -rf "$D/keep"
	cp -a "$D/3" "$D/keep"
}

# It was refused: nobody has counted on it meanwhile.
put_back_3()
{
	rm -rf "$D/3"
	cp -a "$D/keep" "$D/3"
}

follows()
{
	"$BIN/datafs" meta status --members "${addr[$1 - 1]}" --key-file "$D/key" 2> /dev/null |
		awk '/^state/ { s = $2 } /^commit/ { c = $2 } /^applied/ { a = $2 }
			END { exit !(s == "follows" && a > n) }' n="$2"
}

# go_on_3: it starts, and comes to what was committed by now
go_on_3()
{
	local now

	now=$(meta status 2> /dev/null | awk '/^commit/ && $2 > n { n = $2 } END { print n + 0 }')
	member_start 3
	wait_for 30 follows 3 "$now"
}

# flip FILE FROM STEP: a bit of each byte there, to the end of the file
flip()
{
	python3 - "$@" "$RANDOM" <<-'END'
	import random, sys
	name, at, step, seed = sys.argv[1], *map(int, sys.argv[2:])
	rnd = random.Random(seed)
	data = bytearray(open(name, "rb").read())
	for i in range(at, len(data), step):
	    data[i] ^= 1 << rnd.randrange(8)
	open(name, "r+b").write(data)
	END
}

# The files of a database are those of a snapshot, too: not any more.
apart()
{
	cp "$1" "$D/apart" && mv "$D/apart" "$1"
}

largest()
{
	# shellcheck disable=SC2012 # names without anything strange
	ls -S "$@" | head -n 1
}

check "a quorum is made" quorum_make || exit 1
for n in 1 2 3; do
	echo 'session_timeout = 20' >> "$D/$n.conf"
	member_start $n
done
check "the first leads" lead 1 || exit 1
"$PROG/metaseq" make "$MEMBERS" "$D/key" > "$D/seq" 2> "$D/seq.err" &
pid[0]=$!	# as a member it is killed if the test ends too early
check "a client writes" writes || exit 1

# damaged_db WHAT WORDS COMMAND...: refused with these words; made again without db/
damaged_db()
{
	local what=$1 words=$2

	shift 2
	take_3 TERM
	"$@"
	check "$what: refused" refuses_start "$words"
	check "... and told what to do" grep -q 'made again of the snapshot and the log' "$D/out"
	rm -r "$D/3/db"
	check "... which does it" go_on_3
}

# Of all files: what is damaged in one of them is met when it is read.
db_bytes()
{
	local file

	for file in "$D"/3/db/db-*/*.ldb "$D"/3/db/db-*/*.log; do
		[ -s "$file" ] || continue
		note "bytes flipped: ${file##*/}"
		apart "$file"
		# each block has a CRC; most are 4 KiB before they are compressed
		flip "$file" $((RANDOM % 100)) 500
	done
}

manifest_cut()
{
	local file

	file=$(largest "$D"/3/db/db-*/MANIFEST-*)
	apart "$file"
	truncate -s 30 "$file"
}

current_gone()
{
	rm "$D"/3/db/db-*/CURRENT
}

# A start makes a table of what is in LevelDB's own log.
member_end 3 TERM
check "a member starts again" go_on_3
damaged_db "bytes flipped in its database" 'Corruption' db_bytes
damaged_db "a MANIFEST cut short" 'Corruption' manifest_cut
damaged_db "no CURRENT" 'CURRENT of its database is lost' current_gone

take_3 KILL
# shellcheck disable=SC2012 # numbers
file=$(ls -v "$D"/3/raft/open-* | head -n 1)
check "the end of its log is torn" "$PROG/tear" "$file"
check "... it is given up, and the member goes on" go_on_3
check "... with a line" grep -q "${file##*/}: what was being written from byte" "$D/3.log"

# It may have got a snapshot only, and no entries behind it.
check "... and gets what comes then" writes
take_3 TERM
file=$(largest "$D"/3/raft/0*-0*)
half=$(($(stat -c %s "$file") / 2))
flip "$file" "$half" "$half"
check "a closed segment damaged in its middle: refused" refuses_start 'the log is damaged'
check "... and told what to do" grep -q 'replace this member by one with a new number' "$D/out"
put_back_3

"$BIN/datafs" key new "$D/other.key" > /dev/null
sed "s|$D/3\$|$D/other|; s|$D/key|$D/other.key|" "$D/3.conf" > "$D/other.conf"
check "a directory of another quorum" "$BIN/datafs-metad" --config "$D/other.conf" --bootstrap
timeout 2 "$BIN/datafs-metad" --config "$D/other.conf" > /dev/null 2>&1
conf_of 3 dir "$D/other"
check "... is refused" refuses_start 'is not of this cluster' "$D/bad.conf"
conf_of 3 id 2
check "another member's number is refused" refuses_start 'is not the directory of member 2' "$D/bad.conf"

conf_of 3 key_file "$D/none"
check "no key file: refused" refuses_start "$D/none: No such file" "$D/bad.conf"
conf_of 3 key_file "$D/other.key"
check "another cluster's key: refused" refuses_start 'is not of this cluster' "$D/bad.conf"
{ cut -d ' ' -f 1-3 "$D/key" | tr -d '\n'; echo " $(random_hex 32)"; } > "$D/wrong.key"
cp "$D/key" "$D/open.key"
chmod 644 "$D/open.key"
conf_of 3 key_file "$D/open.key"
check "a key that others may read: refused" refuses_start 'lets others at the key' "$D/bad.conf"

# A member with a wrong secret starts, and nobody believes it.
cp "$D/3.conf" "$D/good.conf"
conf_of 3 key_file "$D/wrong.key"
cp "$D/bad.conf" "$D/3.conf"
member_start 3
check "a wrong key of this cluster: nobody hears it" wait_for 20 \
	grep -q 'wrong key' "$D/1.log" "$D/2.log" "$D/3.log"
check "... nor a client with one" refuses 'does not answer' "$BIN/datafs" meta status \
	--members "${addr[0]}" --key-file "$D/wrong.key"
check "... the others go on" writes
check "... it ends on a signal" eval 'member_end 3 TERM; [ $status -eq 0 ]'
cp "$D/good.conf" "$D/3.conf"
check "... and with the right one it is there" go_on_3

refusals()
{
	grep -c 'somebody was refused' "$D/1.log"
}

check "the first leads" lead 1
mapfile -t at < <("$PROG/ports" 5)
"$PROG/badwire" relay "${at[4]}" "${addr[0]}" "$D/said" &
relay=$!
check "a change through a relay" wait_for 20 "$BIN/datafs" mount add /relayed /srv/relayed \
	--members "${at[4]}" --key-file "$D/key"
wait "$relay"
sleep 1.2
was=$(refusals)
table=$("$BIN/datafs" mount list --members "$MEMBERS" --key-file "$D/key")
check "what was said there, once more: its connection ends" \
	"$PROG/badwire" replay "${addr[0]}" "$D/said"
check "... with one line" [ $(($(refusals) - was)) -eq 1 ]
check "... that says why" eval 'grep "somebody was refused" "$D/1.log" | tail -n 1 | grep -q "wrong key"'
check "... and nothing is changed" [ "$("$BIN/datafs" mount list --members "$MEMBERS" \
	--key-file "$D/key")" = "$table" ]
check "... of what was" grep -q ' /relayed ' <<< "$table"

"$BIN/datafs" key client "$D/key" 7 "$D/client.key" > /dev/null
check "malformed frames of strangers" "$PROG/badwire" frames "${addr[0]}" "$SEED" 120
check "... of a client" "$PROG/badwire" known "${addr[0]}" "$SEED" 40 "$D/client.key"
check "... each with a line" [ "$(grep -c 'node 7: .*; connection ended' "$D/1.log")" -eq 40 ]
sleep 1.2	# a line a second
"$PROG/badwire" silent "${addr[0]}" 100 > "$D/silent" &
pid[silent]=$!
check "connections that say nothing: a client goes on" writes
check "... they are ended" wait "${pid[silent]}"
unset "pid[silent]"
check "... the oldest at once, above the limit" grep -q 'too many connections' "$D/1.log"
check "... and others are heard again" eval '"$BIN/datafs" mount list --members "${addr[0]}" \
	--key-file "$D/client.key" > "$D/out"'

# days N: so far is the time of day of member 1 off, from now on
days()
{
	echo $(($1 * 86400)) > "$D/clock.new"
	mv "$D/clock.new" "$D/clock"
}

term()
{
	meta status | awk '/^term/ { print $2; exit }'
}

days 400
cat > "$D/own-time" <<-END
#!/bin/sh
export LD_PRELOAD=$PROG/wallclock.so WALLCLOCK=$D/clock
exec $BIN/datafs-metad "\$@"
END
chmod +x "$D/own-time"
metad[1]=$D/own-time
check "another leads" lead 2
member_end 1 TERM
member_start 1
check "one with a time of day of its own leads" lead 1
# LevelDB writes the date when it is opened.
check "... which is another" grep -qr --include=LOG "^$(date -d '400 days' +%Y/%m)" "$D/1/db"
was=$(term)
"$PROG/metaload" "$MEMBERS" "$D/key" 8 4 "$SEED" < /dev/null > "$D/load.out" &
pid[load]=$!
for d in -400 30 0; do
	sleep 1
	days $d
	check "its clock is off by $d days" writes
done
check "no answer is wrong" wait "${pid[load]}"
unset "pid[load]"
grep '^wrong' "$D/load.out"
check "it leads" leads 1
check "... in the same term" [ "$(term)" = "$was" ]
check "no session was taken for idle" eval '! grep -q "it is ended" "$D/1.log"'

check "the client was refused nothing" kill -TERM "${pid[0]}"
check "... and ends" wait "${pid[0]}"
unset "pid[0]"
sed 's/^/# /' "$D/seq.err"
last=$(acked)
note "acknowledged: $last"
check "all that was acknowledged is there" [ "$("$PROG/metaseq" check "$MEMBERS" "$D/key")" = "$last" ]
check "all have applied the same" wait_for 60 all_equal
check "the members end on a signal" members_end
check "their states are equal" same_states
check "nobody has halted" eval '! grep " halts: " "$D"/[1-3].log'
check "no sanitizer has anything to say" eval '! grep -l "Sanitizer\|runtime error" "$D"/*.log'
exit "$FAILED"
