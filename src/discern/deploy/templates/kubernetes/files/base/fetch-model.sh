{% if model_from == "object-store" %}
#!/bin/sh
# Bring the model from the object store. Only the files that SHA256SUMS names are served, and only
# if all of them are as it says: whoever may write to the bucket cannot change what is served.
set -eu

sums=$(cd "$(dirname "$0")" && pwd)/SHA256SUMS
incoming=$MODEL_FOLDER.incoming
rm -rf "$incoming"
mkdir -p "$incoming"
case "$MODEL_URL" in
s3://*) aws s3 sync --only-show-errors "$MODEL_URL" "$incoming" ;;
gs://*) gcloud storage rsync --recursive "$MODEL_URL" "$incoming" ;;
*)
    echo "MODEL_URL is '$MODEL_URL'; it must begin with s3:// or gs://" >&2
    exit 1
    ;;
esac
cd "$incoming"
sha256sum --check --strict --quiet "$sums"
while read -r _ file; do
    mkdir -p "$MODEL_FOLDER/$(dirname "$file")"
    mv "$file" "$MODEL_FOLDER/$file"
done <"$sums"
rm -rf "$incoming"
{% endif %}
