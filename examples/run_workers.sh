#!/usr/bin/env bash
# Starts the workers of one training run on this machine. If one of them dies, stops the
# others and starts all of them again, which then continue.
#
#     examples/run_workers.sh 2 genimg-train --preset digits_diagonal \
#         --strategy multi_worker
#
# Set MAX_RESTARTS to give up earlier or later than after ten restarts.
set -u
if [ "$#" -lt 2 ]; then
    echo "Usage: $0 NUM_WORKERS COMMAND..." >&2
    exit 2
fi
workers=$1
shift

# Free ports, new ones at each start: old ones may still be closing.
addresses() {
    python - "$workers" <<'PYTHON'
import json, socket, sys
sockets = [socket.socket() for _ in range(int(sys.argv[1]))]
for each in sockets:
    each.bind(("127.0.0.1", 0))
print(json.dumps([f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]))
PYTHON
}

pids=()
stop() {
    kill -9 "${pids[@]}" 2>/dev/null
    wait
}
trap 'stop; exit 130' INT TERM

for attempt in $(seq 0 "${MAX_RESTARTS:-10}"); do
    cluster=$(addresses) || exit 1
    pids=()
    for ((index = 0; index < workers; index++)); do
        TF_CONFIG="{\"cluster\": {\"worker\": $cluster},
            \"task\": {\"type\": \"worker\", \"index\": $index}}" "$@" &
        pids+=($!)
    done
    ended=0
    while [ "$ended" -lt "$workers" ] && wait -n; do
        ended=$((ended + 1))
    done
    [ "$ended" -eq "$workers" ] && exit 0
    echo "A worker died. Starting all of them again ($((attempt + 1)))." >&2
    stop
done
echo "Gave up." >&2
exit 1
