#!/bin/bash
# Times a step of distillation, generator and fake network, beside the released code of score identity distillation (Apache 2.0, for which clone
# github.com/mingyuanzhou/SiD) in PyTorch: the same small network, 16 pictures, all processors, float32, in turn. Needs python3 and a virtual environment
# with torch, numpy and scipy that SID_VENV names, such as the one peers.sh makes.
# usage: SID_VENV=VENV bench/sid.sh CLONE [OUT]
set -euo pipefail
cd "$(dirname "$0")/.."
clone=${1:?the folder of the released code} out=$(realpath -m "${2:-runs/sid}") threads=$(nproc)
clone=$(realpath "$clone")
mkdir -p "$out"
peer() { PYTHONPATH="$clone" "${SID_VENV:?a virtual environment with torch}/bin/python" -W ignore bench/sid.py "$@"; }
rate() { "$SID_VENV/bin/python" -c "import json,sys; print(json.load(sys.stdin)$1)"; }
go build -o "$out/diffuse" ./cmd/diffuse
[ -e "$out/teacher.pkl" ] || peer make "$out/teacher.pkl"
echo "| round | released code, images/s | diffuse, images/s | ratio |"
echo "|---|---|---|---|"
for round in 1 2 3; do
	theirs=$(peer time "$out/teacher.pkl" "$threads" 15 | rate "['images']")
	ours=$("$out/diffuse" bench "$out/teacher.pkl" --filter DistillStep --time 15s --json | rate "['benchmarks'][-1]['metrics']['images/s']")
	awk -v r="$round" -v a="$theirs" -v b="$ours" 'BEGIN { printf "| %d | %.2f | %.2f | %.2f |\n", r, a, b, b / a }'
done
