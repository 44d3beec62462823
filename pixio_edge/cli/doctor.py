"""`pixio-edge doctor`: this host, its runtimes, and why each is or is not usable."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pixio_edge.cli.console import print_json, print_table
from pixio_edge.cli.options import JsonOption, examples
from pixio_edge.errors import CheckFailedError, RuntimeUnavailableError

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

    Exit status 1 when nothing can run, or nothing of a bundle, and 2 when a bundle is damaged.
    """
    from pixio_edge.bundle import Bundle, list_embedded
    from pixio_edge.env import VARIABLES
    from pixio_edge.host import probe_host

    host = probe_host()
    bundles = [Bundle.open(name) for name in ([bundle] if bundle else list_embedded())]
    report: dict[str, Any] = {
        "host": host.to_json(),
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
            row |= open_once(name, bundles, status.reason)
        rows.append(row)
    return rows


def open_once(runtime: str, bundles: list[Bundle], reason: str) -> dict[str, Any]:
    """Open the first artifact that a runtime takes; an installed package can still be broken.

    Raises:
        BundleError: The artifact is damaged, which says nothing about the runtime.
    """
    from pixio_edge.runtimes.base import RuntimeOptions
    from pixio_edge.runtimes.registry import list_providers, make_runtime

    artifact = next((item for item in candidates(bundles) if runtime in item[1].requires.runtimes), None)
    verified = artifact[0].read_artifact(artifact[1]) if artifact is not None else None
    try:
        row: dict[str, Any] = {"providers": list(list_providers(runtime))}
        if verified is None:
            return row | {"reason": f"{reason}; no artifact here is for it"}
        with make_runtime(runtime, verified, RuntimeOptions(precision=verified.entry.computes_in)) as opened:
            return row | {"device": opened.info().device}
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

    record: dict[str, Any] = {"bundle": bundle.manifest.model.name, "folder": str(bundle.folder)}
    try:
        resolution = resolve(bundle.artifacts, host, RuntimeRequest())
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
    print(f"gpu       {', '.join(host['gpus']) or 'none found'}")
    print(f"packages  {', '.join(f'{name} {version}' for name, version in host['packages'].items())}\n")
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


def print_choice(bundle: dict[str, Any]) -> None:
    """Print what would run of one bundle, and why not the rest."""
    print(f"\nbundle {bundle['bundle']} ({bundle['folder']})")
    if bundle["runtime"] is None:
        print(f"  nothing runs: {bundle['reason']}")
        return
    print(f"  runs {', '.join(bundle['artifacts'])} in {bundle['runtime']}, {bundle['precision']}")
    for item in bundle["rejected"]:
        print(f"  not {item['artifact']} in {item['runtime']}: {item['reason']}")
