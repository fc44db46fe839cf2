{% if model_from == "volume" %}
#!/bin/sh
# Copy a folder into the volume that the model tier reads:
#   ./fill-volume.sh FOLDER PLACE
# It gets its place, such as {= name =}/2, when it is complete; what stands there already is not
# touched.
set -eu

if [ $# -ne 2 ]; then
    echo "usage: $0 FOLDER PLACE" >&2
    exit 2
fi
folder=$1
place=/models/$2
waiting=$(dirname "$place")/.$(basename "$place")
here=$(dirname "$0")

inside() { kubectl --namespace {= name =} exec --stdin fill-volume -- "$@"; }

kubectl apply --filename "$here/fill-volume.yaml"
trap 'kubectl --namespace {= name =} delete pod fill-volume --wait=false' EXIT
kubectl --namespace {= name =} wait --for=condition=Ready --timeout=300s pod/fill-volume

inside test ! -e "$place" || { echo "$2 is there already" >&2; exit 1; }
inside rm -rf "$waiting"
inside mkdir -p "$waiting"
tar --create --directory "$folder" . | inside tar --extract --no-same-owner --directory "$waiting"
inside mv "$waiting" "$place"
{% endif %}
