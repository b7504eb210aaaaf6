#!/bin/bash
# Times diffuse beside PyTorch, ONNX Runtime and OpenVINO: the network of google/ddpm-cifar10-32 (35.7 M parameters) with random weights, on
# all processors, one after the other and in several rounds; checks the output against PyTorch in float64; prints a table in Markdown with the
# ratio to the best peer of each round, and writes it to OUT/peers.md. Needs python3, PyPI and about 6 GB for OUT/venv (or for the folder
# that PEERS_VENV names, which is used as it is if it exists). Some 8 minutes after that; --quick makes one round of each.
# usage: bench/peers.sh [--quick] [OUT]
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=3 training_rounds=2 seconds=1
if [ "${1:-}" = --quick ]; then
	shift
	rounds=1 training_rounds=1 seconds=0.2
fi
out=$(realpath -m "${1:-runs/peers}") threads=$(nproc)
venv=${PEERS_VENV:-$out/venv}
mkdir -p "$out/network"
if [ ! -x "$venv/bin/python" ]; then
	python3 -m venv "$venv"
	"$venv/bin/pip" install -q torch==2.15.0 diffusers==0.42.1 openvino==2026.4.1 onnxruntime==1.32.0 onnx==1.23.2 onnxscript==0.7.2 \
		safetensors==0.8.0 numpy==2.4.6
fi
peer() { "$venv/bin/python" -W ignore bench/peers.py "$@" 2>>"$out/peers.log"; }
go build -o "$out/diffuse" ./cmd/diffuse
diffuse() { "$out/diffuse" "$@" 2>>"$out/peers.log"; }
# a peer that fails, for want of memory or of an instruction, leaves its cells empty
try() { peer "${@:2}" >>"$out/$1.jsonl" || echo "this failed, see $out/peers.log: $*" >&2; }
ours() { diffuse bench "$out/network" --json --time "${seconds}s" "$@" | peer bench; }

[ -e "$out/network/network.onnx" ] || peer make "$out/network" >>"$out/peers.log"
diffuse forward "$out/network" --in "$out/network/in.safetensors" --out "$out/network/ours.safetensors" --quiet
flags=$(grep -m1 '^flags' /proc/cpuinfo || true)
has() { [[ " $flags " == *" $1 "* ]]; }

rm -f "$out"/*.jsonl
contenders=("PyTorch f32=torch" "PyTorch channels-last f32=torch-channels-last" "ONNX Runtime f32=onnxruntime" "OpenVINO f32=openvino")
if has avx512_bf16 || has amx_bf16; then
	contenders+=("PyTorch bf16=torch-bf16" "OpenVINO bf16=openvino-bf16")
fi
for ((round = 1; round <= rounds; round++)); do
	for c in "${contenders[@]}"; do
		echo "round $round of $rounds: ${c%=*}" >&2
		try "${c#*=}" time "${c#*=}" "$out/network" "$threads" "$seconds"
	done
	echo "round $round of $rounds: diffuse" >&2
	ours --filter 'Network/' >>"$out/diffuse.jsonl"
	if has avx512f; then
		echo "round $round of $rounds: AVX2 only" >&2
		export ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2
		try torch-avx2 time torch "$out/network" "$threads" "$seconds"
		try torch-channels-last-avx2 time torch-channels-last "$out/network" "$threads" "$seconds"
		unset ONEDNN_MAX_CPU_ISA ATEN_CPU_CAPABILITY
		GODEBUG=cpu.avx512f=off ours --filter 'Network/' >>"$out/diffuse-avx2.jsonl"
	fi
done
for ((round = 1; round <= training_rounds; round++)); do
	echo "training, round $round of $training_rounds" >&2
	try torch train torch "$out/network" "$threads" "$seconds"
	try torch-channels-last train torch-channels-last "$out/network" "$threads" "$seconds"
	if has avx512_bf16 || has amx_bf16; then
		try torch-bf16 train torch-bf16 "$out/network" "$threads" "$seconds"
	fi
	ours --filter TrainStep >>"$out/diffuse.jsonl"
	ours --filter TrainStep --checkpoint-blocks >>"$out/diffuse-checkpoint.jsonl"
done

rows=()
for c in "${contenders[@]}"; do
	rows+=("${c%=*}=$out/${c#*=}.jsonl")
done
rows+=("diffuse f32=$out/diffuse.jsonl" "diffuse --checkpoint-blocks f32=$out/diffuse-checkpoint.jsonl")
if has avx512f; then
	rows+=("PyTorch avx2=$out/torch-avx2.jsonl" "PyTorch channels-last avx2=$out/torch-channels-last-avx2.jsonl" "diffuse avx2=$out/diffuse-avx2.jsonl")
fi
{
	echo "\`bench/peers.sh\` on $(grep -m1 '^model name' /proc/cpuinfo | cut -d: -f2- | xargs), $threads processors, $(date -u +%F): medians of $rounds rounds"
	echo "($training_rounds of training), each ratio the median of its rounds; memory is the most that the process has held by then."
	echo
	peer table "${rows[@]}"
	echo
	peer accuracy "$out/network"
} | tee "$out/peers.md"
