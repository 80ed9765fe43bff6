"""One SkeletonCLR (MoCo v2) training step in PyTorch eager: the published formulation on the weights of `tendon bench`.

A step is: augmentation of two views, query forward, EMA, key forward, loss, backward, optimiser, queue.
"""

import copy
import json
import sys

from peer import read_tensors, serve


class Training:
    def __init__(self, folder, threads):
        import numpy
        import torch
        from torch import nn

        from stgcn import Weights
        from torch_stgcn import Encoder

        torch.set_num_threads(threads)
        self.torch, self.numpy = torch, numpy
        self.about = f"torch {torch.__version__}"
        self.rng = numpy.random.default_rng(0)
        tensors, metadata = read_tensors(f"{folder}/train.safetensors")
        self.spec = json.loads(metadata["spec"])
        self.windows, keys = tensors.pop("windows"), tensors.pop("queue")
        weights = Weights(tensors, tensors.pop("adjacency"))

        class Branch(nn.Module):
            def __init__(self):
                super().__init__()
                self.encoder = Encoder(weights)
                self.hidden = linear(weights.weights, "head.hidden")
                self.output = linear(weights.weights, "head.output")

            def forward(self, x):
                windows, bodies = x.shape[:2]
                pooled = self.encoder(x.flatten(0, 1)).view(windows, bodies, -1).mean(dim=1)
                return nn.functional.normalize(self.output(torch.relu(self.hidden(pooled))), dim=1)

        def linear(weights, name):
            layer = nn.Linear(*weights[f"{name}.weight"].shape)
            with torch.no_grad():
                layer.weight.copy_(torch.from_numpy(weights[f"{name}.weight"].T.copy()))
                layer.bias.copy_(torch.from_numpy(weights[f"{name}.bias"]))
            return layer

        self.fresh = Branch, torch.from_numpy(keys.T.copy())
        self.state = self.start()

    def start(self):
        branch, queue = self.fresh
        query = branch()
        key = copy.deepcopy(query)
        for parameter in key.parameters():
            parameter.requires_grad_(False)
        optimizer = self.torch.optim.AdamW(query.parameters(), lr=self.spec["rate"], weight_decay=self.spec["weight_decay"])
        return {"query": query, "key": key, "queue": queue.clone(), "optimizer": optimizer, "position": 0}

    def learn(self, state, views):
        torch, spec = self.torch, self.spec
        query, key, queue = state["query"], state["key"], state["queue"]
        q = query(views[0])
        with torch.no_grad():
            for old, new in zip(key.parameters(), query.parameters()):
                old.mul_(spec["ema_decay"]).add_(new, alpha=1 - spec["ema_decay"])
            k = key(views[1])
        logits = torch.cat(((q * k).sum(1, keepdim=True), q @ queue.clone()), 1) / spec["temperature"]
        loss = torch.nn.functional.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long))
        state["optimizer"].zero_grad()
        loss.backward()
        state["optimizer"].step()
        places = (torch.arange(len(k)) + state["position"]) % queue.shape[1]
        queue[:, places] = k.T
        state["position"] = (state["position"] + len(k)) % queue.shape[1]
        return loss.item()

    def view(self, window):
        """Temporal crop (ratio 6) and shear (0.5), as CrosSCLR's code writes them: one window."""
        numpy, frames = self.numpy, window.shape[2]
        pad = frames // 6
        window = numpy.concatenate((window[:, :, :pad][:, :, ::-1], window, window[:, :, -pad:][:, :, ::-1]), axis=2)
        start = self.rng.integers(0, 2 * pad + 1)
        window = window[:, :, start : start + frames]
        matrix = numpy.eye(3) + self.rng.uniform(-0.5, 0.5, (3, 3)) * (1 - numpy.eye(3))
        return numpy.einsum("mctv,cd->mdtv", window, matrix).astype(numpy.float32)

    def step(self, case, turn):
        chosen = self.rng.integers(0, len(self.windows), self.spec["batch"])
        views = [self.numpy.stack([self.view(self.windows[index]) for index in chosen]) for _ in range(2)]
        self.learn(self.state, [self.torch.from_numpy(view) for view in views])

    def output(self, case):
        """Losses of the first steps from the given weights, on the first windows, not augmented."""
        batch = self.spec["batch"]
        views = [self.torch.from_numpy(self.windows[start : start + batch]) for start in (0, batch)]
        state = self.start()
        return [[self.learn(state, views) for _ in range(self.spec["checked_steps"])]]


if __name__ == "__main__":
    folder, _, threads = sys.argv[1:4]
    serve(lambda: Training(folder, int(threads)))
