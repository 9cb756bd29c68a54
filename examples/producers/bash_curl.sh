#!/usr/bin/env bash
# Adds up a file of amounts, one whole number a line, and reports it as a job over HTTP: bash_curl.sh JOB FILE
# The gateway checks the events, finds the job's partition and appends them: all that a request holds, or nothing.
set -u
url=${STREAMPROC_URL:-http://127.0.0.1:8700}
job=$1 file=$2
[[ $job =~ ^[A-Za-z0-9._:@-]{1,200}$ ]] || { echo "$job is no job id" >&2; exit 1; }
src=$(od -An -N8 -tx8 /dev/urandom | tr -d ' ') # names this run; seq numbers what it sends
seq=0 pending=

note() { # TYPE [FIELDS]: a line of NDJSON, for the next report to take along
  pending+="{\"job\":\"$job\",\"type\":\"$1\",\"src\":\"$src\",\"seq\":$((++seq))${2:+,$2}}"$'\n'
}

report() { # TYPE [FIELDS]
  note "$@"
  flush
}

flush() { # What isn't confirmed is sent again with the next report, and counts once.
  local status
  status=$(curl -s -o /dev/null -w '%{http_code}' --connect-timeout 1 --max-time 2 \
    -H 'Content-Type: application/x-ndjson' --data-binary @- "$url/v1/events" <<<"$pending")
  case $status in
    201) pending= ;;
    400 | 403) echo "refused with $status, and dropped: $pending" >&2; pending= ;;
    *) echo "no answer from $url ($status)" >&2 ;;
  esac
}

end() { # EXIT_CODE, after up to five more tries for the last reports
  for _ in {1..5}; do [[ $pending ]] && sleep 1 && flush; done
  exit "$1"
}

fail() { report job.failed "\"error\":{\"type\":\"$1\",\"detail\":\"$2\"}"; end 1; }

note job.started '"kind":"sum","title":"Sum of amounts","stages":[{"name":"Read","weight":1},{"name":"Add","weight":4}]'
report stage.started '"stage":"Read"'
mapfile -t amounts <"$file" || fail Unreadable "the file can't be read"
note stage.finished '"stage":"Read"'

sum=0 done=0 told=0 total=${#amounts[@]} due=$SECONDS
report job.counted "\"indicator\":\"amounts\",\"total\":$total"
for amount in "${amounts[@]}"; do
  [[ $amount =~ ^(0|-?[1-9][0-9]*)$ ]] || fail NotANumber "line $((done + 1)) is not a whole number"
  ((sum += amount, ++done))
  if ((SECONDS > due || done == total)); then # a report a second
    note stage.progressed "\"stage\":\"Add\",\"done\":$done,\"total\":$total"
    report job.counted "\"indicator\":\"amounts\",\"done\":$((done - told))"
    told=$done due=$SECONDS
  fi
done
note stage.finished '"stage":"Add"'
report job.finished "\"result\":{\"sum\":$sum}"
end 0
