"""Counting: what was published against what was handled, by content."""

import json
import re
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pods
from cluster import Failed, Kubectl, wait_until

QUEUES = ("messages", "messages-dlq")


@dataclass
class Counted:
    published: int
    lost: int
    repeated: int

    def __str__(self) -> str:
        return f"published {self.published}, lost {self.lost}, repeated {self.repeated}"


class Collector:
    """All that the consumers have handled, as told by the one pod that they all call."""

    def __init__(self, kubectl: Kubectl):
        self.kubectl = kubectl

    def handled(self) -> list[tuple[str, dict]]:
        """The id and the body of each message, once for each time that it was handled."""
        answer = self.kubectl("exec", "collector", "--", "curl", "--silent", "--fail", "http://127.0.0.1:8080/")
        lines = (line.split(" ", 1) for line in answer.splitlines())
        return [(id, json.loads(body)) for id, body in lines]

    def of_load(self, name: str) -> Counter:
        return Counter(body["n"] for _, body in self.handled() if body.get("load") == name)

    def ids(self) -> set[str]:
        return {id for id, _ in self.handled()}


class Load:
    """Messages that a pod publishes while something happens to the services."""

    def __init__(self, kubectl: Kubectl, collector: Collector, name: str, messages: int, pause: float):
        self.kubectl, self.collector, self.name, self.messages = kubectl, collector, f"load-{name}", messages
        kubectl.apply(pods.load(self.name, kubectl.json("get", "pod", kubectl.pod("producer")), messages, pause))
        wait_until(f"the first messages of {self.name} are handled", 90, lambda: len(collector.of_load(self.name)) > 5)

    def phase(self) -> str:
        return self.kubectl.json("get", "pod", self.name)["status"]["phase"]

    def still_runs(self) -> None:
        """For a step to be sure that it took place under load."""
        if self.phase() != "Running":
            raise Failed(f"{self.name} ended before what was to happen under it")

    def settle(self, seconds: float = 300) -> Counted:
        """Waits until all is published and handled, and nothing is left in the queues."""
        wait_until(f"{self.name} has published all", seconds, lambda: self.phase() not in ("Pending", "Running"))
        if self.phase() != "Succeeded":
            raise Failed(f"{self.name} could not publish all: {self.kubectl.logs(self.name, '--tail=5')}")
        try:
            wait_until(
                f"all of {self.name} is handled",
                120,
                lambda: len(self.collector.of_load(self.name)) == self.messages and dead_letters(self.kubectl) == 0,
                every=2,
            )
        except Failed as failed:
            handled = self.collector.of_load(self.name)
            missing = sorted(set(range(1, self.messages + 1)) - set(handled))
            raise Failed(f"{failed}; missing {missing[:20]}, in queues {depths(self.kubectl)}") from failed
        handled = self.collector.of_load(self.name)
        return Counted(self.messages, self.messages - len(handled), sum(handled.values()) - len(handled))


class Published:
    """What the producer itself says it has published, by its log, which is followed until its pod is gone."""

    LINE = re.compile(r" published .*?\bid=([0-9a-f-]{36})")

    def __init__(self, kubectl: Kubectl):
        self.kubectl, self.folder, self.followed = kubectl, Path(tempfile.mkdtemp()), []

    def follow(self) -> None:
        pod = self.kubectl.pod("producer")
        self.followed.append(self.kubectl.follow(pod, self.folder / pod))

    def ids(self) -> set[str]:
        return {id for file in self.folder.iterdir() for id in self.LINE.findall(file.read_text(errors="replace"))}

    def close(self) -> None:
        for process in self.followed:
            process.terminate()
            process.wait()
        for file in self.folder.iterdir():
            file.unlink()
        self.folder.rmdir()


def depths(kubectl: Kubectl) -> dict[str, dict[str, int]]:
    """How many messages wait in each queue, are in flight, or are delayed."""
    return {queue: attributes(kubectl, queue) for queue in QUEUES}


def dead_letters(kubectl: Kubectl) -> int:
    return sum(attributes(kubectl, "messages-dlq").values())


def attributes(kubectl: Kubectl, queue: str) -> dict[str, int]:
    url = f"http://127.0.0.1:4566/000000000000/{queue}"
    asked = ("sqs", "get-queue-attributes", "--queue-url", url, "--attribute-names", "All")
    found = json.loads(kubectl("exec", "deploy/localstack", "--", "awslocal", *asked))["Attributes"]
    return {name: int(value) for name, value in found.items() if name.startswith("ApproximateNumber")}
