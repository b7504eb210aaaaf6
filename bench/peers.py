"""The other side of peers.sh: google/ddpm-cifar10-32's network with random weights in PyTorch, ONNX Runtime and OpenVINO.

peers.py make DIR                          writes the network (diffusers' folder and ONNX), an input, and the output in float64
peers.py time PEER DIR THREADS SECONDS     times PEER at batches of 1, 4 and 16 and prints a line of JSON
peers.py train PEER DIR THREADS SECONDS    the same of a training step with 16 pictures: forward, backward, Adam, moving average
peers.py bench                             turns the output of `diffuse bench --json` into such a line
peers.py accuracy DIR                      compares DIR/ours.safetensors, and PyTorch in float32, with float64
peers.py table NAME=FILE...                prints the table of the lines in files, as Markdown; NAME is that of the row

PEER is torch, torch-channels-last, torch-bf16, onnxruntime, openvino or openvino-bf16.
"""

import json
import resource
import statistics
import sys
import time

BATCHES = 1, 4, 16
CONFIG = dict(  # config.json of google/ddpm-cifar10-32
    act_fn="silu", attention_head_dim=None, block_out_channels=[128, 256, 256, 256], center_input_sample=False,
    down_block_types=["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"], downsample_padding=0, flip_sin_to_cos=False,
    freq_shift=1, in_channels=3, layers_per_block=2, mid_block_scale_factor=1, norm_eps=1e-6, norm_num_groups=32, out_channels=3,
    sample_size=32, time_embedding_type="positional", up_block_types=["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"])


def peak():
    """The most memory that this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def network(folder):
    import torch
    from diffusers import UNet2DModel
    from safetensors.torch import load_file

    with torch.device("meta"):  # from_pretrained would hold the weights twice
        net = UNet2DModel(**CONFIG)
    net.load_state_dict(load_file(f"{folder}/diffusion_pytorch_model.safetensors"), assign=True)
    return net.eval()


def make(folder):
    import torch
    from diffusers import UNet2DModel
    from safetensors.torch import save_file

    class Plain(torch.nn.Module):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, x, timestep):
            return self.net(x, timestep).sample

    torch.manual_seed(0)
    net = UNet2DModel(**CONFIG).eval()
    net.save_pretrained(folder)
    x, t = torch.randn(2, 3, 32, 32), torch.tensor([50.0, 700.0])
    with torch.inference_mode():
        precise = net.double()(x.double(), t.double()).sample
    net.float()
    # what the network sees is x; diffuse is given x + sigma·n = x / sqrt(alpha), in terms of sigma
    alpha = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)[t.long()]
    wide = (x.double() / alpha.sqrt().reshape(-1, 1, 1, 1)).float()
    save_file({"x": wide, "timestep": t}, f"{folder}/in.safetensors")
    save_file({"x": x, "timestep": t, "precise": precise}, f"{folder}/reference.safetensors")
    batch = torch.export.Dim("batch", min=1, max=64)
    torch.onnx.export(Plain(net).eval(), (x, t), f"{folder}/network.onnx", dynamo=True, input_names=["x", "timestep"], verbose=False,
                      dynamic_shapes=({0: batch}, {0: batch}))


def evaluator(peer, folder, threads):
    """Returns a function that makes a function that evaluates a batch of n."""
    import numpy as np

    rng = np.random.default_rng(0)
    inputs = lambda n: (rng.standard_normal((n, 3, 32, 32), np.float32), np.linspace(10, 900, n, dtype=np.float32))
    if peer.startswith("torch"):
        import torch

        net = network(folder)
        dtype = torch.bfloat16 if peer == "torch-bf16" else torch.float32
        layout = torch.contiguous_format if peer == "torch" else torch.channels_last
        net.to(dtype=dtype, memory_format=layout)

        def prepare(n):
            x, t = map(torch.from_numpy, inputs(n))
            x, t = x.to(dtype=dtype, memory_format=layout), t.to(dtype)
            return lambda: net(x, t).sample
    elif peer == "onnxruntime":
        import onnxruntime

        o = onnxruntime.SessionOptions()
        o.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(f"{folder}/network.onnx", o, providers=["CPUExecutionProvider"])

        def prepare(n):
            x, t = inputs(n)
            return lambda: session.run(None, {"x": x, "timestep": t})
    else:
        import openvino

        core, model = openvino.Core(), f"{folder}/network.onnx"
        precision = "bf16" if peer == "openvino-bf16" else "f32"
        settings = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}

        def prepare(n):
            net = core.read_model(model)
            net.reshape({"x": [n, 3, 32, 32], "timestep": [n]})
            compiled, (x, t) = core.compile_model(net, "CPU", settings), inputs(n)
            request = compiled.create_infer_request()
            return lambda: request.infer([x, t])
    return prepare


def rate(f, n, seconds):
    """Pictures a second of f, which takes n: after one call, for so many seconds."""
    f()
    calls, start = 0, time.perf_counter()
    while calls < 1 or time.perf_counter() - start < seconds:
        f()
        calls += 1
    return n * calls / (time.perf_counter() - start)


def measure(peer, folder, threads, seconds):
    result = {}
    prepare = evaluator(peer, folder, threads)
    for n in BATCHES:
        result[f"batch {n}"] = rate(prepare(n), n, seconds)
        result[f"MB at batch {n}"] = peak()
    print(json.dumps(result))


def train(peer, folder, threads, seconds):
    import torch

    torch.manual_seed(0)
    net = network(folder).train()
    average = [p.detach().clone() for p in net.parameters()]
    if peer != "torch":
        net.to(memory_format=torch.channels_last)
    adam = torch.optim.Adam(net.parameters(), lr=1e-4)
    x, noise, t = torch.randn(16, 3, 32, 32), torch.randn(16, 3, 32, 32), torch.linspace(10, 900, 16)

    def step():
        adam.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=peer == "torch-bf16"):
            out = net(x, t).sample
        torch.nn.functional.mse_loss(out.float(), noise).backward()
        adam.step()
        torch._foreach_lerp_(average, [p.detach() for p in net.parameters()], 0.01)

    print(json.dumps({"training": rate(step, 16, seconds), "MB in training": peak()}))


def bench():
    result = {}
    for b in json.load(sys.stdin)["benchmarks"]:
        name, m = b["name"], b["metrics"]
        if name.startswith("Network/batch="):
            n = name.split("=")[1]
            result[f"batch {n}"], result[f"MB at batch {n}"] = m["images/s"], m["peak-MB"]
        elif name.startswith("TrainStep"):
            result["training"], result["MB in training"] = m["images/s"], m["peak-MB"]
    print(json.dumps(result))


def accuracy(folder):
    import torch
    from safetensors.torch import load_file

    ours, ref = load_file(f"{folder}/ours.safetensors")["raw"].double(), load_file(f"{folder}/reference.safetensors")
    with torch.inference_mode():
        theirs = network(folder)(ref["x"], ref["timestep"]).sample.double()
    error = lambda y: float((y - ref["precise"]).norm() / ref["precise"].norm())
    print(f"Relative L2 distance from PyTorch in float64: diffuse {error(ours):.1e}, PyTorch in float32 {error(theirs):.1e}.")


COLUMNS = [f"batch {n}" for n in BATCHES] + ["training"] + [f"MB at batch {n}" for n in BATCHES] + ["MB in training"]


def table(*rows):
    lines = {}
    for row in rows:
        name, file = row.split("=", 1)
        with open(file) as f:
            lines[name] = [json.loads(line) for line in f]
    print("| | " + " | ".join(f"{c}, images/s" if c in COLUMNS[:4] else c for c in COLUMNS) + " |")
    print("|---" * (len(COLUMNS) + 1) + "|")
    median = lambda values: statistics.median(values) if values else None
    cell = lambda v, c: "" if v is None else f"{v:.0f}" if c.startswith("MB") else f"{v:.3g}"
    for name, runs in lines.items():
        print(f"| {name} | " + " | ".join(cell(median([r[c] for r in runs if c in r]), c) for c in COLUMNS) + " |")
    for kind in sorted({n.rsplit(" ", 1)[1] for n in lines if n.startswith("diffuse ")}):
        mine = [n for n in lines if n.startswith("diffuse ") and n.endswith(kind)][0]
        peers = [n for n in lines if not n.startswith("diffuse") and n.endswith(" " + kind)]
        print(f"| {mine} : best peer {kind} | " + " | ".join(ratio(lines, mine, peers, c) for c in COLUMNS) + " |")


def ratio(lines, mine, peers, column):
    """The median over rounds of our figure by that of the best peer of the round: the most pictures, the least memory."""
    best = min if column.startswith("MB") else max
    rounds = lambda name: [r[column] for r in lines[name] if column in r]
    theirs = [rounds(p) for p in peers if rounds(p)]
    ratios = [ours / best(values) for ours, *values in zip(rounds(mine), *theirs)] if theirs else []
    return f"**{statistics.median(ratios):.2f}**" if ratios else ""


def main(what, *args):
    if what in ("time", "train"):
        peer, folder, threads, seconds = args[0], args[1], int(args[2]), float(args[3])
        if peer.startswith("torch"):
            import torch

            torch.set_num_threads(threads)
        if what == "train":
            return train(peer, folder, threads, seconds)
        if peer.startswith("torch"):
            with torch.inference_mode():
                return measure(peer, folder, threads, seconds)
        return measure(peer, folder, threads, seconds)
    {"make": make, "bench": bench, "accuracy": accuracy, "table": table}[what](*args)


main(*sys.argv[1:])
