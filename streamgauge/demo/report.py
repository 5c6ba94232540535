"""The demo's report: planted beside found, for people and as JSON."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from contracts.event_time import format_event_time
from contracts.records import Alert
from streamgauge.demo.latency import alert_latencies, percentiles, served_latencies
from streamgauge.demo.learning import learning_report
from streamgauge.demo.matching import Found, counters_agree, false_incidents, match
from streamgauge.demo.run import Outcome
from streamgauge.demo.water import labelled_anomalies

TOTALS = ("read", "folded", "duplicate", "late", "dead_lettered")


class Report:
    """What a run came to."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome
        plan = outcome.simulation.plan
        self._alerts = [alert for alert, _ in outcome.alerts["pumps"]]
        self.agree = counters_agree(plan.expected, outcome.statuses["pumps"]["totals"])
        self.found = match(plan.planted, self._alerts, self.agree)
        self.false = false_incidents(plan.planted, self._alerts)

    def as_json(self) -> dict[str, Any]:
        """The report of docs/demo.md; times are ISO 8601."""
        outcome = self._outcome
        totals = {name: status["totals"] for name, status in outcome.statuses.items()}
        return {
            "feeds": {
                name: {key: totals[name][key] for key in TOTALS} | {"balanced": status["balanced"]}
                for name, status in outcome.statuses.items()
            },
            "planted": [self._planted(item) for item in self.found],
            "incidents": sum(alert.status == "opened" for alert in self._alerts),
            "false_incidents": len(self.false),
            "retrain_requests": outcome.learning.requests,
            "latency_ms": {
                "event_to_served": percentiles(served_latencies(outcome.seen, outcome.handed_over)),
                "event_to_alert": percentiles(alert_latencies(outcome.alerts["pumps"], outcome.handed_over)),
            },
            "faults": outcome.faults._asdict(),
            "events_per_second": round(outcome.live_events / outcome.live_seconds, 1),
            "verify": outcome.verdict,
            "learning": learning_report(outcome.feed, outcome.learning, outcome.simulation.plan.planted, outcome.live_start),
        }

    def _planted(self, item: Found) -> dict[str, Any]:
        planted, alert = item.planted, item.alert
        cadence_events = None
        if alert is not None:
            cadence_events = sum(
                1 for entity, at in self._outcome.handed_over if entity == planted.entity and planted.start <= at <= alert.event_time
            )
        return {
            "kind": planted.kind,
            "entity": planted.entity,
            "field": planted.field,
            "size_sigma": planted.size_sigma,
            "at": format_event_time(planted.start),
            "found": item.found,
            "found_at": format_event_time(alert.event_time) if alert else None,
            "incident": alert.incident if alert else None,
            "delay_events": cadence_events if planted.entity else None,
        }

    def show(self, console: Console) -> None:
        """Tables for people."""
        table = Table(title="planted and found", title_justify="left")
        for column in ("fault", "where", "field", "σ", "planted", "found", "how"):
            table.add_column(column)
        for item in sorted(self.found, key=lambda f: f.planted.start):
            table.add_row(*_row(item))
        console.print(table)
        for alert in self.false:
            console.print(
                f"[yellow]false incident:[/] {format_event_time(alert.event_time)} {alert.kind} {alert.sentence}", highlight=False
            )
        console.print(self._water())
        console.print(self._rollouts())
        self._figures(console)

    def _water(self) -> Table:
        """Water's incidents beside its labelled anomalies; not counted, as nobody promised them."""
        table = Table(title="water network: labelled anomalies and incidents", title_justify="left")
        for column in ("when", "labelled", "incident"):
            table.add_column(column)
        rows = [(first, f"{what}, {(last - first) // 3_600_000_000 + 1} h", "") for what, first, last in labelled_anomalies()]
        rows += [
            (alert.event_time, "", f"{alert.kind}: {alert.sentence}")
            for alert, _ in self._outcome.alerts["water"]
            if alert.status == "opened"
        ]
        if not any(incident for _, _, incident in rows):
            table.caption, table.caption_justify = "no incident: none is evident enough for the feed's budget", "left"
        for at, label, incident in sorted(rows):
            table.add_row(format_event_time(at)[:16], label, incident)
        return table

    def _rollouts(self) -> Table:
        """What became of each version of the pumps' model, and why."""
        table = Table(title="versions of the model that predicts the pumps' power", title_justify="left")
        for column in ("when", "version", "is now", "why"):
            table.add_column(column)
        for rollout in self._outcome.learning.models.rollouts:
            table.add_row(format_event_time(rollout.event_time)[:16], rollout.version, rollout.stage.replace("_", " "), rollout.why)
        return table

    def _figures(self, console: Console) -> None:
        report = self.as_json()
        for name, feed in report["feeds"].items():
            counts = ", ".join(f"{feed[key]:,} {key.replace('_', ' ')}" for key in TOTALS)
            console.print(f"{name}: {counts}; {'balanced' if feed['balanced'] else '[red]NOT BALANCED[/]'}", highlight=False)
        served, alert = report["latency_ms"]["event_to_served"], report["latency_ms"]["event_to_alert"]
        console.print(
            f"live {report['events_per_second']:,} events/s · event to served {served['p50']} ms (p99 {served['p99']}) · "
            f"event to alert {alert['p50']} ms (p99 {alert['p99']})",
            highlight=False,
        )
        faults = report["faults"]
        again = "not before the end" if faults["recovery_s"] is None else f"after {faults['recovery_s']} s"
        console.print(
            f"broken on purpose: {faults['kills']} worker killed, Redis emptied {faults['flushes']} time; served again {again}, which the "
            "99th percentiles above hold",
            highlight=False,
        )
        console.print(_learnt(report["learning"]), highlight=False)
        console.print(
            f"{report['incidents']} incidents, {report['false_incidents']} of them false · {report['retrain_requests']} retrain requests · "
            f"folded again: [bold]{report['verify']}[/]",
            highlight=False,
        )


def _learnt(learning: dict[str, Any]) -> str:
    """One line about labels, versions and errors; what has not come about is left out."""
    during = (
        f", {learning['mae_during']} until {learning['champion']} took over" if learning["promoted"] else ", and no new model took over"
    )
    after = "" if learning["mae_after"] is None else f", {learning['mae_after']} after"
    return (
        f"learning: {learning['labels']['joined']:,} labels joined · {learning['requests']} requests, {learning['trained']} trained, "
        f"{learning['promoted']} promoted, {learning['rolled_back']} rolled back · mean error {learning['mae_before']} before the concept "
        f"changed{during}{after}; without a model {learning['mae_baseline']}"
    )


def _row(item: Found) -> tuple[str, ...]:
    planted, alert = item.planted, item.alert
    how = "counters equal the plan" if planted.judged_by == "counters" else _how(alert or item.late)
    return (
        planted.kind,
        planted.entity or "whole feed",
        planted.field or "",
        "" if planted.size_sigma is None else f"{planted.size_sigma:g}",
        format_event_time(planted.start)[:16],
        "[green]yes[/]" if item.found else ("[yellow]late[/]" if item.late else "[red]no[/]"),
        how if item.found or planted.judged_by == "incident" else "counters differ from the plan",
    )


def _how(alert: Alert | None) -> str:
    return "" if alert is None else f"{format_event_time(alert.event_time)[11:16]} {alert.sentence}"
