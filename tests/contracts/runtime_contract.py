"""What every runtime has to do. A subclass names the runtime and inherits every test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from pixio_edge.bundle import Bundle
from pixio_edge.errors import RuntimeUnavailableError, SpecError
from pixio_edge.parity import compare
from pixio_edge.runtimes.base import Runtime, RuntimeOptions
from pixio_edge.runtimes.registry import RUNTIMES, make_runtime

THREADS = 1  # differs from the default on any machine that runs these tests with two cores or more


class RuntimeContract:
    """Inherit, set `runtime_name`, and give a fixture `bundle` whose first artifact it runs."""

    runtime_name: ClassVar[str]
    options: ClassVar[RuntimeOptions] = RuntimeOptions(threads=THREADS)

    @pytest.fixture
    def closed(self, bundle: Bundle) -> Runtime:
        artifact = next(a for a in bundle.artifacts if a.kind in RUNTIMES[self.runtime_name].kinds)
        return make_runtime(self.runtime_name, bundle.read_artifact(artifact), self.options)

    @pytest.fixture
    def runtime(self, closed: Runtime) -> Iterator[Runtime]:
        with closed:
            yield closed

    @pytest.fixture
    def golden(self, bundle: Bundle, closed: Runtime) -> tuple[np.ndarray, np.ndarray]:
        with np.load(bundle.read_golden(closed.artifact.entry), allow_pickle=False) as arrays:
            return arrays["image"], arrays["depth"]

    @pytest.fixture
    def feeds(self, golden: tuple[np.ndarray, np.ndarray]) -> dict[str, np.ndarray]:
        return {"image": golden[0]}

    def test_construction_loads_nothing(self, closed: Runtime) -> None:
        assert not closed.is_open

    def test_run_gives_the_golden_output(self, runtime: Runtime, golden: tuple[np.ndarray, np.ndarray]) -> None:
        outputs = runtime.run({"image": golden[0]})

        tolerance = runtime.artifact.entry.tolerance
        assert tolerance is not None
        report = compare(golden[1], outputs["depth"], tolerance)
        assert report, report.message

    def test_outputs_have_the_names_shapes_and_dtypes_of_the_manifest(
        self, runtime: Runtime, feeds: dict[str, np.ndarray]
    ) -> None:
        outputs = runtime.run(feeds)

        specs = runtime.artifact.entry.outputs
        assert [(s.name, s.shape, s.dtype) for s in specs] == [
            (name, array.shape, array.dtype.name) for name, array in outputs.items()
        ]

    def test_outputs_are_not_touched_by_later_calls(self, runtime: Runtime, feeds: dict[str, np.ndarray]) -> None:
        first = runtime.run(feeds)["depth"]
        kept = first.copy()

        second = runtime.run({"image": 255 - feeds["image"]})["depth"]

        assert not np.shares_memory(first, second)
        assert not np.array_equal(first, second)
        np.testing.assert_array_equal(first, kept)

    def test_outputs_are_writable_and_survive_close(self, closed: Runtime, feeds: dict[str, np.ndarray]) -> None:
        with closed as runtime:
            depth = runtime.run(feeds)["depth"]
            kept = depth.copy()

        np.testing.assert_array_equal(depth, kept)
        depth[...] = 0
        assert not depth.any()

    def test_input_is_not_written_or_kept(self, runtime: Runtime, feeds: dict[str, np.ndarray]) -> None:
        image = feeds["image"].copy()

        expected = runtime.run({"image": image})["depth"].copy()
        np.testing.assert_array_equal(image, feeds["image"])
        image[...] = 0
        again = runtime.run(feeds)["depth"]

        np.testing.assert_array_equal(expected, again)

    def test_same_input_gives_the_same_bits(self, runtime: Runtime, feeds: dict[str, np.ndarray]) -> None:
        first, second = runtime.run(feeds)["depth"], runtime.run(feeds)["depth"]

        assert first.tobytes() == second.tobytes()

    def test_input_that_is_not_contiguous_gives_the_same_output(
        self, runtime: Runtime, feeds: dict[str, np.ndarray]
    ) -> None:
        strided = np.repeat(feeds["image"], 2, axis=2)[:, :, ::2]
        assert not strided.flags.c_contiguous

        np.testing.assert_array_equal(runtime.run({"image": strided})["depth"], runtime.run(feeds)["depth"])

    def test_wrong_dtype_is_refused_with_both_specs(self, runtime: Runtime, feeds: dict[str, np.ndarray]) -> None:
        shape = tuple(feeds["image"].shape)

        with pytest.raises(SpecError) as caught:
            runtime.run({"image": feeds["image"].astype(np.float32)})

        assert str(caught.value) == (
            f"tensor 'image': got float32 {shape}, expected uint8 {shape}. "
            "Fix: prepare images with ImageSpec.prepare(image, size) of this bundle"
        )

    def test_wrong_shape_is_refused_with_both_specs(self, runtime: Runtime, feeds: dict[str, np.ndarray]) -> None:
        shape = tuple(feeds["image"].shape)

        with pytest.raises(SpecError) as caught:
            runtime.run({"image": feeds["image"][:, 1:]})

        assert str(caught.value) == (
            f"tensor 'image': got uint8 {(1, shape[1] - 1, *shape[2:])}, expected uint8 {shape}. "
            "Fix: prepare images with ImageSpec.prepare(image, size) of this bundle"
        )

    @pytest.mark.parametrize("names", [(), ("picture",), ("image", "extra")])
    def test_missing_or_unknown_inputs_are_refused_with_their_names(
        self, runtime: Runtime, feeds: dict[str, np.ndarray], names: tuple[str, ...]
    ) -> None:
        with pytest.raises(SpecError) as caught:
            runtime.run(dict.fromkeys(names, feeds["image"]))

        assert str(caught.value) == (
            f"inputs: got {sorted(names)}, expected ['image']. Fix: feed every input of the artifact by its name"
        )

    def test_refused_input_leaves_the_runtime_usable(self, runtime: Runtime, feeds: dict[str, np.ndarray]) -> None:
        with pytest.raises(SpecError):
            runtime.run({})

        assert runtime.run(feeds)["depth"].size

    @pytest.mark.parametrize("call", ["run", "info"])
    def test_calls_before_open_and_after_close_are_errors(
        self, closed: Runtime, feeds: dict[str, np.ndarray], call: str
    ) -> None:
        message = f"runtime '{self.runtime_name}': got {call}() while closed, expected open"

        def use() -> object:
            return closed.run(feeds) if call == "run" else closed.info()

        with pytest.raises(RuntimeUnavailableError) as before:
            use()
        with closed:
            use()
        with pytest.raises(RuntimeUnavailableError) as after:
            use()

        assert str(before.value).startswith(message)
        assert str(after.value).startswith(message)

    def test_open_and_close_may_be_repeated(self, closed: Runtime, feeds: dict[str, np.ndarray]) -> None:
        closed.open()
        closed.open()
        expected = closed.run(feeds)["depth"]
        closed.close()
        closed.close()
        closed.open()

        np.testing.assert_array_equal(closed.run(feeds)["depth"], expected)
        closed.close()

    def test_close_leaves_nothing_behind(self, closed: Runtime, feeds: dict[str, np.ndarray]) -> None:
        before = dict(vars(closed))

        with closed:
            closed.run(feeds)
            closed.info(profile=True)

        assert vars(closed) == before

    def test_failed_open_leaves_nothing_behind(self, closed: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> None:
            raise SpecError("refused")

        before = dict(vars(closed))
        monkeypatch.setattr(Runtime, "_check_specs", refuse)

        with pytest.raises(SpecError, match="refused"):
            closed.open()

        assert vars(closed) == before

    def test_graph_that_differs_from_the_manifest_is_refused(self, bundle: Bundle, closed: Runtime) -> None:
        other = next(
            a for a in bundle.artifacts if a.kind == closed.artifact.entry.kind and a.size != closed.artifact.entry.size
        )
        lying = other.model_copy(
            update={"inputs": closed.artifact.entry.inputs, "outputs": closed.artifact.entry.outputs}
        )
        runtime = make_runtime(self.runtime_name, bundle.read_artifact(lying), self.options)

        with pytest.raises(SpecError, match=f"artifact '{other.name}': graph has inputs image:uint8"):
            runtime.open()

    def test_info_says_what_runs(self, runtime: Runtime, feeds: dict[str, np.ndarray]) -> None:
        runtime.run(feeds)

        info = runtime.info(profile=True)

        assert info.runtime == self.runtime_name
        assert info.version[0].isdigit()
        assert info.precision == self.options.precision
        assert info.fallbacks == ()
        assert info.kernels is not None
        assert sum(info.kernels.values()) >= 2
        assert (info.int8_ops, info.float_ops) == self.heavy_ops()
        executed = {key.rpartition("/")[2] for key in info.kernels if "conv" in key.lower()}
        assert executed == {self.options.precision}

    def heavy_ops(self) -> tuple[int, int]:
        """(INT8, float) products and convolutions in the graph: the tiny bundle has two convolutions."""
        return 0, 2

    def test_info_without_profile_does_not_look_at_kernels(self, closed: Runtime) -> None:
        with closed as runtime:
            info = runtime.info()

        assert info.kernels is None
        assert info.int8_ops is None
        assert info.float_ops is None

    @pytest.mark.parametrize("threads", [1, 2])
    def test_thread_count_is_what_was_asked_for(self, bundle: Bundle, closed: Runtime, threads: int) -> None:
        options = replace(self.options, threads=threads)

        with make_runtime(self.runtime_name, closed.artifact, options) as runtime:
            assert runtime.info().threads == threads

    def test_unknown_provider_is_refused_naming_those_that_are_there(self, closed: Runtime) -> None:
        options = replace(self.options, provider="abacus")

        with pytest.raises(RuntimeUnavailableError, match=r"(?i)'abacus': .* expected one of: .*cpu.*\. Fix: "):
            make_runtime(self.runtime_name, closed.artifact, options).open()


def threads_of_process() -> dict[int, str]:
    """Cores allowed for every thread of this process, by thread id; Linux only."""
    folder = Path("/proc/self/task")
    allowed = {}
    for task in folder.iterdir():
        lines = (task / "status").read_text().splitlines()
        allowed[int(task.name)] = next(line.split()[1] for line in lines if line.startswith("Cpus_allowed_list"))
    return allowed
