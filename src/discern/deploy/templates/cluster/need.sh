here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"

need() { # need TOOL...: stop where one is missing
    local tool
    for tool in "$@"; do
        command -v "$tool" >/dev/null || {
            echo "This needs $tool, which is not installed." >&2
            exit 2
        }
    done
}

