"""The encoder and its classifier in PyTorch: as the papers' public code writes it, and with BatchNorm folded."""

import torch
from torch import nn

from stgcn import EPSILON, TAPS, FoldedBlock, BLOCKS


class Block(nn.Module):
    """1x1 convolution, einsum over the graph, BatchNorm, ReLU, 9x1 convolution, BatchNorm, residual, ReLU."""

    def __init__(self, network, number):
        super().__init__()
        subsets, channels, out = network.get(number, "graph.weight").shape
        stride = network.strides[number]
        self.subsets = subsets
        self.identity = number > 0
        self.graph = nn.Conv2d(channels, subsets * out, 1)
        self.edge = nn.Parameter(torch.from_numpy(network.get(number, "edge")))
        self.temporal = nn.Sequential(
            batch_norm(network, f"blocks.{number}.norm1", nn.BatchNorm2d),
            nn.ReLU(inplace=True),
            nn.Conv2d(out, out, (TAPS, 1), (stride, 1), (TAPS // 2, 0)),
            batch_norm(network, f"blocks.{number}.norm2", nn.BatchNorm2d),
        )
        self.residual = None
        with torch.no_grad():
            weight = network.get(number, "graph.weight").transpose(0, 2, 1).reshape(subsets * out, channels, 1, 1)
            self.graph.weight.copy_(torch.from_numpy(weight.copy()))
            self.graph.bias.copy_(torch.from_numpy(network.get(number, "graph.bias").reshape(-1)))
            weight = network.get(number, "temporal.weight").transpose(2, 1, 0)[..., None]
            self.temporal[2].weight.copy_(torch.from_numpy(weight.copy()))
            self.temporal[2].bias.copy_(torch.from_numpy(network.get(number, "temporal.bias")))
            if f"blocks.{number}.residual.weight" in network.weights:
                convolution = nn.Conv2d(channels, out, 1, (stride, 1))
                weight = network.get(number, "residual.weight").T[..., None, None]
                convolution.weight.copy_(torch.from_numpy(weight.copy()))
                convolution.bias.copy_(torch.from_numpy(network.get(number, "residual.bias")))
                norm = batch_norm(network, f"blocks.{number}.residual_norm", nn.BatchNorm2d)
                self.residual = nn.Sequential(convolution, norm)

    def forward(self, x, adjacency):
        if self.residual is not None:
            beside = self.residual(x)
        else:
            beside = x if self.identity else 0
        y = self.graph(x)
        rows, channels, frames, joints = y.shape
        y = y.view(rows, self.subsets, channels // self.subsets, frames, joints)
        y = torch.einsum("nkctv,kvw->nctw", y, adjacency * self.edge).contiguous()
        return torch.relu(self.temporal(y) + beside)


class Encoder(nn.Module):
    """The encoder of the public code (ST-GCN as in CrosSCLR, AimCLR, SkeleMixCLR and CMCS)."""

    def __init__(self, weights):
        super().__init__()
        self.register_buffer("adjacency", torch.from_numpy(weights.adjacency))
        self.input_norm = batch_norm(weights, "input_norm", nn.BatchNorm1d)
        self.blocks = nn.ModuleList(Block(weights, number) for number in range(BLOCKS))

    def trunk(self, x, blocks):
        """The first blocks, `[row, channel, frame, joint] -> [row, channel', frame', joint]`."""
        rows, channels, frames, joints = x.shape
        x = x.permute(0, 3, 1, 2).reshape(rows, joints * channels, frames)
        x = self.input_norm(x).view(rows, joints, channels, frames).permute(0, 2, 3, 1).contiguous()
        for block in self.blocks[:blocks]:
            x = block(x, self.adjacency)
        return x

    def tail(self, x, blocks):
        """The other blocks and the mean over frames and joints: `-> [row, dim]`."""
        for block in self.blocks[blocks:]:
            x = block(x, self.adjacency)
        return x.mean(dim=(2, 3))

    def forward(self, x):
        return self.tail(self.trunk(x, BLOCKS), BLOCKS)


class Eager(nn.Module):
    """Encoder and classifier."""

    def __init__(self, network):
        super().__init__()
        self.encoder = Encoder(network)
        self.classifier = classifier(network)

    def forward(self, x):
        """All rows are bodies of one window: `[row, channel, frame, joint] -> [class]`."""
        return self.classifier(self.encoder(x).mean(dim=0))


class Folded(nn.Module):
    """The same function for inference, with BatchNorm and edge importance in the weights."""

    def __init__(self, network):
        super().__init__()
        scale, shift = network.norm("input_norm")
        channels = scale.size // network.adjacency.shape[1]
        shape = (-1, channels)
        self.scale = constant(scale.reshape(shape).T[:, None, :].copy())
        self.shift = constant(shift.reshape(shape).T[:, None, :].copy())
        self.blocks = nn.ModuleList(FoldedLayer(FoldedBlock(network, number)) for number in range(BLOCKS))
        self.classifier = classifier(network)

    def forward(self, x):
        x = x * self.scale + self.shift
        for block in self.blocks:
            x = block(x)
        return self.classifier(x.mean(dim=(2, 3)).mean(dim=0))


class FoldedLayer(nn.Module):
    def __init__(self, block):
        super().__init__()
        self.stride, self.identity = block.stride, block.identity
        subsets, out, channels = block.graph.shape
        self.subsets = subsets
        self.adjacency = constant(block.adjacency)
        self.graph = constant(block.graph.reshape(subsets * out, channels, 1, 1))
        self.graph_map = constant(block.graph_map)
        self.temporal, self.bias = constant(block.temporal), constant(block.temporal_bias)
        self.residual = None if block.residual is None else constant(block.residual)

    def forward(self, x):
        y = nn.functional.conv2d(x, self.graph)
        rows, channels, frames, joints = y.shape
        y = y.view(rows, self.subsets, channels // self.subsets, frames, joints)
        y = torch.einsum("nkctv,kvw->nctw", y, self.adjacency)
        y = torch.relu(y + self.graph_map)
        y = nn.functional.conv2d(y, self.temporal, self.bias, (self.stride, 1), (TAPS // 2, 0))
        if self.residual is not None:
            y = y + nn.functional.conv2d(x, self.residual, None, (self.stride, 1))
        elif self.identity:
            y = y + x
        return torch.relu(y)


def batch_norm(network, name, kind):
    gamma, beta, mean, var = (network.weights[f"{name}.{part}"] for part in ("gamma", "beta", "mean", "var"))
    norm = kind(gamma.size, eps=EPSILON)
    with torch.no_grad():
        for tensor, values in ((norm.weight, gamma), (norm.bias, beta), (norm.running_mean, mean), (norm.running_var, var)):
            tensor.copy_(torch.from_numpy(values))
    return norm


def classifier(network):
    weight, bias = network.weights["classifier.weight"], network.weights["classifier.bias"]
    linear = nn.Linear(*weight.shape)
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(weight.T.copy()))
        linear.bias.copy_(torch.from_numpy(bias))
    return linear


def constant(values):
    return nn.Parameter(torch.from_numpy(values), requires_grad=False)
