#!/usr/bin/env bash
# Adds up a file of amounts, one whole number a line, and reports it as a job to Redis: bash_redis_cli.sh JOB FILE
set -u
server=${STREAMPROC_REDIS:-redis://127.0.0.1:8701/0}
job=$1 file=$2
[[ $job =~ ^[A-Za-z0-9._:@-]{1,200}$ ]] || { echo "$job is no job id" >&2; exit 1; }

redis() { timeout 2 redis-cli -e --no-auth-warning -u "$server" "$@"; }

crc32() { # gzip's output ends in the CRC-32 of its input, lowest byte first, and 4 bytes more
  local byte
  read -ra byte < <(printf %s "$1" | gzip | tail -c 8 | od -An -tu1)
  echo $((byte[0] | byte[1] << 8 | byte[2] << 16 | byte[3] << 24))
}

{ read -r format && read -r partitions; } < <(redis HMGET sp:meta format partitions)
[[ ${format-} == 1 ]] || { echo "no log of format 1 at $server: does streamproc run there?" >&2; exit 1; }
log="sp:{$(($(crc32 "$job") % partitions))}:log"
src=$(od -An -N8 -tx8 /dev/urandom | tr -d ' ') # names this run; seq numbers what it sends
seq=0 pending=()

report() { # TYPE [FIELDS]
  pending+=("{\"job\":\"$job\",\"type\":\"$1\",\"src\":\"$src\",\"seq\":$((++seq))${2:+,$2}}")
  flush
}

flush() { # Oldest first. What isn't confirmed is sent again with the next report, and counts once.
  while ((${#pending[@]})) && redis XADD "$log" '*' e "${pending[0]}" >/dev/null; do
    pending=("${pending[@]:1}")
  done
}

end() { # EXIT_CODE, after up to five more tries for the last reports
  for _ in {1..5}; do ((${#pending[@]})) && sleep 1 && flush; done
  exit "$1"
}

fail() { report job.failed "\"error\":{\"type\":\"$1\",\"detail\":\"$2\"}"; end 1; }

stages='[{"name":"Read","weight":1},{"name":"Add","weight":4}]'
report job.started "\"kind\":\"sum\",\"title\":\"Sum of amounts\",\"stages\":$stages"
report stage.started '"stage":"Read"'
mapfile -t amounts <"$file" || fail Unreadable "the file can't be read"
report stage.finished '"stage":"Read"'

sum=0 done=0 told=0 total=${#amounts[@]} due=$SECONDS
report job.counted "\"indicator\":\"amounts\",\"total\":$total"
for amount in "${amounts[@]}"; do
  [[ $amount =~ ^(0|-?[1-9][0-9]*)$ ]] || fail NotANumber "line $((done + 1)) is not a whole number"
  ((sum += amount, ++done))
  if ((SECONDS > due || done == total)); then # a report a second
    report stage.progressed "\"stage\":\"Add\",\"done\":$done,\"total\":$total"
    report job.counted "\"indicator\":\"amounts\",\"done\":$((done - told))"
    told=$done due=$SECONDS
  fi
done
report stage.finished '"stage":"Add"'
report job.finished "\"result\":{\"sum\":$sum}"
end 0
