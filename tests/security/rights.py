"""The rights of docs/security.md, read from the page and given to users of real servers: what the page says is what is tried."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from kafka.admin import ACL, ACLOperation, ACLPermissionType, ACLResourcePatternType, KafkaAdminClient, ResourcePattern, ResourceType

from contracts.definition import Feed
from contracts.settings import KafkaSettings
from contracts.topics import feed_topics
from tests.doc_pages import ROOT, blocks, rows, section

PAGE = ROOT / "docs/security.md"
_RESOURCES = {"topics": ResourceType.TOPIC, "group": ResourceType.GROUP, "transactional ids": ResourceType.TRANSACTIONAL_ID}
_OPERATIONS = {
    "Read": ACLOperation.READ,
    "Write": ACLOperation.WRITE,
    "Describe": ACLOperation.DESCRIBE,
    "DescribeConfigs": ACLOperation.DESCRIBE_CONFIGS,
}


class Right(NamedTuple):
    """One right of a role in Kafka."""

    role: str
    resource: str  # topics, group, transactional ids
    name: str
    prefixed: bool  # of every name that begins so
    operation: str


def rights(feed: Feed, plant: str) -> list[Right]:
    """Every right of the page, for one feed of a plant file `plant`.py."""
    return list(_rights(feed, plant))


def roles(feed: Feed) -> list[str]:
    """Who is named there."""
    return sorted({right.role for right in rights(feed, "plant")})


def _rights(feed: Feed, plant: str) -> Iterator[Right]:
    topics = {kind: topic.name for kind, topic in feed_topics(feed).items()}
    for role, resource, names, operations in rows(section(PAGE, "Kafka"))[2:]:
        for name in names.split(", "):
            plain = name.strip("`").replace("<feed>", feed.name).replace("<plant>", plant)
            found = list(topics.values()) if name == "all" else [topics[name]] if resource == "topics" else [plain.removesuffix("*")]
            for each in found:
                for operation in operations.split(", "):
                    yield Right(role, resource, each, plain.endswith("*"), operation)


def grant(kafka: KafkaSettings, given: list[Right], principal: str = "User:{role}") -> None:
    """Lets the broker know."""
    client: Any = KafkaAdminClient(**kafka.client_options())
    try:
        client.create_acls([_acl(right, principal.format(role=right.role)) for right in given])
    finally:
        client.close()


def _acl(right: Right, principal: str) -> ACL:
    pattern = ACLResourcePatternType.PREFIXED if right.prefixed else ACLResourcePatternType.LITERAL
    resource = ResourcePattern(_RESOURCES[right.resource], right.name, pattern)
    return ACL(principal, "*", _OPERATIONS[right.operation], ACLPermissionType.ALLOW, resource)


def redis_users(password: str) -> str:
    """The users of the page as an ACL file of Redis, all with this password; the one without a name is off."""
    (block,) = blocks(PAGE, "text")
    lines = [line.removeprefix("ACL SETUSER ").replace("PASSWORD", password) for line in block.text.splitlines()]
    return "".join(f"user {line}\n" for line in ["default off", *lines])
