"""Things that are timed: each opens in a process of its own and runs once when called.

All graphs, ours and those of others, are opened by the same code with the same settings, so that none is favoured.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Run = Callable[[], object]
Feeds = dict[str, NDArray[Any]]

# Numbers of bytes that no cache of a processor holds, for each of the arrays of a copy.
STREAM_BYTES = 128 * 2**20
# Of the temporary of the triad: stays in the second-level cache, so that only three arrays go through memory.
TRIAD_BLOCK = 32 * 2**10
ORT_TYPES = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32, "tensor(float16)": np.float16}


@dataclass(frozen=True)
class Job:
    """What one process opens and runs.

    Attributes:
        kind: Key of `OPENERS`.
        path: Graph, or empty where the kind has none.
        threads: For one run.
        hint: Precision hint of OpenVINO, or dtype of torch: "f32" or "bf16".
        in_flight: Runs at once; the time of a run is then that of all of them.
        settings: What else the kind needs, as JSON values.
    """

    kind: str
    path: str = ""
    threads: int = 2
    hint: str = "f32"
    in_flight: int = 1
    settings: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """All fields on one line."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, line: str) -> Job:
        """Read what `to_json` wrote."""
        return cls(**json.loads(line))


def open_job(job: Job) -> Run:
    """Load what the job names, and return what runs it once."""
    return OPENERS[job.kind](job)


def open_ort(job: Job) -> Run:
    """A graph in ONNX Runtime with every optimisation; in flight, calls of one session share its threads."""
    session = ort_session(job)
    feeds = ort_feeds(session)
    if job.in_flight == 1:
        return lambda: session.run(None, feeds)
    callers = ThreadPoolExecutor(job.in_flight)
    return lambda: list(callers.map(lambda _: session.run(None, feeds), range(job.in_flight)))


def ort_session(job: Job, *, profile_prefix: str | None = None) -> Any:
    """As `OrtRuntime` makes it."""
    import onnxruntime  # type: ignore[import-untyped] # noqa: PLC0415  (a process imports only its own engine)

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = max(1, job.threads // job.in_flight)
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    if profile_prefix is not None:
        options.enable_profiling = True
        options.profile_file_prefix = profile_prefix
    return onnxruntime.InferenceSession(job.path, options, providers=["CPUExecutionProvider"])


def ort_feeds(session: Any) -> Feeds:
    """Noise for every input of a session."""
    return {item.name: noise(tuple(item.shape), ORT_TYPES[item.type]) for item in session.get_inputs()}


def open_openvino(job: Job) -> Run:
    """A graph in OpenVINO: one request for latency, or one stream for each run in flight as far as threads go."""
    compiled = openvino_model(job)
    feeds = openvino_feeds(compiled)
    if job.in_flight == 1:
        request = compiled.create_infer_request()
        return lambda: request.infer(feeds, share_inputs=True)
    requests = [compiled.create_infer_request() for _ in range(job.in_flight)]

    def run() -> None:
        for request in requests:
            request.start_async(feeds, share_inputs=True)
        for request in requests:
            request.wait()

    return run


def openvino_model(job: Job, *, counts_time: bool = False) -> Any:
    """As `OpenVinoRuntime` makes it."""
    import openvino  # type: ignore[import-untyped] # noqa: PLC0415

    settings = {
        "INFERENCE_PRECISION_HINT": job.hint,
        "INFERENCE_NUM_THREADS": job.threads,
        "ENABLE_CPU_PINNING": False,
        "PERFORMANCE_HINT": "LATENCY" if job.in_flight == 1 else "THROUGHPUT",
    }
    settings |= {"NUM_STREAMS": min(job.in_flight, job.threads)} if job.in_flight > 1 else {}
    settings |= {"PERF_COUNT": True} if counts_time else {}
    return openvino.Core().compile_model(job.path, "CPU", settings)


def openvino_feeds(compiled: Any) -> Feeds:
    """Noise for every input of a compiled model."""
    return {port.get_any_name(): noise(tuple(port.shape), port.element_type.to_dtype()) for port in compiled.inputs}


def open_torch(job: Job) -> Run:
    """Depth Anything V2 Small's architecture from transformers' own configuration, random weights, without processor.

    `settings`: "size", and "compiled" for `torch.compile` with frozen weights.
    """
    import torch  # noqa: PLC0415
    from peer_models import depth_anything  # noqa: PLC0415

    torch.set_num_threads(job.threads)
    dtype = torch.bfloat16 if job.hint == "bf16" else torch.float32
    model = depth_anything().to(dtype)
    values = torch.from_numpy(noise((1, 3, *job.settings["size"]), np.dtype(np.float32))).to(dtype)
    if job.settings.get("compiled"):
        torch._inductor.config.freezing = True
        model = torch.compile(model)

    def run() -> object:
        # Weights are frozen into what is compiled only without gradients; `inference_mode` would forbid it.
        with torch.no_grad():
            return model(pixel_values=values).predicted_depth

    run()
    return run


def open_our_torch(job: Job) -> Run:
    """One of our presets in torch eager, random weights. `settings`: "preset", "size"."""
    import torch  # noqa: PLC0415
    from stand_ins import random_model  # noqa: PLC0415

    torch.set_num_threads(job.threads)
    model, _ = random_model(job.settings["preset"])
    dtype = torch.bfloat16 if job.hint == "bf16" else torch.float32
    model = model.to(dtype)
    values = torch.from_numpy(noise((1, 3, *job.settings["size"]), np.dtype(np.float32))).to(dtype)

    def run() -> object:
        with torch.inference_mode():
            return model(values)

    return run


def open_pipeline(job: Job) -> Run:
    """The depth-estimation pipeline of transformers, from a PIL image to its result. `settings`: "size"."""
    import torch  # noqa: PLC0415
    from peer_models import depth_pipeline  # noqa: PLC0415
    from PIL import Image  # noqa: PLC0415

    torch.set_num_threads(job.threads)
    pipeline = depth_pipeline(tuple(job.settings["size"]), job.hint)
    photo = Image.fromarray(noise((*job.settings["frame"], 3), np.dtype(np.uint8)))
    return lambda: pipeline(photo)


def open_ours(job: Job) -> Run:
    """Our pipeline, from an array to depth of its size: prepare, run, restore. `settings`: "engine", "frame"."""
    from pixio_edge.image import ImageSpec  # noqa: PLC0415

    spec = ImageSpec()
    photo = noise((*job.settings["frame"], 3), np.dtype(np.uint8))
    if job.settings["engine"] == "ort":
        session = ort_session(job)
        name, size = session.get_inputs()[0].name, tuple(session.get_inputs()[0].shape[1:3])

        def infer(feed: NDArray[np.uint8]) -> NDArray[np.float32]:
            return np.asarray(session.run(None, {name: feed})[0])
    else:
        compiled = openvino_model(job)
        name, size = compiled.inputs[0].get_any_name(), tuple(compiled.inputs[0].shape)[1:3]
        request = compiled.create_infer_request()

        def infer(feed: NDArray[np.uint8]) -> NDArray[np.float32]:
            return np.asarray(next(iter(request.infer({name: feed}, share_inputs=True).values())))

    return lambda: spec.restore(infer(spec.prepare(photo, size)), photo.shape[:2])


def open_stream(job: Job) -> Run:
    """Memory traffic by numpy, one slice for each thread: `settings["triad"]` says c = a + s b instead of c = a."""
    items = STREAM_BYTES // 4 if not job.settings.get("bytes") else int(job.settings["bytes"]) // 4
    source, other, target = (np.full(items, value, np.float32) for value in (1.0, 2.0, 0.0))
    slices = [slice(index * items // job.threads, (index + 1) * items // job.threads) for index in range(job.threads)]
    callers = ThreadPoolExecutor(job.threads)

    def copy(part: slice) -> None:
        np.copyto(target[part], source[part])

    def triad(part: slice) -> None:
        scaled = np.empty(TRIAD_BLOCK, np.float32)
        for begin in range(part.start, part.stop, TRIAD_BLOCK):
            block = slice(begin, min(begin + TRIAD_BLOCK, part.stop))
            temporary = scaled[: block.stop - begin]
            np.multiply(other[block], np.float32(3), out=temporary)
            np.add(source[block], temporary, out=target[block])

    work = triad if job.settings.get("triad") else copy
    return lambda: list(callers.map(work, slices))


def noise(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Values 0..255 for bytes, standard normal for floats; the same each time."""
    random = np.random.default_rng(0)
    if np.dtype(dtype) == np.uint8:
        return random.integers(0, 256, shape, np.uint8)
    return random.standard_normal(shape).astype(dtype)


OPENERS: dict[str, Callable[[Job], Run]] = {
    "openvino": open_openvino,
    "ort": open_ort,
    "our_torch": open_our_torch,
    "ours": open_ours,
    "pipeline": open_pipeline,
    "stream": open_stream,
    "torch": open_torch,
}
