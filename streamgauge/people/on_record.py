"""What stands in Kafka and Redis that people's answers are set against."""

from __future__ import annotations

from contracts.definition import Feed
from contracts.settings import Servers
from feature_store.known_entities import Heard, known_entities
from online_model.raised import Raised, raised_incidents
from stream_processors.alert_reader import read_alerts
from stream_processors.waiting import Say, wait_for_redis


def read_raised(feed: Feed, servers: Servers) -> dict[str, Raised]:
    """Incidents by id; raises ServerUnavailable."""
    return raised_incidents(read_alerts([feed], servers.kafka, follow=False))


def read_entities(feed: Feed, servers: Servers, say: Say) -> dict[str, Heard]:
    """Entities of the store; raises ServerUnavailable, SettingsError."""
    wait_for_redis(servers.redis, say=say)
    return known_entities(servers.redis, feed)
