"""The commands of docs/jetson.md and of the ROS 2 README exist as they are written there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from jetson_example import DOCS, JETSON, ROS_PACKAGE, load_example, load_launch_file

from pixio_edge.cli.main import app
from pixio_edge.host import probe_host
from pixio_edge.nvidia import JETPACKS, Nvidia
from pixio_edge.runtimes.registry import runtime_status

README = ROS_PACKAGE / "README.md"
PAGES = (DOCS, README)


def shell_lines(page: Path) -> Iterator[list[str]]:
    """Words of every command in the fenced blocks of a page, without comments; continued lines are one."""
    for block in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if words := shlex.split(line, comments=True):
                yield words


def commands_of(*beginning: str) -> list[list[str]]:
    """Words after `beginning` of all commands that begin so."""
    lines = [words for page in PAGES for words in shell_lines(page)]
    return [words[len(beginning) :] for words in lines if words[: len(beginning)] == list(beginning)]


@pytest.mark.parametrize("words", commands_of("pixio-edge"), ids=" ".join)
def test_command_of_the_page_is_one_that_pixio_edge_takes(words: list[str]) -> None:
    command = typer.main.get_command(app)

    verb = command.commands[words[0]]
    context = verb.make_context(words[0], words[1:], resilient_parsing=False)

    assert context.params


def test_the_page_shows_every_verb_that_a_board_needs() -> None:
    verbs = {words[0] for words in commands_of("pixio-edge")}

    assert verbs >= {"doctor", "export", "build", "verify", "predict", "benchmark", "quantize"}


def test_camera_commands_of_the_page_are_ones_that_the_example_takes() -> None:
    camera = load_example("camera")
    commands = commands_of("python", "examples/jetson/camera.py")

    pipelines = {camera.open_camera(camera.parse(words))[0]._pipeline.split()[0] for words in commands}

    assert pipelines == {"nvarguscamerasrc", "v4l2src", "videotestsrc"}


def test_launch_command_of_the_readme_gives_arguments_that_exist() -> None:
    (words,) = commands_of("ros2", "launch", "pixio_edge_ros", "depth_launch.py")

    given = {word.partition(":=")[0] for word in words}

    assert given <= {name for name, _, _ in load_launch_file().ARGUMENTS}
    assert "reference_points" in given


def test_table_of_systems_agrees_with_what_doctor_knows() -> None:
    text = DOCS.read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([A-Za-z ]+) \| (.+) \|$", text, re.MULTILINE))
    for column, version in enumerate(("6.2", "7.2")):
        jetpack = next(item for item in JETPACKS if item.version == version)
        known = {
            "Python": jetpack.python,
            "CUDA": jetpack.cuda,
            "TensorRT": jetpack.tensorrt,
        }
        for name, value in known.items():
            assert rows[name].split(" | ")[column] == value, (name, version)
        assert f"{jetpack.l4t}.".startswith(f"{rows['Jetson Linux'].split(' | ')[column]}.")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_the_page_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))

    assert targets
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_page_says_that_it_was_not_run_on_a_jetson() -> None:
    assert "Not yet run on a Jetson" in DOCS.read_text(encoding="utf-8")
    assert "Not yet run on a Jetson" in README.read_text(encoding="utf-8")


def test_fix_of_the_camera_example_points_at_this_page() -> None:
    assert "docs/jetson.md" in (JETSON / "camera_sources.py").read_text(encoding="utf-8")


def test_doctor_on_a_jetson_asks_for_the_package_that_the_page_installs() -> None:
    jetson = replace(probe_host(), packages={}, nvidia=Nvidia(l4t="36.4.3", jetpack="6.2"))
    desktop = replace(jetson, nvidia=None)

    reason = runtime_status(jetson)["tensorrt"].reason

    assert "sudo apt install python3-libnvinfer" in reason
    assert "--system-site-packages" in reason
    assert "pip install" not in reason
    assert "pip install 'tensorrt'" in runtime_status(desktop)["tensorrt"].reason
    installed = [word for words in commands_of("sudo", "apt", "install") for word in words]
    assert {"python3-libnvinfer", "gstreamer1.0-tools", "python3-venv"} <= set(installed)
