"""Inference in ONNX Runtime, batch 1: `float` or `int8` (static, QDQ, per-channel weights).

BatchNorm is folded first. Of the two ways to write a graph convolution, and for int8 of the two types of activations, the
fastest on this machine is taken: the peer is what somebody would ship who measured.
"""

import statistics
import sys
import time

import numpy

from peer import serve
from stgcn import BLOCKS, TAPS, FoldedBlock, Network

OPSET = 17


class Graph:
    """Collects nodes and weights of an ONNX graph."""

    def __init__(self):
        self.nodes, self.weights, self.count = [], [], 0

    def weight(self, values):
        from onnx import numpy_helper

        self.count += 1
        name = f"w{self.count}"
        self.weights.append(numpy_helper.from_array(numpy.ascontiguousarray(values), name))
        return name

    def add(self, kind, *inputs, outputs=1, **attributes):
        from onnx import helper

        self.count += 1
        names = [f"{kind}{self.count}_{index}" for index in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=f"{kind}{self.count}", **attributes))
        return names[0] if outputs == 1 else names


def convolution_first(graph, block, x):
    """As in the public code: 1x1 convolution to all subsets, then each subset along its graph."""
    subsets, out, channels = block.graph.shape
    y = graph.add("Conv", x, graph.weight(block.graph.reshape(subsets * out, channels, 1, 1)), kernel_shape=[1, 1])
    parts = graph.add("Split", y, graph.weight(numpy.array([out] * subsets, "i8")), axis=1, outputs=subsets)
    parts = [graph.add("MatMul", part, graph.weight(block.adjacency[k])) for k, part in enumerate(parts)]
    return graph.add("Add", graph.add("Add", parts[0], parts[1]), parts[2])


def graph_first(graph, block, x):
    """The graph moves the fewer channels; one convolution then mixes the subsets."""
    subsets, out, channels = block.graph.shape
    parts = [graph.add("MatMul", x, graph.weight(block.adjacency[k])) for k in range(subsets)]
    weight = block.graph.transpose(1, 0, 2).reshape(out, subsets * channels, 1, 1)
    return graph.add("Conv", graph.add("Concat", *parts, axis=1), graph.weight(weight), kernel_shape=[1, 1])


def model(network, formulation, rows):
    """The network for windows with `rows` bodies that count."""
    from onnx import TensorProto, checker, helper

    config = network.config
    joints, channels = network.adjacency.shape[1], 3 * len(config["streams"])
    graph = Graph()
    scale, shift = (values.reshape(joints, channels).T[:, None, :] for values in network.norm("input_norm"))
    x = graph.add("Add", graph.add("Mul", "x", graph.weight(scale)), graph.weight(shift))
    for number in range(BLOCKS):
        block = FoldedBlock(network, number)
        y = formulation(graph, block, x)
        y = graph.add("Relu", graph.add("Add", y, graph.weight(block.graph_map)))
        temporal = {"kernel_shape": [TAPS, 1], "pads": [TAPS // 2, 0, TAPS // 2, 0], "strides": [block.stride, 1]}
        y = graph.add("Conv", y, graph.weight(block.temporal), graph.weight(block.temporal_bias), **temporal)
        if block.residual is not None:
            weight = graph.weight(block.residual)
            y = graph.add("Add", y, graph.add("Conv", x, weight, kernel_shape=[1, 1], strides=[block.stride, 1]))
        elif block.identity:
            y = graph.add("Add", y, x)
        x = graph.add("Relu", y)
    pooled = graph.add("ReduceMean", x, axes=[0, 2, 3], keepdims=0)
    pooled = graph.add("Reshape", pooled, graph.weight(numpy.array([1, -1], "i8")))
    bias = graph.weight(network.weights["classifier.bias"])
    y = graph.add("Gemm", pooled, graph.weight(network.weights["classifier.weight"]), bias)
    shape = [rows, channels, config["frames"], joints]
    made = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "classifier",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(y, TensorProto.FLOAT, [1, network.weights["classifier.bias"].size])],
            graph.weights,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    made.ir_version = 9
    checker.check_model(made)
    return made


def quantized(path, to, windows, kind):
    """Writes the static int8 model; ranges are the extremes on the calibration windows."""
    from onnxruntime import quantization

    # Shapes are inferred and the graph is optimised first, as ONNX Runtime's documentation asks.
    ready = path.replace(".onnx", "-ready.onnx")
    quantization.quant_pre_process(path, ready, skip_symbolic_shape=True)

    class Reader(quantization.CalibrationDataReader):
        def __init__(self):
            self.rest = iter(windows)

        def get_next(self):
            window = next(self.rest, None)
            return None if window is None else {"x": window}

    quantization.quantize_static(
        ready,
        to,
        Reader(),
        quant_format=quantization.QuantFormat.QDQ,
        activation_type=kind,
        weight_type=quantization.QuantType.QInt8,
        per_channel=True,
        reduce_range=False,
    )


class Inference:
    def __init__(self, folder, variant, threads):
        import onnx
        import onnxruntime

        onnxruntime.set_default_logger_severity(3)
        self.options = onnxruntime.SessionOptions()
        self.options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.options.intra_op_num_threads = threads
        self.options.inter_op_num_threads = 1
        self.runtime = onnxruntime
        network = Network(folder)
        count = 2 if network.config["bodies"] > 1 else 1
        self.cases = [network.case(case) for case in range(count)]
        sizes = sorted({len(window) for windows in self.cases for window in windows})

        kinds = [None]
        if variant == "int8":
            from onnxruntime.quantization import QuantType

            kinds = [QuantType.QUInt8, QuantType.QInt8]
        tried = {}
        for formulation in (graph_first, convolution_first):
            paths = {}
            for rows in sizes:
                paths[rows] = f"{folder}/{formulation.__name__}-{rows}.onnx"
                onnx.save(model(network, formulation, rows), paths[rows])
            for kind in kinds:
                sessions = {}
                for rows, path in paths.items():
                    if kind is not None:
                        to = path.replace(".onnx", f"-{kind.name}.onnx")
                        same = [window for window in network.calibration if len(window) >= rows]
                        quantized(path, to, [window[:rows] for window in same], kind)
                        path = to
                    sessions[rows] = self.session(path)
                name = formulation.__name__.replace("_", " ") + (f", {kind.name}" if kind else "")
                tried[name] = (self.quick(sessions), sessions)
        best = min(tried, key=lambda name: tried[name][0])
        self.sessions = tried[best][1]
        others = ", ".join(f"{name} {seconds * 1e3:.1f} ms" for name, (seconds, _) in tried.items())
        self.about = f"onnxruntime {onnxruntime.__version__}, {best} (tried: {others})"

    def session(self, path):
        return self.runtime.InferenceSession(path, self.options, providers=["CPUExecutionProvider"])

    def quick(self, sessions):
        """Seconds of a window, the median of a few."""
        seconds = []
        for window in (self.cases[0] * 8)[:8]:
            start = time.process_time()
            sessions[len(window)].run(None, {"x": window})
            seconds.append(time.process_time() - start)
        return statistics.median(seconds)

    def step(self, case, turn):
        windows = self.cases[case]
        window = windows[turn % len(windows)]
        return self.sessions[len(window)].run(None, {"x": window})[0]

    def output(self, case):
        return [self.step(case, turn)[0].tolist() for turn in range(len(self.cases[case]))]


if __name__ == "__main__":
    folder, variant, threads = sys.argv[1:4]
    serve(lambda: Inference(folder, variant, int(threads)))
