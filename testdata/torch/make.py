"""Writes randn.json: what torch.randn gives on a CPU. Run with PyTorch from PyPI: python make.py > randn.json

digest: the first 16 hexadecimal digits of the SHA-256 of the values' little-endian bytes.
"""

import hashlib
import json
import platform

import torch

SIZES = list(range(1, 41)) + [3072]
SEEDS = [0, 1, 42, 2**31, 2**32 - 1, 2**32 + 5, 2**63 - 1, 2**64 - 1]
TYPES = {"float32": torch.float32, "float64": torch.float64}
DRAWS = [3, 3, 20, 5, 16, 1, 100, 2, 15, 4]  # one generator: odd sizes leave half a pair behind


def digest(values):
    return hashlib.sha256(values.numpy().tobytes()).hexdigest()[:16]


def randn(size, dtype, generator):
    return torch.randn(size, dtype=dtype, generator=generator)


def fresh(seed):
    return torch.Generator().manual_seed(seed)


def every(dtype, sizes, seed):
    return "".join(digest(randn(n, dtype, fresh(seed))) for n in sizes)


def sequence(dtype, seed):
    g = fresh(seed)
    return "".join(digest(randn(n, dtype, g)) for n in DRAWS)


def bits(dtype):
    return {n: randn(n, dtype, fresh(42)).numpy().tobytes().hex() for n in (5, 18)}


print(json.dumps({
    "torch": torch.__version__,
    "capability": torch.backends.cpu.get_cpu_capability(),
    "libc": platform.libc_ver(),
    "sizes": SIZES,
    "draws": DRAWS,
    "seeds": [str(s) for s in SEEDS],
    "fresh": {name: [every(t, SIZES, s) for s in SEEDS] for name, t in TYPES.items()},
    "sequence": {name: [sequence(t, s) for s in SEEDS] for name, t in TYPES.items()},
    "million": {name: digest(randn(1_000_003, t, fresh(7))) for name, t in TYPES.items()},
    "bits42": {name: bits(t) for name, t in TYPES.items()},
}, indent=1))
