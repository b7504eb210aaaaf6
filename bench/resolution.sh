#!/bin/bash
# Trains a small U-ViT on avatars with and without what Simple diffusion recommends for high resolution, one run after the other, each on the same
# pictures in the same order, and measures them all: Fréchet distances at full size and of pictures shrunk to 32×32 and 8×8, loss by
# noise level on held-out avatars, grids. Speed and memory over resolution come last. A stopped script goes on where it was.
# usage: [IMAGES=20000] [BATCH=8] [NUM=512] [STEPS=16] [THREADS=0] bench/resolution.sh AVATARS HELD OTHER OUT [RUN|curves|draw|speed]...
# AVATARS, HELD and OTHER: folders of bench/avatars/avatars.js, HELD with --first 20000 --num 2000 as reference, OTHER with --first 22000
# --num 512 to see what real pictures measure. Without names, everything is done.
set -euo pipefail
avatars=$(realpath "${1:?usage: bench/resolution.sh AVATARS HELD OTHER OUT [RUN|curves|draw|speed]...}") held=$(realpath "${2:?HELD is missing}")
other=$(realpath "${3:?OTHER is missing}") out=$(realpath -m "${4:?OUT is missing}")
shift 4
cd "$(dirname "$0")/.."
images=${IMAGES:-20000} batch=${BATCH:-8} num=${NUM:-512} steps=${STEPS:-16} threads=${THREADS:-0}
mkdir -p "$out"
[ -x "$out/diffuse" ] || go build -o "$out/diffuse" ./cmd/diffuse
diffuse() { "$out/diffuse" --threads "$threads" --quiet "$@"; }

# The network of all runs: patches of 4, so that it computes at 32×32 and below, and transformer blocks at 8×8. It returns the picture: 16
# channels hold what a patch of a picture is, but not the 48 numbers of its noise.
network=(--model-type uvit --network "$out/heads.json" --first-op patch:4 --model-channels 16 --channel-mult 1,3,6 --encoder-blocks 1,1
	--decoder-blocks 1,1 --middle-blocks 4 --skip-per level --dropout 0 --precond x0 --loss min-snr:gamma=5)
echo '{"uvit": {"head_channels": 16, "mlp_ratio": 4, "positions": "rope-2d", "rope_base": 100}}' >"$out/heads.json"
training=(--duration "$images" --batch "$batch" --lr 0.0015 --lr-rampup 1000 --lr-decay linear --lr-decay-fraction 0.4 --ema-halflife 1000
	--class-dropout 0 --tick $((images / 4)) --picture-ticks 0 --snapshot-ticks 0 --val-num 64)
long="--loss x0 --duration $((4 * images)) --ema-halflife 4000 --tick $images --snapshot-ticks 1"
declare -A differs=(
	[shift32]="--noise cosine:shift=32"
	[shift16]="--noise cosine:shift=16"
	[cosine]="--noise cosine"
	[interpolated]="--noise cosine:interpolate=32:128"
	[multiscale]="--noise cosine:shift=32 --loss-scales 32"
	[wavelet]="--noise cosine:shift=32 --first-op wavelet:4"
	[none]="--noise cosine:shift=32 --duration $((images / 4)) --tick $((images / 16)) --first-op none --model-channels 8 --channel-mult 1,1,2,6,12 --encoder-blocks 1,1,1,1 --decoder-blocks 1,1,1,1"
	[dropout]="--noise cosine:shift=32 --dropout 0.1"
	[dropout-low]="--noise cosine:shift=32 --dropout 0.1 --dropout-resolution 8"
	[v-loss]="--noise cosine:shift=32 --loss v"
	[x0-loss]="--noise cosine:shift=32 --loss x0"
	[seed1]="--noise cosine:shift=32 --seed 1"
	[cosine-long]="--noise cosine $long"
	[shift32-long]="--noise cosine:shift=32 $long"
)
# v-loss fails, and is not part of the study: see docs/results.md.
order=(cosine shift32 shift16 x0-loss interpolated multiscale wavelet none seed1 dropout dropout-low cosine-long shift32-long)

# study trains a run and draws and measures its pictures.
study() {
	local run=$out/$1
	if [ ! -e "$run/done" ]; then
		local resume=()
		[ ! -e "$run/options.json" ] || resume=(--resume)
		# shellcheck disable=SC2086
		diffuse train --data "$out/avatars.npz" --val-data "$out/held.npz" --out "$run" "${resume[@]}" "${network[@]}" "${training[@]}" ${differs[$1]}
		touch "$run/done"
	fi
	measure "$1" "$run"
}

# measure draws pictures of a run, all runs from the same noise by the same steps, and measures them.
measure() {
	local to=$out/measured/$1
	mkdir -p "$to"
	[ -e "$to/grid.png" ] || diffuse sample "$2" --num 12 --columns 12 "${sampling[@]}" --grid "$to/grid.png"
	[ -e "$to/samples.npz" ] || diffuse sample "$2" --num "$num" --batch 16 "${sampling[@]}" --npz "$to/samples.npz"
	distances "$to"
}
sampling=(--sampler dpmpp-2m --steps "$steps" --schedule karras --sigma-max 200 --sigma-min 0.005)

# distances compares a folder's samples with held-out avatars, at full size and shrunk: features of the random network see 17 pixels at most,
# which is texture at 128×128 and the whole picture at 8×8.
distances() {
	local size
	for size in 128 32 8; do
		[ -e "$1/samples-$size.npz" ] || diffuse data pack "$1/samples.npz" "$1/samples-$size.npz" --resolution $size
		[ -e "$1/fd-$size.json" ] || diffuse eval "$1/samples-$size.npz" --ref "$out/held-$size.npz" --features random --metrics fd,prdc --json >"$1/part.json"
		[ ! -e "$1/part.json" ] || mv "$1/part.json" "$1/fd-$size.json"
	done
}

# curves measures snapshots of the long runs on their way and draws their distances over the images seen.
curves() {
	local run at of=()
	for run in cosine-long shift32-long; do
		for at in "$images" $((2 * images)) $((3 * images)) $((4 * images)); do
			measure "$run-$at" "$out/$run/snapshot-$(printf %09d "$at").safetensors"
		done
		of+=("${run%-long}=$out/measured/$run")
	done
	go run ./bench/resolution curves "$out/curves.svg" "${of[@]}"
}

# bench prints images per second of processor time, which other work on the machine changes less than the clock, and the most memory in MB.
bench() {
	diffuse bench "$@" --time 1s | awk -v batch="$(sed 's/.*batch=\([0-9]*\).*/\1/' <<<"$*")" '
		!/^BenchmarkPeak/ { for (i = 3; i <= NF; i++) value[$i] = $(i - 1) }
		END { printf "%.3g | %.0f", 1e9 * batch / value["cpu-ns/op"], value["peak-MB"] }'
}

# speed prints what the runs' network does at several resolutions, with and without a first operation, with random weights. Without one, 512×512
# is left out: 450 GFLOP a picture.
speed() {
	local first model size
	echo "| size | first operation | drawing, images/s | MB | training, images/s | MB | recomputed, images/s | MB |"
	echo "|---|---|---|---|---|---|---|---|"
	for size in 32 64 128 256 512; do
		for first in none patch:4 wavelet:4; do
			[ $size$first != 512none ] || continue
			model=$out/speed-${first%:4}
			[ -e "$model" ] || diffuse train --data "$held" --resolution 32 "${network[@]}" --first-op $first --duration 16 --batch 16 --picture-ticks 0 --out "$model"
			set -- "$model" --resolution $size --filter
			echo "| $size | $first | $(bench "$@" 'Network/batch=4$') | $(bench "$@" TrainStep/batch=16) | $(bench "$@" TrainStep/batch=16 --checkpoint-blocks) |"
		done
	done
}

# draw prints all distances as Markdown, draws the losses by noise level and puts the grids into one picture.
draw() {
	local name size of losses=() grids=()
	value() { awk -v key="\"$2\":" '$1 == key { found = 1 } found && $1 == "\"value\":" { sub(",", "", $2); printf "| %.3f ", $2; exit }' "$1"; }
	echo "| run | fd-random at 128×128 | at 32×32 | at 8×8 | precision at 128×128 | at 32×32 | at 8×8 |"
	echo "|---|---|---|---|---|---|---|"
	for name in real "${order[@]}"; do
		[ -e "$out/measured/$name/fd-8.json" ] || continue
		echo "| $name $(for of in fd-random precision; do for size in 128 32 8; do value "$out/measured/$name/fd-$size.json" $of; done; done)|"
		grids+=("$name=$out/measured/$name/grid.png")
		[ $name = real ] || losses+=("$name=$out/$name")
	done
	go run ./bench/resolution loss "$out/loss.svg" "${losses[@]}"
	go run ./bench/resolution grid "$out/grids.jpg" "${grids[@]}"
}

prepare() {
	[ -e "$out/avatars.npz" ] || diffuse data pack "$avatars" "$out/avatars.npz"
	[ -e "$out/held.npz" ] || diffuse data pack "$held" "$out/held.npz"
	local size
	for size in 128 32 8; do
		[ -e "$out/held-$size.npz" ] || diffuse data pack "$out/held.npz" "$out/held-$size.npz" --resolution $size
	done
	local real=$out/measured/real
	mkdir -p "$real"
	[ -e "$real/grid.png" ] || diffuse data grid "$out/avatars.npz" --num 12 --columns 12 --out "$real/grid.png"
	[ -e "$real/samples.npz" ] || diffuse data pack "$other" "$real/samples.npz"
	distances "$real"
}

prepare
[ $# -gt 0 ] || set -- "${order[@]}" curves draw speed
for name; do
	case $name in speed | draw | curves)
		$name
		continue
		;;
	esac
	[ -n "${differs[$name]:-}" ] || { echo "unknown run $name; known: ${!differs[*]}" >&2; exit 2; }
	study "$name"
done
