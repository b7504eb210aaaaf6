"""Writes the pickles and PyTorch files of this folder. Needs NumPy, not PyTorch: python make.py FOLDER"""
import collections, io, pickle, struct, sys, types, zipfile
import numpy as np

out = sys.argv[1]

# Stand-ins, which only give pickle the names that PyTorch's objects reduce to.
for name in ("torch", "torch._utils", "torch.storage"):
    sys.modules[name] = types.ModuleType(name)

def stand_in(module, name):
    def f(*args):
        raise RuntimeError(name)
    f.__module__, f.__name__, f.__qualname__ = module, name, name
    setattr(sys.modules[module], name, f)
    return f

rebuild_tensor = stand_in("torch._utils", "_rebuild_tensor_v2")
rebuild_parameter = stand_in("torch._utils", "_rebuild_parameter")
load_from_bytes = stand_in("torch.storage", "_load_from_bytes")
float_storage, long_storage, bfloat16_storage = (stand_in("torch", n + "Storage") for n in ("Float", "Long", "BFloat16"))

class Call:
    def __init__(self, f, *args):
        self.f, self.args = f, args
    def __reduce__(self):
        return self.f, self.args

class PersistentID:
    def __init__(self, *id):
        self.id = id

class Pickler(pickle._Pickler):
    def persistent_id(self, o):
        return o.id if isinstance(o, PersistentID) else None

def dumps(o, protocol):
    b = io.BytesIO()
    Pickler(b, protocol).dump(o)
    return b.getvalue()

def save(name, b):
    with open(f"{out}/{name}", "wb") as f:
        f.write(b)

def old_file(root, storages):
    """PyTorch's format of before version 1.6."""
    about = dict(protocol_version=1001, little_endian=True, type_sizes=dict(short=2, int=4, long=4))
    b = b"".join(dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, about, root, [k for k, _, _ in storages]))
    for _, n, data in storages:
        b += struct.pack("<q", n) + data
    return b

def floats(n, first=0):
    return np.arange(first, first + n, dtype="<f4").tobytes()

def tensor(storage, offset, size, stride):
    return Call(rebuild_tensor, storage, offset, size, stride, False, collections.OrderedDict())

# Nested storages and values of every kind, in every protocol.
def nested(n, first):
    key = str(1000 + first)
    id = PersistentID("storage", float_storage, key, "cpu", n, None)
    return Call(load_from_bytes, old_file(id, [(key, n, floats(n, first))]))

for protocol in range(6):
    values = [0, 255, 256, 65535, 65536, -1, 2**31, -(2**40), 2**70, 1.5, -0.0, True, False, None, b"\x00\xff",
              {1, 2}, (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)]
    parameter = Call(rebuild_parameter, tensor(nested(6, 0), 0, (2, 3), (3, 1)), True, collections.OrderedDict())
    root = dict(w=parameter, t=tensor(nested(80, 200), 2, (3, 2), (1, 3)), name="a\u00e9\n\\u\u4e2d", many=values)
    save(f"nested{protocol}.pkl", pickle._dumps(root, protocol))

# A state dict in PyTorch's two formats.
def state_dict(storage):
    d = collections.OrderedDict()
    d["a.weight"] = tensor(storage("0", float_storage, 6), 0, (2, 3), (3, 1))
    d["a.weight_t"] = tensor(storage("0", float_storage, 6), 0, (3, 2), (1, 3))
    d["a.steps"] = tensor(storage("1", long_storage, 1), 0, (), ())
    d["a.half"] = tensor(storage("2", bfloat16_storage, 4), 1, (2,), (2,))
    d._metadata = collections.OrderedDict([("", dict(version=1))])
    return d

data = {"0": floats(6), "1": struct.pack("<q", 7), "2": struct.pack("<4H", 0x3F80, 0x4000, 0x4040, 0x4080)}
with zipfile.ZipFile(f"{out}/state_dict.pt", "w", zipfile.ZIP_STORED) as z:
    def add(name, b):
        z.writestr(zipfile.ZipInfo("archive/" + name), b)
    add("data.pkl", dumps(state_dict(lambda key, c, n: PersistentID("storage", c, key, "cpu", n)), 2))
    add("byteorder", "little")
    for key, b in data.items():
        add("data/" + key, b)
    add("version", "3\n")
root = state_dict(lambda key, c, n: PersistentID("storage", c, key, "cpu", n, None))
save("state_dict_old.pth", old_file(root, [("1", 1, data["1"]), ("0", 6, data["0"]), ("2", 4, data["2"])]))

# Statistics as EDM2 writes them.
x = np.random.default_rng(0).integers(-8, 9, (50, 6)) / 4
mu, sigma = x.mean(0), np.cov(x, rowvar=False)
dinov2 = dict(mu=mu[:2], sigma=sigma[:2, :2])
save("stats2.pkl", pickle.dumps(dict(num_images=50, fid=dict(mu=mu, sigma=np.asfortranarray(sigma)), fd_dinov2=dinov2), 2))
save("stats4.pkl", pickle.dumps(dict(mu=mu.astype("f4"), sigma=sigma), 4))
save("stats5.pkl", pickle.dumps(dict(num_images=50, fid=dict(mu=mu, sigma=sigma), fd_dinov2=dinov2), 5))
