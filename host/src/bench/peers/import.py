"""Reading recordings as the public pre-processing of CTR-GCN does, and writing them as one array.

`ntu-skeleton`: the lines of a file, `split()` and numpy for every joint (the colour coordinates, which that code reads too, are
left out). `nw-ucla-json`: `json.load` and numpy, as its feeder does. One process, as published.
"""

import glob
import json
import os
import sys

from peer import serve


def ntu_skeleton(path, numpy):
    """`[frame]` lists of bodies, `[joint, 3]` each."""
    with open(path) as file:
        lines = file.readlines()
    frames, at = [], 1
    for _ in range(int(lines[0].strip("\r\n"))):
        bodies = []
        count = int(lines[at].strip("\r\n"))
        at += 1
        for _ in range(count):
            joints = int(lines[at + 1].strip("\r\n"))
            at += 2
            body = numpy.zeros((joints, 3), dtype=numpy.float32)
            for joint in range(joints):
                words = lines[at].strip("\r\n").split()
                body[joint] = numpy.array(words[:3], dtype=numpy.float32)
                at += 1
            bodies.append(body)
        frames.extend(bodies)
    return numpy.stack(frames)


def nw_ucla_json(path, numpy):
    with open(path) as file:
        return numpy.array(json.load(file)["skeletons"]).astype(numpy.float32)


READERS = {"ntu-skeleton": (ntu_skeleton, "*.skeleton"), "nw-ucla-json": (nw_ucla_json, "**/*.json")}


class Reading:
    def __init__(self, folder, variant):
        import numpy

        self.numpy, self.folder = numpy, folder
        with open(f"{folder}/import.json") as file:
            spec = json.load(file)
        if spec["format"] not in READERS:
            raise ImportError(f"no reference for {spec['format']}; there are {', '.join(READERS)}")
        self.read, pattern = READERS[spec["format"]]
        self.paths = sorted(glob.glob(os.path.join(spec["path"], pattern), recursive=True))
        self.about = f"Python {sys.version.split()[0]}, numpy {numpy.__version__}, {len(self.paths)} files"

    def step(self, case, turn):
        poses = [self.read(path, self.numpy) for path in self.paths]
        self.numpy.save(f"{self.folder}/peer.npy", self.numpy.concatenate(poses))
        return poses

    def output(self, case):
        values = self.numpy.abs(self.numpy.concatenate(self.step(case, 0)).astype("float64"))
        present = values.any(axis=-1)
        return [[len(self.paths), float(present.sum()), float(values.sum() / present.sum())]]


if __name__ == "__main__":
    folder, variant, _ = sys.argv[1:4]
    serve(lambda: Reading(folder, variant))
