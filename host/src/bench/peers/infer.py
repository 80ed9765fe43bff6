"""Inference in PyTorch, batch 1: `eager`, `folded` (BatchNorm folded) or `compiled` (folded, torch.compile)."""

import shutil
import sys

from peer import serve


class Inference:
    def __init__(self, folder, variant, threads):
        import torch

        from stgcn import Network
        from torch_stgcn import Eager, Folded

        torch.set_num_threads(threads)
        self.torch = torch
        network = Network(folder)
        self.model = (Eager(network) if variant == "eager" else Folded(network)).eval()
        self.about = f"torch {torch.__version__}"
        if variant == "compiled":
            if not (shutil.which("g++") or shutil.which("clang++")):
                raise ImportError("torch.compile needs a C++ compiler, and there is none")
            import torch._inductor.config as inductor

            inductor.freezing = True
            self.model = torch.compile(self.model, dynamic=False)
        count = 2 if network.config["bodies"] > 1 else 1
        self.cases = [[torch.from_numpy(rows) for rows in network.case(case)] for case in range(count)]

    def step(self, case, turn):
        windows = self.cases[case]
        with self.torch.inference_mode():
            return self.model(windows[turn % len(windows)])

    def output(self, case):
        return [self.step(case, turn).tolist() for turn in range(len(self.cases[case]))]


if __name__ == "__main__":
    folder, variant, threads = sys.argv[1:4]
    serve(lambda: Inference(folder, variant, int(threads)))
