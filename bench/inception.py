"""The other side of inception.sh: torch-fidelity's Inception network with random weights, timed on this machine.

inception.py weights OUT.safetensors OUT.npz    writes the weights and 256 random pictures of 299x299
inception.py features WEIGHTS NPZ OUT.npz       writes the features of the first 8 pictures
inception.py time WEIGHTS NPZ THREADS           prints pictures/s of the best batch size
"""

import sys
import tempfile
import time

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3


class RandomInception(FeatureExtractorInceptionV3):
    """torch-fidelity's network without its download: the weights stay as they were made."""

    def load_state_dict(self, state, **kw):
        return super().load_state_dict(state, **kw) if state else None


def network(weights=None):
    torch.manual_seed(0)
    with tempfile.NamedTemporaryFile(suffix=".pth") as empty:
        torch.save({}, empty.name)
        net = RandomInception("inception-v3-compat", ["2048"], feature_extractor_weights_path=empty.name)
    if weights:
        net.load_state_dict(load_file(weights))
    return net.eval()


def pictures(npz):
    return torch.from_numpy(np.load(npz)["arr_0"]).permute(0, 3, 1, 2).contiguous()


@torch.inference_mode()
def main(what, *args):
    if what == "weights":
        save_file({k: v.contiguous() for k, v in network().state_dict().items()}, args[0])
        rng = np.random.default_rng(0)
        np.savez(args[1], arr_0=rng.integers(0, 256, (256, 299, 299, 3), np.uint8))
    elif what == "features":
        np.savez(args[2], features=network(args[0])(pictures(args[1])[:8])[0].numpy())
    elif what == "time":
        torch.set_num_threads(int(args[2]))
        net, x, best = network(args[0]), pictures(args[1]), (0, 0)
        for batch in 4, 8, 16, 32:
            net(x[:batch])
            start = time.perf_counter()
            for i in range(0, 64, batch):
                net(x[i : i + batch])
            best = max(best, (64 / (time.perf_counter() - start), batch))
        print(f"{best[0]:.2f} {best[1]}")


main(*sys.argv[1:])
