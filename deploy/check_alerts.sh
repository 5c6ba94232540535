#!/usr/bin/env bash
# Waits until the alert consumer of a running docker-compose.yml has printed an opened incident, and shows it.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-300}
for ((waited = 0; waited < seconds; waited += 5)); do
    opened=$(docker compose logs --no-log-prefix alerts | grep -F '"status":"opened"' || true)
    if [ -n "$opened" ]; then
        printf '%s\n' "$opened"
        exit 0
    fi
    sleep 5
done
echo "no incident was opened within $seconds s" >&2
docker compose ps >&2
docker compose logs --tail 50 >&2
exit 1
