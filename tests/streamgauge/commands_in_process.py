"""Commands run within the test's own process, which has imported everything already."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import NamedTuple

from contracts.settings import Servers
from streamgauge.command_line import run


class Done(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str


def command(arguments: Sequence[str], servers: Servers | None = None, redis: bool = True) -> Done:
    """Runs ``streamgauge ARGUMENTS…``, pointed at servers where given."""
    options = [] if servers is None else ["--kafka", servers.kafka.address, *(["--redis", servers.redis] if redis else [])]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = run([*arguments, *options])
        except SystemExit as end:
            code = int(end.code or 0)
    return Done(code, out.getvalue(), err.getvalue())
