#!/usr/bin/env bash
# Installs {= name =} as the service {= unit =}, or another version of it over that. Run it as root, from anywhere.
# What it makes: {= venv =}, {= model =},
# /etc/discern/{= name =}.env (kept if it is there), /etc/systemd/system/{= unit =}.service.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"

python=${PYTHON:-python{= python =}} # the versions in constraints.txt were chosen for it
venv={= venv =}
model={= model =}

if [ "$(id -u)" -ne 0 ]; then
    echo "Run this as root: sudo $0" >&2
    exit 1
fi
for tool in "$python" systemctl; do
    if ! command -v "$tool" >/dev/null; then
        echo "$tool is not here. Install it (Debian: apt-get install python{= python =}-venv), or set PYTHON." >&2
        exit 1
    fi
done
umask 022 # the service's own user has to read all of it

"$python" -m venv "$venv"
"$venv/bin/pip" install --quiet --only-binary :all: --find-links wheels \
    --constraint constraints.txt 'discern[serve]=={= discern =}'

# Under another name first, so that a model folder is there whole or not at all.
if [ ! -d "$model" ]; then
    mkdir -p "$(dirname "$model")"
    rm -rf "$model.new"
    cp -r {= repository =} "$model.new"
    mv "$model.new" "$model"
fi
"$venv/bin/discern" verify "$model"

mkdir -p /etc/discern
if [ ! -e /etc/discern/{= name =}.env ]; then
    install -m 0600 {= name =}.env /etc/discern/{= name =}.env
fi
install -m 0644 {= unit =}.service /etc/systemd/system/{= unit =}.service
systemctl daemon-reload
systemctl enable --quiet {= unit =}
systemctl restart {= unit =}

# shellcheck source=/dev/null
. /etc/discern/{= name =}.env
[ "$HOST" != 0.0.0.0 ] || HOST=127.0.0.1
for _ in $(seq 60); do
    if "$python" -c "import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=2)" \
        "http://$HOST:$PORT/readyz" 2>/dev/null; then
        echo "{= unit =} is ready at http://$HOST:$PORT"
        exit 0
    fi
    sleep 1
done
systemctl --no-pager status {= unit =} || true
echo "{= unit =} is not ready after a minute. Its log: journalctl -u {= unit =}" >&2
exit 1
