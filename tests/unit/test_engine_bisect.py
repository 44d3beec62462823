import itertools

import pytest

from pixio_edge.engines.bisect import DEFAULT_BUILDS, find_pins

NODES = tuple(f"node{index}" for index in range(100))


def needs(*culprits: str) -> tuple[list[tuple[str, ...]], object]:
    """Builds that were made, and an engine that passes when all culprits are pinned."""
    builds: list[tuple[str, ...]] = []

    def passes(pinned: tuple[str, ...]) -> bool:
        builds.append(pinned)
        return set(culprits) <= set(pinned)

    return builds, passes


@pytest.mark.parametrize("index", [0, 1, 37, 98, 99])
def test_single_bad_node_is_found_alone(index: int) -> None:
    builds, passes = needs(NODES[index])

    pins = find_pins(NODES, passes)

    assert pins is not None
    assert pins.nodes == (NODES[index],)
    assert pins.builds == len(builds) <= DEFAULT_BUILDS


def test_stretch_of_bad_nodes_is_found_whole() -> None:
    _, passes = needs(*NODES[40:45])

    pins = find_pins(NODES, passes)

    assert pins is not None
    assert pins.nodes == NODES[40:45]


def test_two_bad_nodes_are_found_without_those_between_when_there_are_builds_enough() -> None:
    _, passes = needs(NODES[10], NODES[60])

    pins = find_pins(NODES, passes, max_builds=200)

    assert pins is not None
    assert pins.nodes == (NODES[10], NODES[60])


@pytest.mark.parametrize("limit", [1, 3, 10, 24])
def test_search_ends_with_a_set_that_passed_when_builds_run_out(limit: int) -> None:
    builds, passes = needs(NODES[10], NODES[35], NODES[60])

    pins = find_pins(NODES, passes, max_builds=limit)

    assert pins is not None
    assert len(builds) == pins.builds == limit
    assert pins.nodes in builds
    assert {NODES[10], NODES[35], NODES[60]} <= set(pins.nodes)


def test_more_builds_never_give_a_larger_set() -> None:
    sizes = []
    for limit in range(1, 60):
        pins = find_pins(NODES, needs(NODES[10], NODES[35], NODES[60])[1], max_builds=limit)
        sizes.append(len(pins.nodes))

    assert all(later <= earlier for earlier, later in itertools.pairwise(sizes))
    assert sizes[-1] == 3


def test_nothing_is_pinned_when_precision_is_not_the_reason() -> None:
    builds, passes = needs("elsewhere")

    assert find_pins(NODES, passes) is None
    assert builds == [NODES]


def test_nothing_is_built_when_no_node_can_be_pinned() -> None:
    builds, passes = needs()

    assert find_pins((), passes) is None
    assert builds == []


def test_only_node_is_its_own_answer() -> None:
    builds, passes = needs("only")

    pins = find_pins(("only",), passes)

    assert pins is not None
    assert pins.nodes == ("only",)
    assert builds == [("only",)]


def test_every_set_that_passed_was_smaller_than_the_last_one() -> None:
    """So what was built last of those is the answer, and one engine has to be kept."""
    _, passes = needs(NODES[10], NODES[35], NODES[60])
    good = []

    def remembered(pinned: tuple[str, ...]) -> bool:
        if passes(pinned):
            good.append(pinned)
            return True
        return False

    pins = find_pins(NODES, remembered, max_builds=100)

    assert [len(item) for item in good] == sorted({len(item) for item in good}, reverse=True)
    assert pins is not None
    assert good[-1] == pins.nodes
