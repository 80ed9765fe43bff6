"""What every peer shares: the line protocol with `tendon bench` and the files that it writes.

A peer is started as `python SCRIPT FOLDER VARIANT THREADS`. It says {"ready": {"about": ...}} or {"missing": {"what": ...}}
and then answers one line with one line:

    {"run": {"case": 0, "times": 5}}  ->  {"times": {"wall": [...], "cpu": [...]}}   seconds, around the calls only
    {"output": {"case": 0}}           ->  {"output": {"rows": [[...], ...]}}
    "memory"                          ->  {"memory": {"peak_bytes": ...}}            resident, since the start

Whatever a library prints goes to stderr, which `tendon bench` shows when something fails.
"""

import json
import os
import resource
import sys
import time


def read_tensors(path):
    """Tensors (numpy) and text metadata of a safetensors file."""
    import numpy

    kinds = {"F32": "<f4", "I32": "<i4", "U8": "u1"}
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        values = numpy.frombuffer(data[start:end], kinds[entry["dtype"]])
        tensors[name] = values.reshape(entry["shape"]).copy()
    return tensors, metadata


def serve(start):
    """Answers requests with what `start()` returns: an object with `about`, `step(case, turn)` and `output(case)`."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(message):
        out.write(json.dumps(message) + "\n")
        out.flush()

    try:
        work = start()
    except ImportError as error:
        say({"missing": {"what": str(error)}})
        return
    say({"ready": {"about": work.about}})
    for line in sys.stdin:
        request = json.loads(line)
        if request == "memory":
            say({"memory": {"peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}})
        elif "run" in request:
            wall, cpu = [], []
            for turn in range(request["run"]["times"]):
                cpu_start, wall_start = time.process_time(), time.perf_counter()
                work.step(request["run"]["case"], turn)
                wall.append(time.perf_counter() - wall_start)
                cpu.append(time.process_time() - cpu_start)
            say({"times": {"wall": wall, "cpu": cpu}})
        elif "output" in request:
            say({"output": {"rows": work.output(request["output"]["case"])}})
