"""Makes parity.safetensors: forward, backward and BatchNorm buffers of a small ST-GCN in PyTorch.

An independent formulation (conv2d, einsum, nn.BatchNorm) of the published network, in float64, rounded to float32 at
the end. Run with `python make.py` (torch and safetensors) after a change of the network; the file is committed.
"""

import pathlib

import torch
from safetensors.torch import save_file
from torch import nn

torch.manual_seed(7)
torch.set_default_dtype(torch.float64)

JOINTS, FRAMES, WIDTH, DIM, CHANNELS = 15, 8, 2, 3, 3
SUBSETS, TAPS = 3, 9
HERE = pathlib.Path(__file__).parent
# The 15-joint tree of the SBU skeleton, (child, parent), and its centre.
BONES = [(0, 1), (2, 1), (3, 1), (4, 3), (5, 4), (6, 1), (7, 6), (8, 7), (9, 2), (10, 9), (11, 10), (12, 2), (13, 12), (14, 13)]
CENTRE = 1


def spatial_graph():
    """Hop-1 spatial subsets with true distances: self, sources farther from the centre, sources nearer."""
    depth, parent = {CENTRE: 0}, dict(BONES)
    for joint in range(JOINTS):
        at, hops = joint, 0
        while at != CENTRE:
            at, hops = parent[at], hops + 1
        depth[joint] = hops
    linked = torch.eye(JOINTS)
    for child, above in BONES:
        linked[child, above] = linked[above, child] = 1
    weight = linked / linked.sum(0)
    subsets = torch.zeros(SUBSETS, JOINTS, JOINTS)
    for source in range(JOINTS):
        for target in range(JOINTS):
            subset = 0 if source == target else 1 if depth[source] > depth[target] else 2
            subsets[subset, source, target] = weight[source, target]
    return subsets


class Block(nn.Module):
    def __init__(self, cin, cout, stride, residual):
        super().__init__()
        self.graph = nn.Conv2d(cin, SUBSETS * cout, 1)
        self.edge = nn.Parameter(torch.ones(SUBSETS, JOINTS, JOINTS) + 0.1 * torch.randn(SUBSETS, JOINTS, JOINTS))
        self.norm1, self.norm2 = nn.BatchNorm2d(cout), nn.BatchNorm2d(cout)
        self.temporal = nn.Conv2d(cout, cout, (TAPS, 1), (stride, 1), (TAPS // 2, 0))
        self.kind = "none" if not residual else "same" if cin == cout and stride == 1 else "conv"
        if self.kind == "conv":
            self.residual = nn.Conv2d(cin, cout, 1, (stride, 1))
            self.residual_norm = nn.BatchNorm2d(cout)

    def forward(self, x, adjacency):
        n, _, t, v = x.shape
        y = self.graph(x).view(n, SUBSETS, -1, t, v)
        y = torch.einsum("nkctv,kvw->nctw", y, adjacency * self.edge)
        y = self.norm2(self.temporal(torch.relu(self.norm1(y))))
        if self.kind == "same":
            y = y + x
        elif self.kind == "conv":
            y = y + self.residual_norm(self.residual(x))
        return torch.relu(y)


class StGcn(nn.Module):
    def __init__(self):
        super().__init__()
        h = WIDTH
        self.input_norm = nn.BatchNorm1d(JOINTS * CHANNELS)
        shapes = [(CHANNELS, h, 1, False), (h, h, 1, True), (h, h, 1, True), (h, h, 1, True), (h, 2 * h, 2, True)]
        shapes += [(2 * h, 2 * h, 1, True)] * 2 + [(2 * h, 4 * h, 2, True), (4 * h, 4 * h, 1, True), (4 * h, DIM, 1, True)]
        self.blocks = nn.ModuleList(Block(*shape) for shape in shapes)

    def forward(self, x, adjacency):
        n, c, t, v = x.shape
        x = x.permute(0, 3, 1, 2).reshape(n, v * c, t)
        x = self.input_norm(x).view(n, v, c, t).permute(0, 2, 3, 1)
        for block in self.blocks:
            x = block(x, adjacency)
        return x


def export(model, tensors, pick):
    """Stores tensors under Tendon's names and in its shapes."""

    def linear(name, layer, parts):
        weight, bias = pick(layer.weight), pick(layer.bias)
        cout = weight.shape[0] // parts
        weight = weight.flatten(1) if parts == 1 else weight.flatten(1).view(parts, cout, -1)
        tensors[name + ".weight"] = weight.transpose(-1, -2)
        tensors[name + ".bias"] = bias if parts == 1 else bias.view(parts, cout)

    def norm(name, layer):
        tensors[name + ".gamma"], tensors[name + ".beta"] = pick(layer.weight), pick(layer.bias)

    norm("input_norm", model.input_norm)
    for index, block in enumerate(model.blocks):
        name = f"blocks.{index}"
        linear(name + ".graph", block.graph, SUBSETS)
        tensors[name + ".edge"] = pick(block.edge)
        norm(name + ".norm1", block.norm1)
        tensors[name + ".temporal.weight"] = pick(block.temporal.weight)[..., 0].permute(2, 1, 0)
        tensors[name + ".temporal.bias"] = pick(block.temporal.bias)
        norm(name + ".norm2", block.norm2)
        if block.kind == "conv":
            linear(name + ".residual", block.residual, 1)
            norm(name + ".residual_norm", block.residual_norm)


def export_buffers(model, tensors):
    names = {"input_norm": model.input_norm}
    for index, block in enumerate(model.blocks):
        names |= {f"blocks.{index}.norm1": block.norm1, f"blocks.{index}.norm2": block.norm2}
        if block.kind == "conv":
            names[f"blocks.{index}.residual_norm"] = block.residual_norm
    for name, layer in names.items():
        tensors[name + ".mean"], tensors[name + ".var"] = layer.running_mean.clone(), layer.running_var.clone()


model = StGcn()
for parameter in model.parameters():
    if parameter.dim() == 1:
        parameter.data += 0.2 * torch.randn_like(parameter)
adjacency = spatial_graph()
x = torch.randn(4, CHANNELS, FRAMES, JOINTS)
weights = torch.randn(4, DIM, FRAMES // 4, JOINTS)

out = {"x": x, "loss_weights": weights}
before = {}
export(model, before, lambda tensor: tensor.detach().clone())
export_buffers(model, before)
out |= {"before." + name: tensor for name, tensor in before.items()}

model.train()
y = model(x, adjacency)
(y * weights).sum().backward()
out["train.output"] = y.detach()
gradients = {}
export(model, gradients, lambda tensor: tensor.grad.clone())
out |= {"gradient." + name: tensor for name, tensor in gradients.items()}
buffers = {}
export_buffers(model, buffers)
out |= {"after." + name: tensor for name, tensor in buffers.items()}

model.eval()
out["eval.output"] = model(x, adjacency).detach()

out = {name: tensor.to(torch.float32).contiguous() for name, tensor in out.items()}
save_file(out, HERE / "parity.safetensors")
