"""Runs, plots and versions in MLflow, for people to look at. `<feed>.models` is the truth: nothing is ever read from here to serve."""

from __future__ import annotations

import base64
import os
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from contracts.definition import Feed
from contracts.errors import SettingsError
from contracts.records import RetrainRequest, Snapshot
from online_model.online_predictor import COMPILED
from online_model.predictor_bytes import predictor_from_bytes
from stream_processors.trainer.held_out_plots import save_plots
from training.model_card import card_metadata, model_card
from training.onnx_export import check_onnx, export_onnx
from training.search import Trained, environment

URI_VARIABLE = "MLFLOW_TRACKING_URI"
REQUEST, VERSION = "streamgauge.request", "streamgauge.version"  # tags by which a run is found again after a restart
FAMILY = "streamgauge.family"  # tag that says how a registered version is read
CHAMPION, CHALLENGER = "champion", "challenger"  # aliases
REQUIREMENTS = ["onnx", "onnxruntime>=1.20", "numpy"]  # of a registered model; left to MLflow, it would load the model to find out


def _mlflow() -> Any:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # what is trained here is nobody else's business
    try:
        import mlflow
        import mlflow.onnx
    except ImportError as error:
        raise SettingsError(
            f"the trainer tracks its runs in MLflow ({error}); install it with: pip install 'streamgauge[training]'"
        ) from error
    return mlflow


class MlflowTracking:
    """One experiment and one registered model a feed, named after it.

    Args:
        feeds: those that are trained.
        directory: of the SQLite file and the artifacts, where MLFLOW_TRACKING_URI names no server.

    Raises:
        SettingsError: MLflow is not installed.
    """

    def __init__(self, feeds: list[Feed], directory: Path) -> None:
        self._mlflow = _mlflow()
        self._feeds = {feed.name: feed for feed in feeds}
        uri = os.environ.get(URI_VARIABLE)
        self._artifacts: str | None = None
        if not uri:
            database = directory.resolve() / "mlflow.db"
            if not database.exists():
                self._make(database)
            uri = f"sqlite:///{database}"
            self._artifacts = (directory.resolve() / "artifacts").as_uri()
        self.uri = uri
        self._mlflow.set_tracking_uri(uri)
        self._client = self._mlflow.MlflowClient()

    def _make(self, database: Path) -> None:
        """Whole or not at all: of a database that was begun MLflow says for ever that tables which it wants to make are there already."""
        database.parent.mkdir(parents=True, exist_ok=True)
        begun = database.with_name(f"{database.name}.begun-{os.getpid()}")
        begun.unlink(missing_ok=True)  # of a process that had the same number
        self._mlflow.MlflowClient(f"sqlite:///{begun}").search_experiments(max_results=1)
        if not database.exists():  # by another trainer meanwhile
            begun.replace(database)

    def record(self, snapshot: Snapshot, trained: Trained, request: RetrainRequest, examples: tuple[int, int]) -> None:
        """A run of the request with one nested for each candidate; the version registered with the alias `challenger`, once."""
        assert request.pin is not None
        feed = self._feeds[request.pin.feed]
        experiment = self._experiment(feed)
        found = self._client.search_runs([experiment], f"tags.`{REQUEST}` = '{request.id}'", max_results=100)
        if any(run.info.status == "FINISHED" for run in found):
            return
        for run in found:
            self._client.set_terminated(run.info.run_id, "KILLED")
            self._client.delete_tag(run.info.run_id, REQUEST)
        with self._mlflow.start_run(
            experiment_id=experiment, run_name=snapshot.version, tags={REQUEST: request.id, VERSION: snapshot.version}
        ):
            self._mlflow.log_params(
                snapshot.parameters | {"definition": snapshot.definition, "examples": f"{examples[0]} to {examples[1]}"}
            )
            self._mlflow.log_metrics(snapshot.metrics)
            self._mlflow.log_dict(msgspec.to_builtins(request), "request.json")
            self._mlflow.log_dict(environment(), "environment.json")
            for tried in trained.tried:
                with self._mlflow.start_run(
                    experiment_id=experiment, nested=True, run_name=" ".join(tried.candidate.parameters().values())
                ):
                    self._mlflow.log_params(tried.candidate.parameters())
                    if np.isfinite(tried.loss):
                        self._mlflow.log_metric("fold_loss", tried.loss)
            with tempfile.TemporaryDirectory() as directory:
                save_plots(*trained.held_out, Path(directory))
                self._mlflow.log_artifacts(directory, "held_out")
            self._register(feed, snapshot)

    def follow(self, feed: Feed, champion: Snapshot | None, challenger: Snapshot | None) -> bool:
        """The aliases `champion` and `challenger` name these versions, and are removed where there is none.

        A version that learns online is not in MLflow, so an alias for it is removed as well; nothing is written that is right already.

        Returns:
            Whether every trained version of the two is registered; another call is needed where not.
        """
        wanted = {CHAMPION: champion, CHALLENGER: challenger}
        trained = {alias: snapshot for alias, snapshot in wanted.items() if snapshot is not None and snapshot.request is not None}
        found = self._client.search_registered_models(f"name = '{feed.name}'")
        if not found:
            return not trained
        registered = self._registered(feed)
        aliases = self._client.get_registered_model(feed.name).aliases
        for alias in wanted:
            version = registered.get((trained[alias].version, trained[alias].request)) if alias in trained else None
            if version is not None and str(aliases.get(alias)) != version:
                self._client.set_registered_model_alias(feed.name, alias, version)
            elif version is None and alias in aliases:
                self._client.delete_registered_model_alias(feed.name, alias)
        return all((snapshot.version, snapshot.request) in registered for snapshot in trained.values())

    def _registered(self, feed: Feed) -> dict[tuple[str | None, str | None], str]:
        """(version, request) -> MLflow's number of it."""
        known = self._client.search_model_versions(f"name = '{feed.name}'")
        return {(version.tags.get(VERSION), version.tags.get(REQUEST)): str(version.version) for version in known}

    def _experiment(self, feed: Feed) -> str:
        name = f"streamgauge/{feed.name}"
        found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id if found else self._client.create_experiment(name, self._artifacts))

    def _register(self, feed: Feed, snapshot: Snapshot) -> None:
        if number := self._registered(feed).get((snapshot.version, snapshot.request)):
            self._client.set_registered_model_alias(feed.name, CHALLENGER, number)
            return
        source, model_id = self._log_onnx(feed, snapshot) if snapshot.family == COMPILED else self._log_state(snapshot)
        if not self._client.search_registered_models(f"name = '{feed.name}'"):
            self._client.create_registered_model(feed.name)
        run = self._mlflow.active_run().info.run_id
        tags = {VERSION: snapshot.version, REQUEST: snapshot.request or "", FAMILY: snapshot.family}
        version = self._client.create_model_version(feed.name, source, run, tags=tags, model_id=model_id)
        self._client.set_registered_model_alias(feed.name, CHALLENGER, version.version)

    def _log_onnx(self, feed: Feed, snapshot: Snapshot) -> tuple[str, str | None]:
        """(URI, MLflow's id) of the model as ONNX with its signature; its card beside it."""
        import onnx
        from mlflow.models import ModelSignature
        from mlflow.types import Schema, TensorSpec

        predictor = predictor_from_bytes(base64.b64decode(snapshot.state), len(snapshot.features), snapshot.outputs)
        data = export_onnx(predictor, len(snapshot.features), card_metadata(feed, snapshot))
        card = model_card(feed, snapshot, check_onnx(data, predictor, len(snapshot.features)))
        self._mlflow.log_text(card, "model_card.md")
        kind = np.dtype(np.float64)
        signature = ModelSignature(
            Schema([TensorSpec(kind, (-1, len(snapshot.features)), "vector")]),
            Schema([TensorSpec(kind, (-1, snapshot.outputs), "prediction")]),
        )
        logged = self._mlflow.onnx.log_model(
            onnx.load_from_string(data), name="model", signature=signature, pip_requirements=REQUIREMENTS, save_as_external_data=False
        )
        return logged.model_uri, logged.model_id

    def _log_state(self, snapshot: Snapshot) -> tuple[str, str | None]:
        """The URI of a model of river's, which has no ONNX form: the snapshot's record, as workers load it."""
        self._mlflow.log_text(msgspec.json.encode(snapshot).decode(), "model/snapshot.json")
        return self._mlflow.get_artifact_uri("model"), None
