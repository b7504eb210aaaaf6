#!/bin/bash
# Times the Inception network of `diffuse eval` beside torch-fidelity's: same random weights, same 299x299 pictures, same cores, in
# turn and three times, after comparing their features. Needs python3 and PyPI; everything it makes stays in OUT.
# usage: bench/inception.sh [OUT]
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(realpath -m "${1:-runs/inception}") threads=$(nproc)
mkdir -p "$out"
[ -x "$out/venv/bin/python" ] || python3 -m venv "$out/venv"
"$out/venv/bin/pip" install -q torch==2.15.0 torch-fidelity==0.4.0 safetensors==0.8.0 numpy
peer() { "$out/venv/bin/python" bench/inception.py "$@"; }
[ -e "$out/pictures.npz" ] || peer weights "$out/weights.safetensors" "$out/pictures.npz"
peer features "$out/weights.safetensors" "$out/pictures.npz" "$out/peer.npz"
export DIFFUSE_INCEPTION=$out
go test -c -o "$out/metric.test" ./metric
cd metric # where the test program expects to run
"$out/metric.test" -test.run '^TestPeerInception$' -test.v | grep -v '^ok\|PASS$\|=== RUN'
echo "| round | torch-fidelity, pictures/s (batch) | diffuse, pictures/s | ratio |"
echo "|---|---|---|---|"
cd ..
for round in 1 2 3; do
	read -r theirs batch < <(peer time "$out/weights.safetensors" "$out/pictures.npz" "$threads")
	ours=$(cd metric && "$out/metric.test" -test.run '^$' -test.bench '^BenchmarkInceptionExtractor$' -test.benchtime 4x |
		awk '{ for (i = 2; i <= NF; i++) if ($i == "pictures/s") print $(i - 1) }')
	awk -v r=$round -v t="$theirs" -v b="$batch" -v o="$ours" 'BEGIN { printf "| %d | %.2f (%d) | %.2f | %.2f |\n", r, t, b, o, o / t }'
done
