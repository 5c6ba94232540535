"""What someone needs to know of a model that has left the house, as Markdown and as the metadata of its file."""

from __future__ import annotations

import msgspec

from contracts.definition import Classification, Feed
from contracts.records import Snapshot
from training.onnx_export import CHECKED


def card_metadata(feed: Feed, snapshot: Snapshot) -> dict[str, str]:
    """Facts by name; `features` and `classes` one a line, in the order of input and output."""
    target = feed.target
    assert target is not None
    facts = {
        "feed": feed.name,
        "version": snapshot.version,
        "target": target.name,
        "definition": snapshot.definition,
        "features": "\n".join(snapshot.features),
        "precision": "float64",
        "request": snapshot.request or "",
    }
    if isinstance(target, Classification):
        return facts | {"classes": "\n".join(target.classes)}
    return facts | {"unit": target.unit} | ({} if snapshot.half_width is None else {"half_width": f"{snapshot.half_width!r}"})


def model_card(feed: Feed, snapshot: Snapshot, difference: float) -> str:
    """The card of an exported version; `difference` is what `check_onnx` found."""
    target = feed.target
    assert target is not None
    what = (
        f"probabilities of {', '.join(target.classes)}" if isinstance(target, Classification) else f"{target.name} ({target.unit or '1'})"
    )
    pin = snapshot.pin
    lines = [
        f"# {feed.name} {snapshot.version}",
        "",
        f"Predicts {what} from {len(snapshot.features)} features of one device of the feed `{feed.name}`, "
        "computed by streamgauge from its events.",
        "",
        f"- input `vector`: float64 (n, {len(snapshot.features)}), features in the order below; NaN where one is missing",
        f"- output `prediction`: float64 (n, {snapshot.outputs})",
        f"- {CHECKED} vectors predicted with onnxruntime differ from the original by at most {difference:.3g}",
        f"- definition `{snapshot.definition}`, request `{snapshot.request}`",
    ]
    if snapshot.half_width is not None:
        lines.append(f"- nine tenths of the held-out errors lie within ±{snapshot.half_width:.6g}")
    if pin is not None:
        lines.append(f"- data: events up to offsets {', '.join(f'{p}: {end}' for p, (_, end) in sorted(pin.offsets.items()))}")
        if pin.examples and pin.left_out is not msgspec.UNSET:
            left_out = f"; spans of {len(pin.left_out)} confirmed incidents left out" if pin.left_out else ""
            lines.append(f"- trained on examples {pin.examples[0]} to {pin.examples[1]}{left_out}")
    lines += ["", "## Held-out metrics", "", "| metric | value |", "|---|---|"]
    lines += [f"| {name} | {value:.6g} |" for name, value in snapshot.metrics.items()]
    lines += ["", "## Parameters", "", "| parameter | value |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in snapshot.parameters.items()]
    lines += ["", "## Limits", ""]
    lines.append("Valid for the definition named above and for data like that of training: the deciles below. It does not learn any more.")
    lines += ["", "## Features", "", "| place | feature | missing in training | deciles |", "|---|---|---|---|"]
    for place, name in enumerate(snapshot.features):
        seen = snapshot.reference.get(name)
        shown = f"{seen.missing:.1%} | {', '.join(f'{edge:.4g}' for edge in seen.edges)}" if seen else "not used | "
        lines.append(f"| {place} | `{name}` | {shown} |")
    return "\n".join(lines) + "\n"
