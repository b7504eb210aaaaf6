"""The other side of sid.sh: a step of the released code of score identity distillation, with its own networks and losses, on a CPU.

sid.py make FILE.pkl               writes a DDPM++ of 32x32 with random weights as a snapshot of EDM
sid.py time FILE.pkl THREADS SECONDS   times steps of 16 pictures with it as teacher and prints a line of JSON

PYTHONPATH names the folder of the code.
"""

import copy
import json
import pickle
import sys
import time

import torch
import training.networks
import training.sid_loss

BATCH = 16


def make(path):
    torch.manual_seed(0)
    net = training.networks.EDMPrecond(
        img_resolution=32, img_channels=3, label_dim=0, model_type="SongUNet", embedding_type="positional", encoder_type="standard",
        decoder_type="standard", channel_mult_noise=1, resample_filter=[1, 1], model_channels=64, channel_mult=[1, 2], num_blocks=2,
        attn_resolutions=[16], dropout=0, augment_dim=9)
    with open(path, "wb") as f:
        pickle.dump(dict(ema=net.eval()), f)


def measure(path, threads, seconds):
    torch.set_num_threads(threads)
    with open(path, "rb") as f:
        teacher = pickle.load(f)["ema"].requires_grad_(False)
    fake, generator, average = (copy.deepcopy(teacher) for _ in range(3))
    loss = training.sid_loss.SID_EDMLoss()
    fake_adam = torch.optim.Adam(fake.parameters(), lr=1e-5, betas=(0.0, 0.999))
    adam = torch.optim.Adam(generator.parameters(), lr=1e-5, betas=(0.0, 0.999))
    none = torch.zeros(BATCH, 9)

    def pictures():
        z = 2.5 * torch.randn(BATCH, 3, 32, 32)
        return generator(z, 2.5 * torch.ones(BATCH, 1, 1, 1), None, augment_labels=none)

    def update(net, optimizer):
        net.eval().requires_grad_(False)
        for p in net.parameters():
            if p.grad is not None:
                torch.nan_to_num(p.grad, nan=0, posinf=1e5, neginf=-1e5, out=p.grad)
        optimizer.step()

    def step():
        fake.train().requires_grad_(True)
        fake_adam.zero_grad(set_to_none=True)
        with torch.no_grad():  # the released loop keeps no gradient of the generator here either, which is frozen then
            images = pictures()
        loss(fake_score=fake, images=images).sum().mul(1 / BATCH).backward()
        update(fake, fake_adam)
        generator.train().requires_grad_(True)
        adam.zero_grad(set_to_none=True)
        loss.generator_loss(true_score=teacher, fake_score=fake, images=pictures(), alpha=1.2).sum().mul(100 / BATCH).backward()
        update(generator, adam)
        with torch.no_grad():
            for p, q in zip(average.parameters(), generator.parameters()):
                p.copy_(q.detach().lerp(p, 0.999))

    step()
    steps, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        step()
        steps += 1
    print(json.dumps(dict(images=BATCH * steps / (time.perf_counter() - start))))


if sys.argv[1] == "make":
    make(sys.argv[2])
else:
    measure(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
