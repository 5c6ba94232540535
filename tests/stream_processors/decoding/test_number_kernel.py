"""Numbers of JSON text against float()."""

from __future__ import annotations

import math
import random
import struct

import numba
import numpy as np
import pytest

from contracts.columns import F64, I64, U8
from stream_processors.decoding.number_kernel import scan_number, to_double


@numba.njit
def _read_all(buffer: U8, start: I64, out: F64) -> None:
    for i in range(len(out)):
        end = start[i + 1]
        p, negative, mantissa, power, _ = scan_number(buffer, start[i], end)
        value = to_double(mantissa, power) if p == end else -1.0
        out[i] = np.nan if value < 0 else -value if negative else value


def read(texts: list[str]) -> F64:
    """What the kernel reads; NaN where it declines."""
    start = np.cumsum([0] + [len(text) for text in texts])
    out = np.zeros(len(texts))
    _read_all(np.frombuffer("".join(texts).encode(), np.uint8), start, out)
    return out


def assert_exact(texts: list[str]) -> float:
    """Every number that was read has the bits of float(text); the share that was declined."""
    got = read(texts)
    expected = np.array([float(text) for text in texts])
    taken = ~np.isnan(got)
    wrong = np.flatnonzero(taken & (got.view(np.int64) != expected.view(np.int64)))
    assert not len(wrong), [(texts[i], got[i], expected[i]) for i in wrong[:5]]
    return 1 - taken.mean()


def test_shortest_representations() -> None:
    """The repr of any normal double reads back as that double, and none is declined."""
    rng = random.Random(1)
    doubles = [struct.unpack("d", struct.pack("Q", rng.getrandbits(64)))[0] for _ in range(200_000)]
    doubles = [x for x in doubles if math.isfinite(x) and abs(x) >= 2.3e-308]
    assert assert_exact([repr(x) for x in doubles]) == 0


def test_seventeen_digits() -> None:
    """Seventeen digits of any normal double read back as that double, in plain and in scientific notation."""
    rng = random.Random(2)
    doubles = [rng.gauss(0, 1) * 10.0 ** rng.randint(-250, 250) for _ in range(100_000)]
    assert assert_exact([f"{x:.16e}" for x in doubles]) == 0
    assert assert_exact([f"{rng.gauss(0, 1000):.14f}" for _ in range(100_000)]) == 0


def test_any_mantissa_and_power() -> None:
    """Mantissas of 1 to 19 digits with powers of ten over the whole range are exact wherever they are taken."""
    rng = random.Random(3)
    texts = [f"{rng.randrange(10 ** rng.randint(1, 19))}e{rng.randint(-345, 310)}" for _ in range(200_000)]
    assert assert_exact(texts) < 0.12


def test_halfway_cases() -> None:
    """Integers and binary fractions exactly between two doubles, and their neighbours, round to even as float() does."""
    rng = random.Random(4)
    texts = []
    for _ in range(50_000):
        middle = (rng.getrandbits(53) | 2**52) * 2 + 1  # 54 bits: halfway between two doubles
        shifted = middle << rng.randint(0, 9)
        texts += [str(shifted + near) for near in (-1, 0, 1)]
        small = ((rng.getrandbits(53) | 2**52) * 2 + 1) * 5 ** (k := rng.randint(0, 3))  # middle / 2**k, as digits and a power of ten
        texts.append(f"{small}e-{k}")
    assert assert_exact(texts) < 0.001


def test_edges() -> None:
    """Zeros, the borders of exactness, subnormals and overflow are exact or declined."""
    texts = [
        "0",
        "0.0",
        "0e400",
        "0.000000000000000000000000001",
        "9007199254740992",
        "9007199254740993",
        "9007199254740993e22",
        "1e22",
        "1e23",
        "1e-22",
    ]
    texts += [
        "1.7976931348623157e308",
        "1.7976931348623159e308",
        "2e308",
        "2.2250738585072014e-308",
        "2.2250738585072011e-308",
        "5e-324",
        "1e-400",
    ]
    texts += ["9999999999999999999", "9223372036854775808", "0.30000000000000004", "123456789012345678901", "1" * 400, "1e0009"]
    assert_exact(texts)
    assert not np.isnan(read(["0", "1e23", "2.2250738585072014e-308", "9999999999999999999", "1.7976931348623157e308"])).any()


@pytest.mark.parametrize(
    "text", ["-", "+1", "01", "00.1", ".5", "1.", "1.e1", "1e", "1e+", "e1", "--1", "1x", "0x1", "1_0", "1e00001", " 1"]
)
def test_not_a_number(text: str) -> None:
    """Text that is no JSON number is not read as one."""
    assert np.isnan(read([text])[0])
