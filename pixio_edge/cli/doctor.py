"""`pixio-edge doctor`: this host, its runtimes, and why each is or is not usable."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixio_edge.cli.console import print_json, print_table
from pixio_edge.cli.options import JsonOption, examples
from pixio_edge.errors import CheckFailedError, PixioEdgeError, RuntimeUnavailableError

if TYPE_CHECKING:
    from pixio_edge.bundle import Bundle
    from pixio_edge.host import Host
    from pixio_edge.manifest import ArtifactEntry

EXAMPLES = examples("pixio-edge doctor", "pixio-edge doctor --bundle path/to/bundle --json")


def doctor(
    bundle: Annotated[
        str | None, typer.Option("--bundle", "-b", help="Bundle to choose for. Default: the embedded ones.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show the host, open each runtime on it, and explain what would be chosen and why everything else would not.

    Versions of GPU driver, CUDA, JetPack, TensorRT and packages that do not go together are named with the fix.

    Exit status 1 when nothing can run, or nothing of a bundle, and 2 when a bundle is damaged.
    """
    from dataclasses import asdict

    from pixio_edge.bundle import Bundle, list_embedded
    from pixio_edge.cli.gpu_checks import describe, find_notes, find_problems, probe_cuda, system_pythons
    from pixio_edge.env import VARIABLES
    from pixio_edge.host import probe_host
    from pixio_edge.kernels.select import describe_kernels

    host = probe_host()
    kernels = describe_kernels()
    cuda = probe_cuda(host)
    bundles = [Bundle.open(name) for name in ([bundle] if bundle else list_embedded())]
    report: dict[str, Any] = {
        "host": host.to_json(),
        "gpu": describe(host, cuda),
        "kernels": {"usable": kernels[0], "reason": kernels[1]},
        "problems": [asdict(problem) for problem in find_problems(host, cuda, system_pythons())],
        "notes": list(find_notes(host, cuda)),
        "runtimes": try_runtimes(host, bundles),
        "bundles": [choose(opened, host) for opened in bundles],
        "environment": [{"name": item.name, "default": item.default, "meaning": item.meaning} for item in VARIABLES],
    }
    if json:
        print_json(report)
    else:
        print_report(report)
    stuck = [choice["bundle"] for choice in report["bundles"] if choice["runtime"] is None]
    if stuck:
        raise CheckFailedError(f"nothing in bundle {', '.join(stuck)} can run on this host. Fix: see the reasons above")


def try_runtimes(host: Host, bundles: list[Bundle]) -> list[dict[str, Any]]:
    """Say for each runtime whether its package is there and, if a bundle has something for it, whether that opens."""
    from pixio_edge.runtimes.registry import runtime_status

    rows = []
    for name, status in runtime_status(host).items():
        row: dict[str, Any] = {"runtime": name, "usable": status.usable, "reason": status.reason}
        row |= {"device": None, "providers": []}
        if status.usable:
            row |= open_once(name, bundles, status.reason, host)
        rows.append(row)
    return rows


def open_once(runtime: str, bundles: list[Bundle], reason: str, host: Host) -> dict[str, Any]:
    """Open the first artifact that a runtime takes; an installed package can still be broken.

    Of artifacts that run as engines built here, it is the first that was built.

    Raises:
        BundleError: The artifact is damaged, which says nothing about the runtime.
    """
    from pixio_edge.runtimes.base import RuntimeOptions
    from pixio_edge.runtimes.built import BUILD_FIX, ENGINE_RUNTIMES, probe_engines
    from pixio_edge.runtimes.registry import list_providers, make_runtime

    suitable = [item for item in candidates(bundles) if runtime in item[1].requires.runtimes]
    missing = "no artifact here is for it"
    if suitable and runtime in ENGINE_RUNTIMES:
        missing = f"no engine was built on this host. {BUILD_FIX}"
        engines = probe_engines([artifact for _, artifact in suitable], host, runtime=runtime)
        suitable = [item for item in suitable if engines[runtime, item[1].name].absence is None]
    artifact = next(iter(suitable), None)
    verified = artifact[0].read_artifact(artifact[1]) if artifact is not None else None
    try:
        row: dict[str, Any] = {"providers": list(list_providers(runtime))}
        if verified is None:
            return row | {"reason": f"{reason}; {missing}"}
        with make_runtime(runtime, verified, RuntimeOptions(precision=verified.entry.computes_in)) as opened:
            return row | {"device": opened.info().device}
    except PixioEdgeError as error:
        return {"usable": False, "reason": str(error)}
    except Exception as error:  # a diagnosis has to survive whatever a half-installed engine raises
        return {"usable": False, "reason": f"{type(error).__name__}: {error}"}


def candidates(bundles: list[Bundle]) -> Iterator[tuple[Bundle, ArtifactEntry]]:
    """Every artifact with its bundle."""
    for bundle in bundles:
        for artifact in bundle.artifacts:
            yield bundle, artifact


def choose(bundle: Bundle, host: Host) -> dict[str, Any]:
    """What would run of a bundle, and every rejected pair with its reason."""
    from pixio_edge.resolve import RuntimeRequest, resolve
    from pixio_edge.runtimes.built import probe_engines

    record: dict[str, Any] = {"bundle": bundle.manifest.model.name, "folder": str(bundle.folder)}
    try:
        resolution = resolve(bundle.artifacts, host, RuntimeRequest(), probe_engines(bundle.artifacts, host))
    except RuntimeUnavailableError as error:
        return record | {"runtime": None, "reason": str(error), "artifacts": [], "rejected": []}
    return record | {
        "runtime": resolution.runtime,
        "precision": resolution.precision,
        "artifacts": [artifact.name for artifact in resolution.ladder],
        "rejected": [
            {"artifact": item.artifact, "runtime": item.runtime, "reason": item.reason} for item in resolution.rejected
        ],
    }


def print_report(report: dict[str, Any]) -> None:
    """Print the report for a person."""
    host = report["host"]
    cores = f"{host['physical_cores']} cores, {host['logical_cores']} threads, {host['usable_cores']} used by default"
    print(f"host      {host['os']} {host['arch']}, Python {host['python']}")
    print(f"cpu       {host['cpu']}: {cores}; {' '.join(host['isa']) or 'instruction sets unknown'}")
    print(f"memory    {host['ram_mib'] or 'unknown'} MiB")
    print(f"gpu       {describe_gpu(host, report['gpu'])}")
    kernels = report["kernels"]
    print(f"kernels   {'usable' if kernels['usable'] else 'not used'}: {kernels['reason']}")
    print(f"packages  {', '.join(f'{name} {version}' for name, version in host['packages'].items())}\n")
    for problem in report["problems"]:
        print(f"problem   {problem['what']}. Fix: {problem['fix']}")
    for note in report["notes"]:
        print(f"note      {note}")
    if report["problems"] or report["notes"]:
        print()
    rows = [
        (
            row["runtime"],
            "yes" if row["usable"] else "no",
            row["device"] or "-",
            ", ".join(row["providers"]) or "-",
            row["reason"],
        )
        for row in report["runtimes"]
    ]
    print_table(("runtime", "usable", "default device", "providers", "why"), rows)
    for bundle in report["bundles"]:
        print_choice(bundle)


def describe_gpu(host: dict[str, Any], gpu: dict[str, Any]) -> str:
    """GPUs with their compute capability, and the versions of what is below them, on one line."""
    names = [f"{item['name']} (SM {item['sm']})" for item in gpu["gpus"]] or host["gpus"]
    versions = {
        "JetPack": gpu["jetpack"],
        "Jetson Linux": gpu["l4t"],
        "driver": gpu["driver"],
        "driver for CUDA": gpu["cuda_driver"],
        "CUDA runtime": gpu["cuda_runtime"],
        "CUDA toolkit": gpu["cuda_toolkit"],
        "TensorRT": gpu["tensorrt"],
    }
    return "; ".join(
        [", ".join(names) or "none found", *(f"{name} {value}" for name, value in versions.items() if value)]
    )


def print_choice(bundle: dict[str, Any]) -> None:
    """Print what would run of one bundle, and why not the rest."""
    print(f"\nbundle {bundle['bundle']} ({bundle['folder']})")
    if bundle["runtime"] is None:
        print(f"  nothing runs: {bundle['reason']}")
        return
    print(f"  runs {', '.join(bundle['artifacts'])} in {bundle['runtime']}, {bundle['precision']}")
    # The sizes of a ladder mostly fail for one reason, which is said once.
    alike: dict[tuple[str, str], list[str]] = {}
    for item in bundle["rejected"]:
        alike.setdefault((item["runtime"], item["reason"]), []).append(item["artifact"])
    for (runtime, reason), names in alike.items():
        print(f"  not {', '.join(names)} in {runtime}: {reason}")
