#!/usr/bin/env bash
# Stops {= unit =} and removes it with its models and settings. {= venv =} stays: others may use it.
set -euo pipefail

if [ "$(id -u)" -ne 0 ]; then
    echo "Run this as root: sudo $0" >&2
    exit 1
fi
systemctl disable --now {= unit =} || true # it may be gone already
rm -f /etc/systemd/system/{= unit =}.service /etc/discern/{= name =}.env
rm -rf {= models =} /var/cache/private/{= unit =} /var/cache/{= unit =}
systemctl daemon-reload
echo "Removed. If nothing else uses it: rm -r {= venv =}"
