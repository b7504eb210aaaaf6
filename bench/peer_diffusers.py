"""The other side of diffusers.sh: UNet2DModel and the schedulers of diffusers on models that diffuse wrote, and the other way round.

peer_diffusers.py import OUT    networks of random options over all that UNet2DModel has, saved by the library and evaluated by both
peer_diffusers.py export OUT    a trained ADM, its weights made larger at random, and the folders of testdata/diffusers, exported and compared
"""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from diffusers import DiffusionPipeline, EDMEulerScheduler, UNet2DModel
from diffusers.utils import logging
from safetensors import safe_open
from safetensors.torch import load_file, save_file

logging.set_verbosity_error()
REPOSITORY = Path(__file__).resolve().parent.parent


def diffuse(out, *args):
    subprocess.run([out / "diffuse", *map(str, args), "-q"], check=True)


def worst(a, b):
    """The largest difference in units of the largest value."""
    return ((a - b).abs().max() / b.abs().max()).item()


def row(model, what, a, b):
    """One row of the table; the tolerance is that of both programs' float32."""
    print(f"| {model} | {what} | {worst(a, b):.1e} |", flush=True)
    assert worst(a, b) < 1e-5


def adm(out):
    """A model file with an ADM of two levels for three classes, all of whose layers matter."""
    rng = np.random.default_rng(0)
    np.savez(out / "pictures.npz", arr_0=rng.integers(0, 256, (64, 16, 16, 3), np.uint8), arr_1=rng.integers(0, 3, 64))
    diffuse(out, "train", "--data", out / "pictures.npz", "--out", out / "run", "--model-type", "adm", "--model-channels", 128, "--channel-mult", "1,2",
            "--num-blocks", 1, "--attn-resolutions", "8", "--duration", 16, "--batch", 8, "--tick", 16, "--picture-ticks", 0)
    diffuse(out, "convert", out / "run", out / "small.safetensors")
    with safe_open(out / "small.safetensors", "pt") as f:
        meta = f.metadata()
    torch.manual_seed(0)
    weights = {k: v + 0.03 * torch.randn_like(v) for k, v in load_file(out / "small.safetensors").items()}
    save_file(weights, out / "adm.safetensors", meta)
    return out / "adm.safetensors"


@torch.inference_mode()
def export_adm(out):
    model, folder = adm(out), out / "adm"
    diffuse(out, "convert", model, folder, "--to", "diffusers")
    unet = UNet2DModel.from_pretrained(folder, subfolder="unet").eval()
    scheduler = EDMEulerScheduler.from_pretrained(folder, subfolder="scheduler")
    x, sigma, label = torch.randn(4, 3, 16, 16), torch.tensor([0.01, 0.3, 3, 60]), torch.tensor([0, 2, 1, 1])
    x *= (1 + sigma**2).sqrt()[:, None, None, None]
    save_file({"x": x, "sigma": sigma, "label": label}, out / "in.safetensors")
    diffuse(out, "forward", model, "--in", out / "in.safetensors", "--out", out / "out.safetensors")
    ours = load_file(out / "out.safetensors")
    s = sigma[:, None, None, None]
    raw = unet(scheduler.precondition_inputs(x, s), scheduler.precondition_noise(sigma), label).sample
    row("ADM, EDM's preconditioning", "F", ours["raw"], raw)
    row("", "D", ours["denoised"], scheduler.precondition_outputs(x, raw, s))

    pipeline = DiffusionPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    noise = torch.randn(2, 3, 16, 16)
    save_file({"noise": noise, "label": label[:2]}, out / "noise.safetensors")
    diffuse(out, "sample", model, "--noise", out / "noise.safetensors", "--sampler", "euler", "--steps", 6, "--trace", out / "trace.safetensors",
            "--grid", out / "grid.png")
    ours = load_file(out / "trace.safetensors")["x"][-1].float()
    start = noise * 80 / pipeline.scheduler.init_noise_sigma
    theirs = pipeline(batch_size=2, class_labels=label[:2], num_inference_steps=6, latents=start, output_type="pt").images
    row("", "pictures of the pipeline, 6 steps", (ours / 2 + 0.5).clamp(0, 1), theirs)


@torch.inference_mode()
def export_folders(out):
    for source in sorted((REPOSITORY / "testdata" / "diffusers").glob("*/config.json")):
        name, folder = source.parent.name, out / "folders" / source.parent.name
        folder.parent.mkdir(exist_ok=True)
        diffuse(out, "convert", source.parent, out / f"{name}.safetensors")
        diffuse(out, "convert", out / f"{name}.safetensors", folder, "--to", "diffusers")
        nets = [UNet2DModel.from_pretrained(source.parent).eval(), UNet2DModel.from_pretrained(folder, subfolder="unet").eval()]
        c = nets[0].config
        size = (c.sample_size, c.sample_size) if isinstance(c.sample_size, int) else c.sample_size
        t = torch.tensor([7] if c.time_embedding_type == "learned" else [7.0])
        label, x = label_of(nets[0], 1), torch.randn(1, c.in_channels, *size)
        a, b = (net(x, t, label).sample for net in nets)
        row(f"{name}: folder, file, folder", "F", b, a)


def export(out):
    for made in "run", "adm", "folders":
        shutil.rmtree(out / made, ignore_errors=True)
    print("| model | what | largest difference / largest value |\n|---|---|---|")
    export_adm(out)
    export_folders(out)


def random_blocks(rng, levels):
    """Block types of a network that the library can evaluate, and whether the pyramid of pictures is among them."""
    down = [rng.choice(["DownBlock2D", "AttnDownBlock2D", "ResnetDownsampleBlock2D"]) for _ in range(levels)]
    up = [rng.choice(["UpBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D"]) for _ in range(levels)]
    skips = rng.random() < 0.4
    if skips:  # on the way down the finest levels, on the way up the last blocks; the rest has no pictures to hand on
        n, m = rng.integers(1, levels + 1), rng.integers(0, levels + 1)
        down[:n] = [rng.choice(["SkipDownBlock2D", "AttnSkipDownBlock2D"]) for _ in range(n)]
        up[levels - m:] = [rng.choice(["SkipUpBlock2D", "AttnSkipUpBlock2D"]) for _ in range(m)]
    return [str(b) for b in down], [str(b) for b in up], skips


def random_config(rng):
    """Options of a small network, each drawn from all that the library takes."""
    pick = lambda *values: values[rng.integers(len(values))]
    levels = int(rng.integers(1, 4))
    down, up, skips = random_blocks(rng, levels)
    channels = 3 if skips else int(rng.integers(1, 5))
    all_skips = all("Skip" in b for b in down + up)
    kind = pick("none", "table", "timestep", "identity")
    c = dict(
        sample_size=pick(16, (16, 24), None), in_channels=channels, out_channels=channels if skips else channels * pick(1, 2),
        center_input_sample=pick(False, True), time_embedding_type=pick("positional", "positional", "fourier", "learned"),
        time_embedding_dim=pick(None, None, 24), freq_shift=pick(0, 1), flip_sin_to_cos=pick(False, True),
        down_block_types=down, up_block_types=up, mid_block_type=pick("UNetMidBlock2D", "UNetMidBlock2D", None),
        block_out_channels=[int(pick(32, 64) if skips else pick(8, 16, 24)) for _ in range(levels)], layers_per_block=pick(1, 2),
        mid_block_scale_factor=pick(1, 2**0.5), downsample_padding=pick(0, 1), downsample_type=pick("conv", "resnet"),
        upsample_type=pick("conv", "resnet"), dropout=pick(0.0, 0.1), act_fn=pick("silu", "swish", "relu", "gelu", "mish"),
        attention_head_dim=pick(None, 8, 4, 5), norm_num_groups=None if all_skips and rng.random() < 0.7 else pick(4, 8),
        attn_norm_num_groups=pick(None, 4), norm_eps=pick(1e-5, 1e-6), resnet_time_scale_shift=pick("default", "scale_shift"),
        add_attention=pick(True, True, False), class_embed_type=kind if kind in ("timestep", "identity") else None,
        num_class_embeds=5 if kind == "table" else None, num_train_timesteps=1000,
    )
    return c


def label_of(net, n):
    """Random labels for a network, or None."""
    kind, width = net.config.class_embed_type, net.time_embedding.linear_2.out_features
    if kind == "timestep":
        return torch.randint(0, 1000, (n,)) if net.config.time_embedding_type == "learned" else torch.rand(n) * 100
    if kind == "identity":
        return torch.randn(n, width)
    return torch.randint(0, 5, (n,)) if net.config.num_class_embeds else None


@torch.inference_mode()
def import_one(out, rng, number):
    """One random network: what sets it apart, and how far the two programs are from one another."""
    net = UNet2DModel(**random_config(rng)).eval()
    for p in net.parameters():
        p.add_(0.1 * torch.randn_like(p))
    folder = out / "random" / f"{number:02d}"
    net.save_pretrained(folder, safe_serialization=rng.random() < 0.7, max_shard_size="50KB" if rng.random() < 0.3 else "1GB")
    c, n = net.config, 2
    height, width = (c.sample_size, c.sample_size) if isinstance(c.sample_size, int) else c.sample_size or (32, 32)
    x, given = torch.randn(n, c.in_channels, height, width), {}
    if c.time_embedding_type == "fourier":
        t = torch.tensor([0.05, 20.0])
        given["sigma"], seen = t, x
    else:  # the library's networks see variance preserving states of its default scheduler
        t = torch.tensor(rng.integers(0, 1000, n))
        bar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)[t]
        given["timestep"], seen = t.double(), (x * bar.sqrt()[:, None, None, None]).float()
    label = label_of(net, n)
    if label is not None:
        given["label"] = label[:, None].float().contiguous() if c.class_embed_type == "timestep" else label
    want = net(seen, t, label).sample
    save_file({"x": x, **given}, out / "in.safetensors")
    diffuse(out, "forward", folder, "--in", out / "in.safetensors", "--out", out / "out.safetensors")
    difference = worst(load_file(out / "out.safetensors")["raw"], want)
    shown = ", ".join([*c.down_block_types, c.mid_block_type or "no middle", *c.up_block_types, c.time_embedding_type, c.act_fn])
    print(f"| {number} | {shown} | {difference:.1e} |", flush=True)
    return difference


def import_random(out, count=24):
    shutil.rmtree(out / "random", ignore_errors=True)
    rng = np.random.default_rng(9)
    torch.manual_seed(9)
    print("| network | blocks, time, activation | largest difference / largest value |\n|---|---|---|")
    largest = max(import_one(out, rng, i) for i in range(count))
    print(f"\nlargest of {count}: {largest:.1e}")
    assert largest < 1e-5


{"export": export, "import": import_random}[sys.argv[1]](Path(sys.argv[2]))
