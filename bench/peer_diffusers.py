"""The other side of diffusers.sh: UNet2DModel and the schedulers of diffusers on models that diffuse wrote.

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
    print(f"| ADM, EDM's preconditioning | F | {worst(ours['raw'], raw):.1e} |")
    print(f"| | D | {worst(ours['denoised'], scheduler.precondition_outputs(x, raw, s)):.1e} |")

    pipeline = DiffusionPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    noise = torch.randn(2, 3, 16, 16)
    save_file({"noise": noise, "label": label[:2]}, out / "noise.safetensors")
    diffuse(out, "sample", model, "--noise", out / "noise.safetensors", "--sampler", "euler", "--steps", 6, "--trace", out / "trace.safetensors",
            "--grid", out / "grid.png")
    ours = load_file(out / "trace.safetensors")["x"][-1].float()
    start = noise * 80 / pipeline.scheduler.init_noise_sigma
    theirs = pipeline(batch_size=2, class_labels=label[:2], num_inference_steps=6, latents=start, output_type="pt").images
    print(f"| | pictures of the pipeline, 6 steps | {worst((ours / 2 + 0.5).clamp(0, 1), theirs):.1e} |")


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
        label = torch.tensor([1]) if c.num_class_embeds else None
        x = torch.randn(1, c.in_channels, *size)
        a, b = (net(x, torch.tensor([7.0]), label).sample for net in nets)
        print(f"| {name}: folder, file, folder | F | {worst(b, a):.1e} |")


def export(out):
    for made in "run", "adm", "folders":
        shutil.rmtree(out / made, ignore_errors=True)
    print("| model | what | largest difference / largest value |\n|---|---|---|")
    export_adm(out)
    export_folders(out)


{"export": export}[sys.argv[1]](Path(sys.argv[2]))
