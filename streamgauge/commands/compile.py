"""``streamgauge compile``: compiles the kernels into their on-disk cache, so that the first worker starts at once."""

from __future__ import annotations

import time

import click


@click.command("compile")
def command() -> None:
    """Compile all kernels now; takes a minute on a new machine and a second afterwards."""
    from rich.console import Console

    from streamgauge.warm_up import compile_everything

    console = Console(stderr=True)
    began = time.monotonic()
    with console.status("compiling the kernels (once a machine)…"):
        compile_everything()
    console.print(f"kernels are ready ({time.monotonic() - began:.1f} s)")
