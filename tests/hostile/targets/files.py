"""Files that replay, init, backtest and backfill read: an InputError, or rows; and init writes names, never code."""

from __future__ import annotations

import ast
import contextlib
import io
import random
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq

from contracts.definition import Category, Feed, Number
from contracts.errors import DefinitionError, InputError, StreamgaugeError
from contracts.plant import load_plant
from producers.files import Source, choose_columns, find_files
from producers.inference import guess
from producers.plant_text import plant_text
from producers.replay import Replay
from stream_processors.decoding.batches import raw_batch
from stream_processors.decoding.decoder import Decoder
from stream_processors.decoding.frames import columns_from_frame
from streamgauge.backtest.table_files import read_frame
from tests.hostile.target import Target

_FEED = Feed("pumps", entity="pump", time="ts", fields=[Number("temperature"), Category("mode")])
_CSV = [
    b"ts,pump,temperature,mode\n" + b"".join(b"2026-01-01T00:00:%02dZ,p%d,%d.5,run\n" % (i, i % 3, i) for i in range(12)),
    b'ts;pump;temperature;mode\n1767225600;"p;1";1,5;\n1767225601;p1;NaN;idle\n',
    b"\xef\xbb\xbfts\ttemperature\n1767225600123\t1\n1767225601123\t2\n1767225602123\t\n",
    b'time,id,"a ""b""",value\n2026-01-01,x,text,1e3\n2026-01-02,x,other,-\n2026-01-03,x,"line\nbreak",5\n',
]
_PLANTS = [
    b'from streamgauge import Category, Feed, Number\n\npumps = Feed(\n    "pumps",\n    entity="pump",\n    time="ts",\n'
    b'    fields=[Number("temperature", low=-40, high=120), Category("mode", values=["run"])],\n    windows=["1m", "10m"],\n)\n',
    b'from contracts.definition import Feed, Number\na = Feed("a", entity="e", time="t", fields=[Number("x")], lateness="5s")\n'
    b'b = Feed("b", "e", "t", [Number("x", counter=True)], tiles=3, season=None)\n',
]
_NAMES = {"Feed", "Number", "Category"}


class Files(Target):
    """One file, read by every command that reads files."""

    refuses = ()
    suffix: str
    seconds = 4.0

    def begin(self, draw: random.Random) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="hostile-"))

    def take(self, data: bytes, draw: random.Random) -> None:
        path = self._directory / f"data{self.suffix}"
        path.write_bytes(data)
        for read in (self._init, self._replay, self._frame):
            try:
                read(path)
            except InputError as error:
                assert str(path) in str(error) or "no rows" in str(error) or "column" in str(error), f"no file is named: {error}"

    def end(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)

    def _init(self, path: Path) -> None:
        only_names(plant_text(guess(find_files([path])), path.stem))

    def _replay(self, path: Path) -> None:
        decoder = Decoder(_FEED)
        for batch in Replay(_FEED, [path]).batches():
            rows = raw_batch(list(range(len(batch.keys))), [-1] * len(batch.keys), list(batch.keys), list(batch.values))
            assert len(decoder.decode(rows).reason) == len(batch.keys)

    def _frame(self, path: Path) -> None:
        source: Source = find_files([path])[0]
        columns = choose_columns(source, source.open().header, _FEED)
        columns_from_frame(_FEED, read_frame(_FEED, source, columns))


def only_names(text: str) -> None:
    """A plant file as init writes it: one import, one feed, constants; whatever the columns are called, no other code."""
    imported, made = [node for node in ast.parse(text).body if not isinstance(node, ast.Expr)]
    assert isinstance(imported, ast.ImportFrom) and imported.module == "streamgauge"
    assert isinstance(made, ast.Assign) and isinstance(made.value, ast.Call)
    allowed = (ast.Call, ast.Name, ast.Load, ast.Constant, ast.keyword, ast.List)
    for node in ast.walk(made.value):
        assert isinstance(node, allowed), f"init wrote {ast.dump(node)}"
        assert not isinstance(node, ast.Name) or node.id in _NAMES, f"init wrote the name {node.id}"


class CsvFiles(Files):
    name = "csv-files"
    share = 0.03
    suffix = ".csv"
    tokens: ClassVar[list[bytes]] = [
        *b'" , ; \t | \n \r\n "" NaN - 1e999 0x1 2026-01-01 \xff \x00 \xef\xbb\xbf'.split(b" "),
        b'"""\nimport os\n',
        b"'''",
        b"\\",
        b"#",
    ]

    def corpus(self) -> list[bytes]:
        return _CSV


class ParquetFiles(Files):
    name = "parquet-files"
    share = 0.03
    suffix = ".parquet"

    def corpus(self) -> list[bytes]:
        times = pa.array([1_767_225_600_000_000 + i for i in range(9)], pa.timestamp("us", "UTC"))
        table = pa.table({"ts": times, "pump": ["a", "b", None] * 3, "temperature": [1.5, None, float("inf")] * 3, "mode": [True] * 9})
        other = pa.table({"ts": pa.array(range(9), pa.int64()), "temperature": pa.array([1] * 9, pa.int64()), "mode": [b"x"] * 9})
        third = pa.table({"ts": pa.array(["2026-01-01"] * 3), "pump": pa.array([[1], [2], None]), "temperature": [None, None, None]})
        return [_parquet(each) for each in (table, other, third)]


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="none")
    return buffer.getvalue()


class PlantFiles(Target):
    """The definition loader: a DefinitionError with the file, or feeds. A plant is Python, so mutants stay close to one."""

    name = "plant-files"
    share = 0.05
    refuses = (StreamgaugeError,)
    tokens: ClassVar[list[bytes]] = [
        *b'( ) [ ] { } , = " # : \n \t \\ None True -1 1e9 0x Feed Number lambda if def @ * ** ... \xff \x00'.split(b" ")
    ]

    def corpus(self) -> list[bytes]:
        return _PLANTS

    def begin(self, draw: random.Random) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="hostile-"))

    def take(self, data: bytes, draw: random.Random) -> None:
        path = self._directory / "plant.py"
        path.write_bytes(data)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")  # of the compiler, on what mutants look like
            try:
                feeds = load_plant(path)
            except DefinitionError as error:
                assert str(path) in str(error), f"no file is named: {error}"
                raise
        assert feeds
        assert all(isinstance(feed, Feed) for feed in feeds)

    def end(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)


FILE_TARGETS = [CsvFiles, ParquetFiles, PlantFiles]
