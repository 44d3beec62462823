"""The camera loop of the Jetson example: pipelines, frames of a child process, the newest frame, outputs, signals."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest
from jetson_example import JETSON, load_example
from tiny_bundle import write_tiny_bundle

from pixio_edge.errors import InputError, OutputError, RuntimeUnavailableError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the example is for Linux: pipes and signals of POSIX")

pipelines = load_example("camera_pipelines")
sources = load_example("camera_sources")
outputs = load_example("camera_outputs")
camera = load_example("camera")

PATIENCE_S = 30.0
"""How long a test waits for another thread or process before it fails; nothing here takes a second on a quiet host."""

SIZE = (6, 8)
HAS_GSTREAMER = shutil.which(sources.LAUNCHER) is not None

# Stands in for gst-launch-1.0: writes frames to the descriptor of fdsink, and talks on both streams meanwhile.
LAUNCHER = """#!{python}
import os, re, signal, sys, time
words = " ".join(sys.argv[1:])
height, width = (int(re.findall(name + r"=(\\d+)", words)[-1]) for name in ("height", "width"))
sink = int(re.search(r"fdsink fd=(\\d+)", words).group(1))
open({pid!r}, "w").write(str(os.getpid()))
print("GST_ARGUS: Creating output stream", flush=True)
behaviour = {behaviour!r}
is_stopped = []
signal.signal(signal.SIGINT, signal.SIG_IGN if behaviour == "deaf" else lambda *_: is_stopped.append(1))
if behaviour == "no element":
    sys.exit('WARNING: erroneous pipeline: no element "nvarguscamerasrc"')
if behaviour == "error":
    sys.exit("ERROR: from element nvarguscamerasrc: No cameras available")
for number in range({frames}):
    if behaviour == "silent":
        while not is_stopped: time.sleep(0.01)
    if is_stopped: break
    rest = bytes([number % 256]) * (height * width * 3)
    while rest:
        rest = rest[os.write(sink, rest[:65536]):]
    time.sleep({pause})
"""


def make_launcher(folder: Path, behaviour: str = "", *, frames: int = 10**6, pause: float = 0.001) -> Path:
    path = folder / sources.LAUNCHER
    text = LAUNCHER.format(
        python=sys.executable, pid=str(folder / "pid"), behaviour=behaviour, frames=frames, pause=pause
    )
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


def make_camera(folder: Path, behaviour: str = "", *, frames: int = 10**6, pause: float = 0.001) -> object:
    launcher = make_launcher(folder, behaviour, frames=frames, pause=pause)
    pipeline = f"videotestsrc ! video/x-raw,format=RGB,width={SIZE[1]},height={SIZE[0]}"
    return sources.GstCamera(pipeline, SIZE, launcher=str(launcher))


def is_running(folder: Path) -> bool:
    """Whether the child that `make_launcher` stands for is still there."""
    try:
        os.kill(int((folder / "pid").read_text()), 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(condition: object) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_csi_pipeline_goes_through_the_signal_processor_and_scales_on_the_way() -> None:
    mode = pipelines.Mode.parse("1920x1080@30")

    pipeline = pipelines.csi_pipeline(mode, sensor_id=1, flip_method=2, frame=(360, 640))

    assert pipeline == (
        "nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM),format=NV12,width=1920,height=1080,framerate=30/1 ! "
        "nvvidconv flip-method=2 ! video/x-raw,format=RGBA,width=640,height=360 ! videoconvert ! video/x-raw,format=RGB"
    )


def test_usb_pipeline_decodes_motion_jpeg_unless_raw_is_asked_for() -> None:
    mode = pipelines.Mode(640, 480, 15)

    assert pipelines.usb_pipeline(mode) == (
        "v4l2src device=/dev/video0 ! image/jpeg,width=640,height=480,framerate=15/1 ! jpegdec ! "
        "videoconvert ! video/x-raw,format=RGB"
    )
    assert pipelines.usb_pipeline(mode, device="/dev/my cam", is_mjpeg=False) == (
        "v4l2src device='/dev/my cam' ! video/x-raw,width=640,height=480,framerate=15/1 ! "
        "videoconvert ! video/x-raw,format=RGB"
    )


@pytest.mark.parametrize(
    "text", ["", "640x480", "640x480@", "x480@30", "640x480@30.5", "642x480@30", "640x481@30", "0x0@30", "640x480@0"]
)
def test_mode_that_gstreamer_would_pad_or_refuse_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"Fix: use 1280x720@30"):
        pipelines.Mode.parse(text)


@pytest.mark.parametrize(("sensor", "flip"), [(-1, 0), (0, 1), (0, 8)])
def test_csi_options_out_of_range_are_refused(sensor: int, flip: int) -> None:
    with pytest.raises(InputError, match="Fix: --csi 0 --flip 0"):
        pipelines.csi_pipeline(pipelines.Mode(640, 480, 30), sensor_id=sensor, flip_method=flip)


def test_frames_arrive_whole_and_in_order_while_the_child_prints(tmp_path: Path) -> None:
    child = make_camera(tmp_path, frames=5)
    child.open()

    frames = [child.read() for _ in range(5)]

    assert [int(frame[0, 0, 0]) for frame in frames] == [0, 1, 2, 3, 4]
    assert all(frame.shape == (*SIZE, 3) and (frame == frame[0, 0, 0]).all() for frame in frames)
    with pytest.raises(InputError, match="the pipeline ended"):
        child.read()
    child.close()


def test_newest_frame_is_taken_and_the_camera_released(tmp_path: Path) -> None:
    with sources.LatestFrame(make_camera(tmp_path)) as frames:
        first = frames.take()
        wait_for(lambda: frames.skipped > 3)
        later = frames.take()

    assert later.number > first.number + 3
    assert int(later.rgb[0, 0, 0]) == later.number % 256
    assert not is_running(tmp_path)


def test_child_that_ignores_the_signal_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "STOP_S", 0.2)

    with sources.LatestFrame(make_camera(tmp_path, "deaf")) as frames:
        frames.take()

    assert not is_running(tmp_path)


def test_camera_that_cannot_start_says_why(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"pipeline ended \(ERROR: from element nvarguscamerasrc: No cameras available"),
        sources.LatestFrame(make_camera(tmp_path, "error")) as frames,
    ):
        frames.take()


def test_csi_camera_that_fails_names_the_daemon_to_restart(tmp_path: Path) -> None:
    launcher = make_launcher(tmp_path, "error")
    pipeline = pipelines.csi_pipeline(pipelines.Mode(8, 6, 30))

    with (
        pytest.raises(InputError, match=r"Fix: sudo systemctl restart nvargus-daemon"),
        sources.LatestFrame(sources.GstCamera(pipeline, SIZE, launcher=str(launcher))) as frames,
    ):
        frames.take()


def test_csi_camera_without_the_plugins_of_nvidia_names_their_package(tmp_path: Path) -> None:
    launcher = make_launcher(tmp_path, "no element")
    pipeline = pipelines.csi_pipeline(pipelines.Mode(8, 6, 30))

    with (
        pytest.raises(InputError, match=r"no element.*Fix: sudo apt install nvidia-l4t-gstreamer") as caught,
        sources.LatestFrame(sources.GstCamera(pipeline, SIZE, launcher=str(launcher))) as frames,
    ):
        frames.take()

    assert "nvargus-daemon" not in str(caught.value)


def test_camera_that_delivers_nothing_is_an_error_and_not_a_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "FIRST_FRAME_S", 0.3)

    with (
        pytest.raises(InputError, match="no frame for"),
        sources.LatestFrame(make_camera(tmp_path, "silent")) as frames,
    ):
        frames.take()

    assert not is_running(tmp_path)


def test_missing_gstreamer_is_an_error_with_the_packages_to_install(tmp_path: Path) -> None:
    child = sources.GstCamera("videotestsrc", SIZE, launcher=str(tmp_path / "missing"))

    with pytest.raises(RuntimeUnavailableError, match=r"Fix: sudo apt install gstreamer1\.0-tools"):
        child.open()


class QueueCamera:
    """A camera that delivers what is put into it."""

    def __init__(self) -> None:
        self.items: queue.Queue[object] = queue.Queue()
        self.reads = 0
        self.is_closed = False

    def open(self) -> None:
        pass

    def read(self) -> np.ndarray | None:
        self.reads += 1
        item = self.items.get()
        if isinstance(item, BaseException):
            raise item
        return item

    def stop(self) -> None:
        self.items.put(None)

    def kill(self) -> None:
        self.items.put(None)

    def close(self) -> None:
        self.is_closed = True


def test_slow_reader_gets_the_newest_frame_and_a_count_of_the_others() -> None:
    fake = QueueCamera()
    with sources.LatestFrame(fake) as frames:
        for value in range(4):
            fake.items.put(np.full((*SIZE, 3), value, np.uint8))
        wait_for(lambda: fake.reads == 5)  # the fifth read starts after the fourth frame was put

        frame = frames.take()

        assert (frame.number, int(frame.rgb[0, 0, 0]), frames.skipped) == (3, 3, 3)
    assert fake.is_closed


def test_frame_is_never_taken_twice() -> None:
    fake = QueueCamera()
    with sources.LatestFrame(fake) as frames:
        for value in range(3):
            fake.items.put(np.full((*SIZE, 3), value, np.uint8))
            assert frames.take().number == value
        assert frames.skipped == 0


def test_frames_before_the_end_are_taken_and_then_none() -> None:
    fake = QueueCamera()
    fake.items.put(np.zeros((*SIZE, 3), np.uint8))
    fake.items.put(None)
    with sources.LatestFrame(fake) as frames:
        wait_for(lambda: fake.is_closed)

        assert frames.take().number == 0
        assert frames.take() is None


def test_failure_of_the_camera_reaches_the_loop() -> None:
    fake = QueueCamera()
    fake.items.put(InputError("unplugged. Fix: plug it in"))

    with pytest.raises(InputError, match="unplugged"), sources.LatestFrame(fake) as frames:
        frames.take()


@pytest.mark.skipif(not HAS_GSTREAMER, reason="needs gst-launch-1.0 of GStreamer")
def test_real_gstreamer_delivers_its_test_picture() -> None:
    mode = pipelines.Mode(64, 48, 30)
    with sources.LatestFrame(sources.GstCamera(pipelines.pattern_pipeline(mode), (48, 64))) as frames:
        pictures = [frames.take().rgb for _ in range(3)]

    for picture in pictures:  # a white ball on black
        assert picture.max() == 255
        assert np.median(picture) == 0
    assert (pictures[0] != pictures[2]).any()


def test_rate_counts_frames_since_the_last_line() -> None:
    rate = camera.Rate(started_s=10.0)
    for index in range(30):
        rate.add(10.0 + index / 30, 10.0 + index / 30 + 0.02)

    assert not rate.is_due(10.5)
    assert rate.is_due(12.0)
    assert rate.fps == pytest.approx(15.0)
    assert not rate.is_due(12.5)
    assert list(rate.latencies_ms) == pytest.approx([20.0] * 30)


@pytest.mark.parametrize(("elapsed_s", "expected"), [(0.0, 1), (0.03, 1), (1 / 30, 2), (0.1, 4), (1.0, 31)])
def test_frames_of_a_recording_follow_the_clock(elapsed_s: float, expected: int) -> None:
    assert outputs.frames_due(elapsed_s, 30.0) == expected


def test_recording_of_a_slow_loop_keeps_real_time(tmp_path: Path) -> None:
    path = tmp_path / "depth.mp4"
    with outputs.Recording(path, 10.0) as recording:
        for arrived_s in (100.0, 100.3, 100.35, 101.0):
            recording.add(np.full((16, 16, 3), 90, np.uint8), arrived_s)

    assert recording.frames_written == 11
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT) == 11


def test_recording_without_a_frame_leaves_no_file(tmp_path: Path) -> None:
    with outputs.Recording(tmp_path / "depth.mp4", 10.0):
        pass

    assert list(tmp_path.iterdir()) == []


def test_browser_gets_the_picture_that_is_shown() -> None:
    picture = np.full((16, 24, 3), (250, 20, 30), np.uint8)
    with outputs.BrowserView(("127.0.0.1", 0)) as view:
        base = f"http://{view.address[0]}:{view.address[1]}"
        assert not view.is_watched
        assert b'src="/stream"' in urllib.request.urlopen(f"{base}/", timeout=PATIENCE_S).read()
        with urllib.request.urlopen(f"{base}/stream", timeout=PATIENCE_S) as stream:
            wait_for(lambda: view.is_watched)
            view.show(picture)
            assert stream.readline() == b"--frame\r\n"
            assert stream.readline() == b"Content-Type: image/jpeg\r\n"
            length = int(stream.readline().split()[1])
            stream.readline()
            jpeg = np.frombuffer(stream.read(length), np.uint8)

    decoded = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)[..., ::-1].astype(int)
    assert np.abs(decoded - picture).max() <= 4  # JPEG of one flat colour at quality 80
    wait_for(lambda: not view.is_watched)


def test_other_pages_do_not_exist() -> None:
    with outputs.BrowserView(("127.0.0.1", 0)) as view, pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"http://127.0.0.1:{view.address[1]}/etc/passwd", timeout=PATIENCE_S)


def test_port_in_use_is_an_error_in_one_line() -> None:
    with (
        outputs.BrowserView(("127.0.0.1", 0)) as view,
        pytest.raises(OutputError, match=r"cannot listen on 127\.0\.0\.1:"),
        outputs.BrowserView(view.address),
    ):
        pass


@pytest.mark.parametrize(("text", "expected"), [("8080", ("127.0.0.1", 8080)), ("0.0.0.0:80", ("0.0.0.0", 80))])
def test_port_alone_serves_this_machine_only(text: str, expected: tuple[str, int]) -> None:
    assert outputs.parse_address(text) == expected


@pytest.mark.parametrize("text", ["", "host", "host:", "1:99999", "-1"])
def test_address_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"Fix: use 8080"):
        outputs.parse_address(text)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    write_tiny_bundle(tmp_path / "tiny", sizes=((32, 32),))
    return tmp_path / "tiny"


def run_camera(arguments: list[str], folder: Path) -> subprocess.Popen[str]:
    """The example as a program, with the stand-in for gst-launch-1.0 first on the path."""
    environment = os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, str(JETSON / "camera.py"), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def test_loop_predicts_prints_and_records_up_to_its_limit(tmp_path: Path, bundle: Path) -> None:
    make_launcher(tmp_path)
    arguments = ["--bundle", str(bundle), "--mode", "32x24@30", "--max-frames", "12"]

    child = run_camera([*arguments, "--record", str(tmp_path / "out.mp4")], tmp_path)
    text, errors = child.communicate(timeout=PATIENCE_S)

    assert child.returncode == 0, errors
    assert text.splitlines()[-1].startswith("12 frames in ")
    video = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    assert (video.get(cv2.CAP_PROP_FRAME_WIDTH), video.get(cv2.CAP_PROP_FRAME_HEIGHT)) == (64, 24)
    assert not is_running(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_loop_in_order(tmp_path: Path, bundle: Path, number: signal.Signals) -> None:
    make_launcher(tmp_path)
    video = tmp_path / "out.mp4"
    arguments = ["--bundle", str(bundle), "--mode", "32x24@30", "--record", str(video)]
    with run_camera(arguments, tmp_path) as child:
        assert child.stdout is not None
        first = child.stdout.readline()

        child.send_signal(number)
        text, errors = child.communicate(timeout=PATIENCE_S)

    assert " fps, latency " in first
    assert "[ort/onnx-fp32-32x32]" in first or "[openvino/onnx-fp32-32x32]" in first
    assert child.returncode == 0, errors
    assert "stopped" in text
    assert errors == ""
    assert cv2.VideoCapture(str(video)).get(cv2.CAP_PROP_FRAME_COUNT) > 0
    assert not is_running(tmp_path)


@pytest.fixture
def no_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GStreamer is there, cameras are not."""
    make_launcher(tmp_path, "error")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # that of the test process stays


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--mode", "7x7@7"], "camera mode"),
        (["--bundle", "no/such/bundle"], "no/such/bundle"),
        (["--usb", "/dev/video9"], "No cameras available"),
    ],
)
@pytest.mark.usefixtures("no_camera")
def test_failure_is_one_line_and_status_2(
    bundle: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], reason: str
) -> None:
    assert camera.main(["--bundle", str(bundle), *arguments]) == 2

    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert reason in errors
    assert errors.count("\n") == 1


def test_camera_is_the_csi_one_unless_another_is_asked_for() -> None:
    asked = {
        (): "nvarguscamerasrc sensor-id=0",
        ("--csi", "1"): "nvarguscamerasrc sensor-id=1",
        ("--usb", "/dev/video2"): "v4l2src device=/dev/video2",
        ("--pattern",): "videotestsrc",
    }

    for arguments, source in asked.items():
        opened, mode = camera.open_camera(camera.parse(arguments))

        assert opened._pipeline.startswith(source)
        assert (mode.width, mode.height, mode.fps) == (1280, 720, 30)


def test_importing_the_examples_needs_neither_gstreamer_nor_a_runtime() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(JETSON)!r}); import camera; "
        "loaded = {'gi', 'onnxruntime', 'openvino', 'torch'} & set(sys.modules); sys.exit(len(loaded))"
    )

    subprocess.run([sys.executable, "-c", code], check=True, env={"PATH": ""})
