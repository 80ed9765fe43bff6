"""The encoder and its classifier in numpy weights: what all inference peers are built from.

Layouts are those of the papers' PyTorch code: `[row, channel, frame, joint]`, where a row is one body of a window.
"""

import json

import numpy

from peer import read_tensors

BLOCKS = 10
TAPS = 9
EPSILON = 1e-5


class Weights:
    """Weights by their names in Tendon's files, and the graph that they belong to."""

    def __init__(self, weights, adjacency):
        self.weights, self.adjacency = weights, adjacency
        self.strides = [2 if block in (4, 7) else 1 for block in range(BLOCKS)]

    def get(self, block, name):
        return self.weights[f"blocks.{block}.{name}"]

    def norm(self, name):
        """Scale and shift of a BatchNorm at inference."""
        gamma, beta, mean, var = (self.weights[f"{name}.{part}"] for part in ("gamma", "beta", "mean", "var"))
        scale = gamma / numpy.sqrt(var.astype(numpy.float64) + EPSILON)
        return scale.astype(numpy.float32), (beta - mean * scale).astype(numpy.float32)


class Network(Weights):
    """The classifier as written by `tendon bench`, and its windows."""

    def __init__(self, folder):
        weights, metadata = read_tensors(f"{folder}/classifier.safetensors")
        inputs, _ = read_tensors(f"{folder}/windows.safetensors")
        super().__init__(weights, inputs["adjacency"])
        self.config = json.loads(metadata["config"])
        self.labels = inputs["labels"].astype("int64")
        self.windows = self.rows(inputs["windows"], inputs["presence"])
        self.calibration = self.rows(inputs["calibration"], inputs["calibration_presence"])

    def rows(self, windows, presence):
        """The bodies of each window that count: what is absent is given to no peer, as Tendon skips it too."""
        keep = presence > 0 if self.config["body_mask"] else presence >= 0
        return [numpy.ascontiguousarray(window[bodies]) for window, bodies in zip(windows, keep)]

    def case(self, number):
        """Inputs of a case: 0 is the windows as they are, 1 their first body alone."""
        return self.windows if number == 0 else [window[:1] for window in self.windows]


class FoldedBlock:
    """A block whose BatchNorms and edge importance are in its weights.

    hidden = relu(sum over k of graph[k] applied to (x adjacency[k]) + graph_map);
    out = relu(temporal(hidden) + temporal_bias + residual)
    """

    def __init__(self, network, block):
        self.stride = network.strides[block]
        weighted = network.adjacency * network.get(block, "edge")
        scale, shift = network.norm(f"blocks.{block}.norm1")
        # [subset, source, target]
        self.adjacency = weighted
        # [subset, out, in]
        self.graph = numpy.ascontiguousarray((network.get(block, "graph.weight") * scale).transpose(0, 2, 1))
        reach = weighted.sum(axis=1)
        graph_map = numpy.einsum("kw,kc->cw", reach, network.get(block, "graph.bias") * scale) + shift[:, None]
        # [out, 1, joint]
        self.graph_map = graph_map[:, None, :].astype(numpy.float32)
        scale, shift = network.norm(f"blocks.{block}.norm2")
        # [out, in, tap, 1]
        temporal = (network.get(block, "temporal.weight") * scale).transpose(2, 1, 0)
        self.temporal = numpy.ascontiguousarray(temporal[..., None])
        self.temporal_bias = network.get(block, "temporal.bias") * scale + shift
        self.identity = block > 0
        self.residual = None
        if f"blocks.{block}.residual.weight" in network.weights:
            self.identity = False
            scale, shift = network.norm(f"blocks.{block}.residual_norm")
            weight = (network.get(block, "residual.weight") * scale).T
            self.residual = numpy.ascontiguousarray(weight[..., None, None])
            # One bias for both paths: they are added anyway.
            self.temporal_bias = self.temporal_bias + network.get(block, "residual.bias") * scale + shift
