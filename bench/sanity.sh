#!/bin/bash
# Measures sets of pictures that are wrong in known ways, and the embedded model at several step counts, against the training
# pictures, and prints docs/metrics.md's table as Markdown. Half an hour on two cores; the sets and results stay in OUT.
# usage: bench/sanity.sh DATA [OUT]
set -euo pipefail
cd "$(dirname "$0")/.."
data=${1:?usage: bench/sanity.sh DATA [OUT]} out=${2:-runs/sanity}
mkdir -p "$out"
go build -trimpath -o "$out/diffuse" ./cmd/diffuse
[ -e "$out/labels-shuffled.npz" ] || go run ./bench/sanity "$data" "$out"
for steps in 3 6 12 24; do
	[ -e "$out/model-$steps-steps.npz" ] || "$out/diffuse" sample fashion-teacher --sampler dpmpp-2m --sigma-min 0.01 --skip 0.9:1 --seeds 0-9999 --steps $steps --npz "$out/model-$steps-steps.npz" --quiet
done
echo "| 10,000 pictures | fd-fashion | fd-random | kid ×1000 | precision | recall | density | coverage | authenticity | sw | accuracy |"
echo "|---|---|---|---|---|---|---|---|---|---|---|"
for set in train test noise-5 noise-10 noise-20 blur-0.5 blur-1 repeated-1000 half-of-classes-9-to-1 half-of-classes labels-shuffled \
	model-3-steps model-6-steps model-12-steps model-24-steps; do
	for features in fashion random; do
		metrics=fd
		[ $features = random ] || metrics=fd,kid,prdc,authenticity,sw,accuracy
		[ -e "$out/$set-$features.json" ] || {
			"$out/diffuse" eval "$out/$set.npz" --ref "$data" --features $features --metrics $metrics --json --quiet >"$out/part.json"
			mv "$out/part.json" "$out/$set-$features.json"
		}
	done
	# Every metric is one line `"name": {` followed by `"value": number`.
	value() { awk -v key="\"$2\":" '$1 == key { found = 1 } found && $1 == "\"value\":" { sub(",", "", $2); print $2; exit }' "$out/$set-$1.json"; }
	printf '| %s | %.4f | %.4f | %.3f | %.3f | %.3f | %.3f | %.3f | %.3f | %.4f | %.3f |\n' "${set//-/ }" "$(value fashion fd-fashion)" "$(value random fd-random)" \
		"$(value fashion kid-fashion | awk '{ print 1000 * $1 }')" "$(value fashion precision)" "$(value fashion recall)" "$(value fashion density)" \
		"$(value fashion coverage)" "$(value fashion authenticity)" "$(value fashion sliced-wasserstein)" "$(value fashion accuracy)"
done
