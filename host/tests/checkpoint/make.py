"""Makes the fixtures of tests/checkpoint.rs: small checkpoints with the weight names of published code, and what PyTorch computes.

    python3 make.py FOLDER

An ST-GCN of width 2 and 3 dimensions on 25 joints with the "spatial" graph of CrosSCLR, AimCLR and CMCS (distances known up to one hop),
written by its definition. `aimclr.pt` has one network and a queue, `legacy.pt` is in the format before PyTorch 1.6, with
the names of CMCS.
"""

import sys

import numpy
import torch
from safetensors.numpy import save_file
from torch import nn

WIDTH, DIM, JOINTS, FRAMES = 2, 3, 25, 12
BONES = [(1, 2), (2, 21), (3, 21), (4, 3), (5, 21), (6, 5), (7, 6), (8, 7), (9, 21), (10, 9), (11, 10), (12, 11), (13, 1), (14, 13),
         (15, 14), (16, 15), (17, 1), (18, 17), (19, 18), (20, 19), (22, 23), (23, 8), (24, 25), (25, 12)]
CENTRE = 20


def adjacency():
    """[subset, source, target]"""
    link = numpy.eye(JOINTS)
    for child, parent in BONES:
        link[child - 1, parent - 1] = link[parent - 1, child - 1] = 1
    hop = numpy.full(JOINTS, 2)
    hop[link[CENTRE] > 0] = 1
    hop[CENTRE] = 0
    subsets = numpy.zeros((3, JOINTS, JOINTS), numpy.float32)
    for source in range(JOINTS):
        for target in range(JOINTS):
            if link[source, target]:
                subset = 0 if source == target else 1 if hop[source] >= hop[target] else 2
                subsets[subset, source, target] = 1 / link[:, target].sum()
    return torch.from_numpy(subsets)


class Graph(nn.Module):
    def __init__(self, given, made):
        super().__init__()
        self.conv = nn.Conv2d(given, 3 * made, 1)

    def forward(self, x, graph):
        x = self.conv(x)
        batch, channels, frames, joints = x.shape
        return torch.einsum("nkctv,kvw->nctw", x.view(batch, 3, channels // 3, frames, joints), graph)


class Block(nn.Module):
    def __init__(self, given, made, stride, residual):
        super().__init__()
        self.gcn = Graph(given, made)
        self.tcn = nn.Sequential(nn.BatchNorm2d(made), nn.ReLU(), nn.Conv2d(made, made, (9, 1), (stride, 1), (4, 0)), nn.BatchNorm2d(made))
        self.kind = "none" if not residual else "same" if given == made and stride == 1 else "turned"
        if self.kind == "turned":
            self.residual = nn.Sequential(nn.Conv2d(given, made, 1, (stride, 1)), nn.BatchNorm2d(made))

    def forward(self, x, graph):
        beside = {"none": lambda: 0, "same": lambda: x, "turned": lambda: self.residual(x)}[self.kind]()
        return torch.relu(self.tcn(self.gcn(x, graph)) + beside)


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("A", adjacency())
        self.data_bn = nn.BatchNorm1d(3 * JOINTS)
        h = WIDTH
        shapes = [(3, h, 1), (h, h, 1), (h, h, 1), (h, h, 1), (h, 2 * h, 2), (2 * h, 2 * h, 1), (2 * h, 2 * h, 1), (2 * h, 4 * h, 2),
                  (4 * h, 4 * h, 1), (4 * h, DIM, 1)]
        self.st_gcn_networks = nn.ModuleList(Block(*shape, number > 0) for number, shape in enumerate(shapes))
        self.edge_importance = nn.ParameterList(nn.Parameter(torch.ones(3, JOINTS, JOINTS)) for _ in shapes)

    def forward(self, x):
        """[body, channel, frame, joint] -> [body, dim]"""
        rows = x.permute(0, 3, 1, 2).reshape(len(x), 3 * JOINTS, FRAMES)
        x = self.data_bn(rows).view(len(x), JOINTS, 3, FRAMES).permute(0, 2, 3, 1)
        for block, edge in zip(self.st_gcn_networks, self.edge_importance):
            x = block(x, self.A * edge)
        return x.mean((2, 3))


class Holder(nn.Module):
    def __init__(self, names):
        super().__init__()
        for name in names:
            setattr(self, name, Encoder())
        self.register_buffer("queue", torch.randn(8, 4))


def random(holder):
    for name, value in holder.state_dict().items():
        if name.endswith("running_var"):
            value.copy_(0.5 + torch.rand(value.shape))
        elif "edge_importance" in name or name.endswith(("bn.weight", "tcn.0.weight", "tcn.3.weight", "residual.1.weight")):
            value.copy_(1 + 0.3 * torch.randn(value.shape))
        elif value.dtype == torch.float32 and not name.endswith(".A") and name != "queue":
            value.copy_(0.5 * torch.randn(value.shape))
    return holder.eval()


def main(folder):
    torch.manual_seed(1)
    body = torch.randn(2, 3, FRAMES, JOINTS)
    expect = {"body": body.numpy()}
    first = random(Holder(["encoder_q"]))
    torch.save(first.state_dict(), f"{folder}/aimclr.pt")
    second = random(Holder(["online_backbone_joint", "online_backbone_motion"]))
    torch.save({"state_dict": second.state_dict(), "epoch": 3}, f"{folder}/legacy.pt", _use_new_zipfile_serialization=False)
    with torch.no_grad():
        for holder in (first, second):
            for name, child in holder.named_children():
                expect[name] = child(body).numpy()
    save_file(expect, f"{folder}/expect.safetensors")


if __name__ == "__main__":
    main(sys.argv[1])
