#!/bin/bash
# Holds models that diffuse writes for diffusers, and models of diffusers that diffuse reads, against the library itself, on this machine. Needs python3 and PyPI; everything it
# makes stays in OUT.
# usage: bench/diffusers.sh export|import [OUT]
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:?export or import} out=$(realpath -m "${2:-runs/diffusers}")
mkdir -p "$out"
[ -x "${DIFFUSERS_VENV:=$out/venv}/bin/python" ] || python3 -m venv "$DIFFUSERS_VENV"
"$DIFFUSERS_VENV/bin/python" -c 'import torch, diffusers, safetensors' 2>/dev/null ||
	"$DIFFUSERS_VENV/bin/pip" install -q torch==2.15.0 diffusers==0.42.1 safetensors==0.8.0 numpy
go build -o "$out/diffuse" ./cmd/diffuse
"$DIFFUSERS_VENV/bin/python" bench/peer_diffusers.py "$what" "$out"
