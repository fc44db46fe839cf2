# shellcheck shell=bash disable=SC2034 # those who source it use the variables
# What the scripts agree on. They source this file; it does nothing by itself.
{% include "cluster/need.sh" %}
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
