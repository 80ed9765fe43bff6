"""One adaptation step in PyTorch eager: pseudo-labelled windows, cross-entropy, gradient clipping, SGD, mean teacher.

`whole` trains the encoder with the whole of it in the graph, `frozen` only the tail but runs the trunk each time, `kept` trains
the tail on trunk features that were computed once. BatchNorm uses its running averages throughout.
"""

import copy
import sys

from peer import serve

TRUNK_BLOCKS = 8
LEARNING_RATE, MOMENTUM, CLIP_NORM, DECAY = 1e-3, 0.9, 1.0, 0.95


class Adaptation:
    def __init__(self, folder, variant, threads):
        import numpy
        import torch

        from stgcn import Network
        from torch_stgcn import Eager

        torch.set_num_threads(threads)
        self.torch, self.variant = torch, variant
        self.about = f"torch {torch.__version__}"
        network = Network(folder)
        self.model = Eager(network).eval()
        self.teacher = copy.deepcopy(self.model)
        self.x = torch.from_numpy(numpy.concatenate(network.windows))
        self.labels = torch.from_numpy(network.labels)
        encoder = self.model.encoder
        trained = list(self.model.parameters())
        if variant != "whole":
            for part in (encoder.input_norm, *encoder.blocks[:TRUNK_BLOCKS]):
                part.requires_grad_(False)
            trained = [parameter for parameter in trained if parameter.requires_grad]
        if variant == "kept":
            with torch.no_grad():
                self.x = encoder.trunk(self.x, TRUNK_BLOCKS)
        self.trained = trained
        self.optimizer = torch.optim.SGD(trained, lr=LEARNING_RATE, momentum=MOMENTUM)
        self.pairs = [
            (old, new) for old, new in zip(self.teacher.parameters(), self.model.parameters()) if new.requires_grad
        ]

    def logits(self):
        encoder, x = self.model.encoder, self.x
        if self.variant == "whole":
            x = encoder.trunk(x, TRUNK_BLOCKS)
        elif self.variant == "frozen":
            with self.torch.no_grad():
                x = encoder.trunk(x, TRUNK_BLOCKS)
        return self.model.classifier(encoder.tail(x, TRUNK_BLOCKS))

    def step(self, case, turn):
        torch = self.torch
        loss = torch.nn.functional.cross_entropy(self.logits(), self.labels)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.trained, CLIP_NORM)
        self.optimizer.step()
        with torch.no_grad():
            for old, new in self.pairs:
                old.mul_(DECAY).add_(new, alpha=1 - DECAY)

    def output(self, case):
        with self.torch.no_grad():
            return self.logits().tolist()


if __name__ == "__main__":
    folder, variant, threads = sys.argv[1:4]
    serve(lambda: Adaptation(folder, variant, int(threads)))
