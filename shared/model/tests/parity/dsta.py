"""Makes dsta.safetensors: forward, backward and BatchNorm buffers of a small DSTA encoder in PyTorch.

An independent formulation (conv2d, einsum, nn.BatchNorm) of PSP Learning's encoder, in float64, rounded to float32 at the end.
Convolutions in front of a BatchNorm have no bias: published ones start at zero and have no gradient. Run with `python dsta.py`
(torch and safetensors) after a change of the network; the file is committed.
"""

import math
import pathlib

import torch
from safetensors.torch import save_file
from torch import nn

torch.manual_seed(11)
torch.set_default_dtype(torch.float64)

JOINTS, FRAMES, CHANNELS, WIDTH, DIM = 15, 8, 3, 4, 8
HEADS, TAPS = 4, 7
HERE = pathlib.Path(__file__).parent
relu = nn.LeakyReLU(0.1)


def joint_code(channels):
    position = torch.arange(JOINTS, dtype=torch.float64)[:, None]
    rate = torch.exp(torch.arange(0, channels, 2) * -(math.log(10000.0) / channels))
    code = torch.zeros(JOINTS, channels)
    code[:, 0::2], code[:, 1::2] = torch.sin(position * rate), torch.cos(position * rate)
    return code.T[None, :, None]


def mapped(cin, cout, stride=1):
    return nn.Sequential(nn.Conv2d(cin, cout, 1, (stride, 1), bias=False), nn.BatchNorm2d(cout))


class Layer(nn.Module):
    def __init__(self, cin, cout, stride):
        super().__init__()
        self.inter = cout // HEADS
        self.code = joint_code(cin)
        self.both = nn.Conv2d(cin, 2 * HEADS * self.inter, 1)
        self.alpha = nn.Parameter(1 + 0.3 * torch.randn(1, HEADS, 1, 1))
        self.relation = nn.Parameter(1 / JOINTS + 0.1 * torch.randn(1, HEADS, JOINTS, JOINTS))
        self.gather, self.feed = mapped(HEADS * cin, cout), mapped(cout, cout)
        self.temporal = nn.Conv2d(cout, cout, (TAPS, 1), (stride, 1), (TAPS // 2, 0))
        self.temporal_norm = nn.BatchNorm2d(cout)
        if cin != cout or stride != 1:
            self.gather_residual, self.feed_residual = mapped(cin, cout), mapped(cin, cout)
            self.temporal_residual = mapped(cout, cout, stride)
        else:
            self.gather_residual = self.feed_residual = self.temporal_residual = nn.Identity()

    def forward(self, x):
        n, c, t, v = x.shape
        q, k = self.both(x + self.code).view(n, 2 * HEADS, self.inter, t, v).chunk(2, 1)
        attention = torch.tanh(torch.einsum("nsctu,nsctv->nsuv", q, k) / (self.inter * t)) * self.alpha + self.relation
        y = torch.einsum("nctu,nsuv->nsctv", x, attention).reshape(n, HEADS * c, t, v)
        y = relu(self.gather_residual(x) + self.gather(y))
        y = relu(self.feed_residual(x) + self.feed(y))
        return relu(self.temporal_residual(y) + self.temporal_norm(self.temporal(y)))


class Dsta(nn.Module):
    def __init__(self):
        super().__init__()
        self.input = mapped(CHANNELS, WIDTH)
        shapes = [(WIDTH, WIDTH, 1)] * 2 + [(WIDTH, 2 * WIDTH, 2), (2 * WIDTH, 2 * WIDTH, 1), (2 * WIDTH, DIM, 2)]
        self.layers = nn.ModuleList(Layer(*shape) for shape in shapes + [(DIM, DIM, 1)] * 3)

    def forward(self, x):
        x = relu(self.input(x))
        for layer in self.layers:
            x = layer(x)
        return x


def tensors(model, pick, buffers):
    """Tensors under Tendon's names and in its shapes: parameters by `pick`, or running averages."""
    out = {}

    def norm(name, layer):
        if buffers:
            out[name + ".mean"], out[name + ".var"] = layer.running_mean.clone(), layer.running_var.clone()
        else:
            out[name + ".gamma"], out[name + ".beta"] = pick(layer.weight), pick(layer.bias)

    def part(name, layer):
        if not isinstance(layer, nn.Identity):
            norm(name + ".norm", layer[1])
            if not buffers:
                out[name + ".linear.weight"] = pick(layer[0].weight).flatten(1).T

    part("input", model.input)
    for index, layer in enumerate(model.layers):
        name = f"layers.{index}."
        for each in ("gather", "gather_residual", "feed", "feed_residual", "temporal_residual"):
            part(name + each, getattr(layer, each))
        norm(name + "temporal_norm", layer.temporal_norm)
        if not buffers:
            weight, bias = pick(layer.both.weight).flatten(1).T.chunk(2, 1), pick(layer.both.bias).chunk(2)
            for at, each in enumerate(("query", "key")):
                out[f"{name}{each}.weight"], out[f"{name}{each}.bias"] = weight[at], bias[at]
            out[name + "alpha"], out[name + "relation"] = pick(layer.alpha).flatten(), pick(layer.relation)[0]
            out[name + "temporal.weight"] = pick(layer.temporal.weight)[..., 0].permute(2, 1, 0)
            out[name + "temporal.bias"] = pick(layer.temporal.bias)
    return out


model = Dsta()
for parameter in model.parameters():
    if parameter.dim() == 1:
        parameter.data += 0.2 * torch.randn_like(parameter)
x = torch.randn(4, CHANNELS, FRAMES, JOINTS)
weights = torch.randn(4, DIM, FRAMES // 4, JOINTS)


def value(tensor):
    return tensor.detach().clone()


out = {"x": x, "loss_weights": weights}
before = tensors(model, value, False) | tensors(model, value, True)
out |= {"before." + name: tensor for name, tensor in before.items()}

model.train()
y = model(x)
(y * weights).sum().backward()
out["train.output"] = y.detach()
out |= {"gradient." + name: tensor for name, tensor in tensors(model, lambda t: t.grad.clone(), False).items()}
out |= {"after." + name: tensor for name, tensor in tensors(model, value, True).items()}

model.eval()
out["eval.output"] = model(x).detach()

out = {name: tensor.to(torch.float32).contiguous() for name, tensor in out.items()}
save_file(out, HERE / "dsta.safetensors")
