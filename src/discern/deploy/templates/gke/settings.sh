# shellcheck shell=bash disable=SC2034 # those who source it use the variables
# What the scripts agree on. They source this file; it does nothing by itself.
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

need gcloud
cluster="{= name =}"
region="{= region =}"
{% if project %}
project="{= project =}"
{% else %}
# The one that gcloud is set to; any other: PROJECT=… before the command.
project="${PROJECT:-$(gcloud config get-value project 2>/dev/null)}"
[[ -n "$project" ]] || {
    echo "No project: run 'gcloud config set project NAME', or set PROJECT." >&2
    exit 2
}
{% endif %}
repository="{= artifacts =}"
host="$region-docker.pkg.dev"
registry="$host/$project/$repository"
tag="{= tag =}"
images=({= images | join(" ") =})
