"""One estimator, many threads: the same bits as one thread, bounded memory, a clean end."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest

from pixio_edge.bundle import Bundle
from pixio_edge.errors import PixioEdgeError, RuntimeUnavailableError, SpecError
from pixio_edge.estimator import DepthEstimator
from pixio_edge.runtimes.ort import OrtRuntime
from pixio_edge.runtimes.pool import RuntimePool
from tests.tiny_bundle import tiny_image, write_tiny_bundle

THREADS = 8
FRAMES_PER_THREAD = 12
# Every wait of a test ends; none of them comes near on a machine that is not stuck.
TIMEOUT_S = 30.0
SHAPES = ((32, 32), (40, 60), (60, 40), (70, 100))
Feeds = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_tiny_bundle(tmp_path_factory.mktemp("threads") / "tiny")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[OrtRuntime]:
    """Every ORT runtime that is opened."""
    runtimes: list[OrtRuntime] = []
    original = OrtRuntime._open

    def record(runtime: OrtRuntime) -> None:
        runtimes.append(runtime)
        original(runtime)

    monkeypatch.setattr(OrtRuntime, "_open", record)
    return runtimes


class Gate:
    """Holds inferences until it is lifted, and counts those that have entered."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entered = threading.Semaphore(0)
        self.lifted = threading.Event()
        self.most = self._inside = 0
        self._lock = threading.Lock()
        original = OrtRuntime._run

        def run(runtime: OrtRuntime, feeds: Feeds) -> Feeds:
            with self._lock:
                self._inside += 1
                self.most = max(self.most, self._inside)
            self.entered.release()
            assert self.lifted.wait(TIMEOUT_S)
            try:
                return original(runtime, feeds)
            finally:
                with self._lock:
                    self._inside -= 1

        monkeypatch.setattr(OrtRuntime, "_run", run)

    def wait_for(self, count: int) -> None:
        for _ in range(count):
            assert self.entered.acquire(timeout=TIMEOUT_S)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


def pictures() -> list[np.ndarray]:
    return [tiny_image(SHAPES[seed % len(SHAPES)], seed=seed) for seed in range(FRAMES_PER_THREAD)]


def run_threads(work: Callable[[int], list[np.ndarray]]) -> list[list[np.ndarray]]:
    """What each of `THREADS` threads makes, all begun at the same moment."""
    start = threading.Barrier(THREADS)

    def begin(index: int) -> list[np.ndarray]:
        start.wait(TIMEOUT_S)
        return work(index)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(begin, range(THREADS), timeout=TIMEOUT_S))


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("runtime", ["ort", "openvino"])
def test_threads_that_share_an_estimator_get_the_bits_of_one_thread(
    bundle: Bundle, runtime: str, concurrency: int
) -> None:
    if runtime == "openvino":
        pytest.importorskip("openvino", reason="the extra 'openvino' is not installed")
    frames = pictures()
    with DepthEstimator.open(bundle, runtime=runtime, threads=2) as single:
        expected = [single.predict(frame).values for frame in frames]

    with DepthEstimator.open(bundle, runtime=runtime, threads=2, concurrency=concurrency) as shared:

        def work(index: int) -> list[np.ndarray]:
            # Each thread begins with another frame, so that different images and sizes meet in the runtimes.
            order = [(index + step) % FRAMES_PER_THREAD for step in range(FRAMES_PER_THREAD)]
            maps = dict(zip(order, shared.stream(frames[at] for at in order), strict=True))
            return [maps[at].values for at in range(FRAMES_PER_THREAD)]

        found = run_threads(work)

    for maps in found:
        for values, reference in zip(maps, expected, strict=True):
            np.testing.assert_array_equal(values, reference)


def test_first_images_of_many_threads_open_one_runtime_for_each_size(bundle: Bundle, opened: list[OrtRuntime]) -> None:
    frames = pictures()

    with DepthEstimator.open(bundle, runtime="ort", threads=1) as estimator:
        run_threads(lambda _: [estimator.predict(frame).values for frame in frames])

    names = [runtime.artifact.entry.name for runtime in opened]
    assert sorted(names) == ["onnx-fp32-32x32", "onnx-fp32-32x48", "onnx-fp32-48x32"]


@pytest.mark.parametrize("concurrency", [1, 2])
def test_inferences_at_once_are_those_allowed_and_so_are_the_runtimes(
    bundle: Bundle, opened: list[OrtRuntime], gate: Gate, concurrency: int
) -> None:
    with (
        DepthEstimator.open(bundle, runtime="ort", threads=1, concurrency=concurrency) as estimator,
        ThreadPoolExecutor(THREADS) as pool,
    ):
        running = [pool.submit(estimator.predict, tiny_image((32, 32))) for _ in range(THREADS)]
        gate.wait_for(concurrency)
        gate.lifted.set()
        for future in running:
            future.result(TIMEOUT_S)

    assert gate.most == concurrency
    assert len(opened) == concurrency


def test_closing_waits_for_the_running_inference_and_turns_the_waiting_away(
    bundle: Bundle, opened: list[OrtRuntime], gate: Gate
) -> None:
    estimator = DepthEstimator.open(bundle, runtime="ort", threads=1)
    with ThreadPoolExecutor(THREADS) as pool:
        running = [pool.submit(estimator.predict, tiny_image((32, 32))) for _ in range(3)]
        gate.wait_for(1)
        closing = pool.submit(estimator.close)
        outcomes = [outcome(future) for future in wait_for(running, 2)]
        closed_early = closing.done()
        gate.lifted.set()
        closing.result(TIMEOUT_S)
        outcomes = [outcome(future) for future in running]

    assert not closed_early
    assert sorted(outcomes) == ["depth", "got a call after close()", "got a call after close()"]
    assert not any(runtime.is_open for runtime in opened)


def wait_for(futures: list[Future[object]], count: int) -> list[Future[object]]:
    """The first futures that end."""
    ended = threading.Semaphore(0)
    for future in futures:
        future.add_done_callback(lambda _: ended.release())
    for _ in range(count):
        assert ended.acquire(timeout=TIMEOUT_S)
    return [future for future in futures if future.done()]


def outcome(future: Future[object]) -> str:
    try:
        future.result(TIMEOUT_S)
    except RuntimeUnavailableError as error:
        assert "got a call after close()" in str(error)
        return "got a call after close()"
    return "depth"


def test_closing_from_within_an_inference_ends_and_closes_its_runtime(
    bundle: Bundle, opened: list[OrtRuntime], monkeypatch: pytest.MonkeyPatch
) -> None:
    estimator = DepthEstimator.open(bundle, runtime="ort", threads=1)
    original = OrtRuntime._run

    def close_then_run(runtime: OrtRuntime, feeds: Feeds) -> Feeds:
        estimator.close()  # as a signal handler does, which runs inside whatever the main thread is doing
        return original(runtime, feeds)

    monkeypatch.setattr(OrtRuntime, "_run", close_then_run)
    with ThreadPoolExecutor(1) as pool:
        depth = pool.submit(estimator.predict, tiny_image((32, 32))).result(TIMEOUT_S)

    assert depth.values.shape == (32, 32)
    assert [runtime.is_open for runtime in opened] == [False]


@pytest.mark.parametrize("step", ["_open", "_run"])
def test_failure_of_one_inference_leaves_the_runtime_to_the_others(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    failures = iter([True])
    original = getattr(OrtRuntime, step)

    def fail_once(runtime: OrtRuntime, *arguments: Feeds) -> object:
        if next(failures, False):
            raise PixioEdgeError("made to fail")
        return original(runtime, *arguments)

    monkeypatch.setattr(OrtRuntime, step, fail_once)
    with DepthEstimator.open(bundle, runtime="ort", threads=1) as estimator:
        with pytest.raises(PixioEdgeError, match="made to fail"):
            estimator.predict(tiny_image((32, 32)))

        depth = ThreadPoolExecutor(1).submit(estimator.predict, tiny_image((32, 32))).result(TIMEOUT_S)

    assert depth.values.shape == (32, 32)


def test_estimator_that_is_dropped_frees_its_runtimes_without_a_collection(
    bundle: Bundle, opened: list[OrtRuntime]
) -> None:
    gc.disable()
    try:
        estimator = DepthEstimator.open(bundle, runtime="ort", threads=1)
        estimator.predict(tiny_image((32, 32)))
        held = weakref.ref(opened.pop())
        del estimator
        assert held() is None
    finally:
        gc.enable()


def test_info_is_of_the_first_size_used_also_while_other_threads_run(bundle: Bundle) -> None:
    with DepthEstimator.open(bundle, runtime="ort", threads=1) as estimator:
        estimator.predict(tiny_image((60, 40)))

        infos = run_threads(lambda _: [np.array(estimator.info().threads), estimator.predict(pictures()[0]).values])

        assert {int(info[0]) for info in infos} == {1}
        assert estimator.runtime((48, 32)).is_open


@pytest.mark.parametrize("concurrency", [0, -1])
def test_concurrency_below_one_is_refused(bundle: Bundle, concurrency: int) -> None:
    with pytest.raises(SpecError, match=r"concurrency: got -?\d, expected at least 1. Fix: "):
        DepthEstimator.open(bundle, runtime="ort", concurrency=concurrency)


def test_thread_that_waits_is_served_before_the_one_that_comes_again() -> None:
    pool = RuntimePool()
    order: list[str] = []

    def serve(name: str) -> None:
        runtime = pool.take((32, 32), FakeRuntime)
        order.append(name)
        pool.give_back((32, 32), runtime)

    held = pool.take((32, 32), FakeRuntime)
    waiting = [threading.Thread(target=serve, args=(name,)) for name in ("first", "second")]
    for count, thread in enumerate(waiting, start=1):
        thread.start()
        deadline = time.monotonic() + TIMEOUT_S
        while len(pool._waiting) < count and time.monotonic() < deadline:
            time.sleep(0.001)
    pool.give_back((32, 32), held)
    serve("again")
    for thread in waiting:
        thread.join(TIMEOUT_S)

    assert order == ["first", "second", "again"]


def test_wait_that_is_interrupted_leaves_the_place_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = RuntimePool()
    held = pool.take((32, 32), FakeRuntime)

    def interrupt(_: threading.Event) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(threading.Event, "wait", interrupt)
        with pytest.raises(KeyboardInterrupt):
            pool.take((32, 32), FakeRuntime)
    pool.give_back((32, 32), held)

    assert pool.take((32, 32), FakeRuntime) is held


class FakeRuntime:
    """Stands for an open runtime."""

    def __init__(self, _: tuple[int, int]) -> None:
        pass
