# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Faults between a store and its server: what is asked through fault_proxy, what the proxy has
# seen of it, and what is logged.

shopt -s extglob
LEN=200000	# of a file: more than comes in one piece

# proxy NAME UPSTREAM [CERTIFICATE KEY]: its ports are ${NAME[0]}, and ${NAME[1]} for commands
proxy()
{
	mkdir "$D/$1"
	server "$TOP/tests/under/fault_proxy" "$D/$1" "${@:2}" 2> "$D/$1/log"
	appears "$D/$1/ports" 20 && mapfile -t "$1" < "$D/$1/ports"
}

# use NAME SOURCE ASK-OPTIONS...: what is asked from now on, and through which proxy
use()
{
	local -n ports=$1

	control=${ports[1]} source=$2
	through=("${@:3}" -t naps=100 "$source")
}

# told WORD...: $answer is what the proxy says to that
told()
{
	local line

	printf -v line ' %q' "$@"
	exec 3<> "/dev/tcp/127.0.0.1/$control" && echo "$line" >&3 && read -r answer <&3
	exec 3>&-
}

# fault N METHOD PATH KIND ...: see fault_proxy
fault()
{
	told fault "$@"
	[ "$answer" = ok ] || not_ok "a fault: $*: $answer"
}

# faces NAME LINES SEEN LOG COMMAND...: the store answers LINES, the proxy has SEEN these
# requests, and the log is one line "SOURCE: LOG", where LOG is a regular expression, or empty
faces()
{
	local name=$1

	shift
	check "$name" faced "$@"
	told clear
}

# There are many of them: so few processes.
faced()
{
	local lines=$1 seen=$2 log=$3 out line
	local -a errors=()

	shift 3
	"$PROG/ask" "${through[@]}" "$@" > "$D/out" 2> "$D/err"
	IFS= read -rd '' out < "$D/out"
	while IFS= read -r line; do
		echo "$line" >> "$D/said.log"
		# What is no error is for who looks for it.
		[[ $line == '<6>'* ]] || errors+=("$line")
	done < "$D/err"
	echo "$out" >> "$D/said.log"
	told seen
	# Numbers at random are for nobody.
	answer=${answer//.datafs-probe-+([0-9a-f])/.datafs-probe}
	[ "$out" = "$lines"$'\n' ] && [ "$answer" = "$seen" ] && logged && return
	printf '# %s\n' "${out//$'\n'/$'\n# '}" "seen: $answer" "${errors[@]}"
	return 1
}

logged()
{
	if [ -z "$log" ]; then
		[ ${#errors[@]} -eq 0 ]
	else
		[ ${#errors[@]} -eq 1 ] &&
			[[ ${errors[0]} =~ ^"<3>datafsd: ${logged_as:-$source}: "$log ]]
	fi
}

# made NAME SECONDS SEED: a file with this time, in the place of what was there
made()
{
	content "$3" > "$D/new" && touch -d "@$2" "$D/new" && mv "$D/new" "$D/www/$1"
}

# The same, as a command for a shell.
made_sh()
{
	content "$3" > "$D/new-$3"
	echo "touch -d @$2 '$D/new-$3' && mv '$D/new-$3' '$D/www/$1'"
}

# content SEED: LEN bytes, which are others for each
content()
{
	openssl enc -aes-128-ctr -nosalt -K "$(printf %032d "$1")" -iv 0 2> /dev/null \
		< <(head -c "$LEN" /dev/zero)
}

# crc_of FILE: as ask has it
crc_of()
{
	"$PROG/ask" "$D/www" stat "$1" read 0 "$LEN" | sed -n 's/^read //p'
}

# reads NAME SEEN: what $read_f asks for is $stat and $bytes, and there is nothing to tell
reads()
{
	faces "$1" "$stat
$bytes" "$2" "" "${read_f[@]}"
}

# reads_not NAME ERROR SEEN LOG
reads_not()
{
	faces "$1: $2" "$stat
read $2" "$3" "$4" "${read_f[@]}"
}
