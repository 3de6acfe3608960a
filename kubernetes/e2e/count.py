"""Counting: what was published against what was handled, by content."""

import json
import re
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pods
from cluster import Failed, Kubectl, wait_until

QUEUE, DEAD = "messages", "messages-dlq"


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

    def __init__(self, kubectl: Kubectl, collector: Collector, name: str):
        self.kubectl, self.collector, self.name = kubectl, collector, f"load-{name}"
        kubectl.apply(pods.load(self.name, kubectl.json("get", "pod", kubectl.pod("producer"))))
        wait_until(f"the first messages of {self.name} are handled", 90, lambda: len(collector.of_load(self.name)) > 20)

    def settle(self) -> Counted:
        """Ends it, and waits until all is published and handled, and nothing is left to be handled again."""
        self.kubectl("exec", self.name, "--", *pods.STOP_LOAD)
        wait_until(f"{self.name} has published all", 180, lambda: self.phase() not in ("Pending", "Running"))
        log = self.kubectl.logs(self.name)
        lines = re.search(r"^lines=(\d+)$", log, re.MULTILINE)
        if self.phase() != "Succeeded" or not lines:
            raise Failed(f"{self.name} could not publish all: {log[-1000:]}")
        expected = set(range(1, int(lines[1]) + 1))
        try:
            wait_until(f"all of {self.name} is handled", 120, lambda: self.all_handled(expected), every=2)
        except Failed as failed:
            missing = sorted(expected - set(self.collector.of_load(self.name)))
            raise Failed(f"{failed}; missing {missing[:20]}, in queues {depths(self.kubectl)}") from failed
        wait_until("the queue is empty", 120, lambda: not any(attributes(self.kubectl, QUEUE).values()))
        handled = self.collector.of_load(self.name)
        return Counted(len(expected), len(expected - set(handled)), sum(handled.values()) - len(handled))

    def phase(self) -> str:
        return self.kubectl.json("get", "pod", self.name)["status"]["phase"]

    def all_handled(self, expected: set[int]) -> bool:
        return expected <= set(self.collector.of_load(self.name)) and sum(attributes(self.kubectl, DEAD).values()) == 0


class Published:
    """What the producer itself says it has published, by its log, which is followed until its pod is gone."""

    # Not "not published", which says what an outage was too long for.
    LINE = re.compile(r"INFO published .*?\bid=([0-9a-f-]{36})")

    def __init__(self, kubectl: Kubectl):
        self.kubectl, self.folder, self.followed = kubectl, Path(tempfile.mkdtemp()), []

    def follow(self) -> None:
        pod = self.kubectl.pod("producer")
        self.followed.append(self.kubectl.follow(pod, self.folder / pod))

    def ids(self) -> set[str]:
        return {id for file in self.folder.iterdir() for id in self.LINE.findall(file.read_text(errors="replace"))}

    def lines(self, ids: set[str]) -> list[str]:
        """The first few lines that tell of these, with the pod."""
        logs = ((file.name, line) for file in self.folder.iterdir() for line in file.read_text().splitlines())
        return [f"{name}: {line}" for name, line in logs if any(id in line for id in ids)][:10]

    def close(self) -> None:
        for process in self.followed:
            process.terminate()
            process.wait()
        for file in self.folder.iterdir():
            file.unlink()
        self.folder.rmdir()


def depths(kubectl: Kubectl) -> dict[str, dict[str, int]]:
    """How many messages wait in each queue, are in flight, or are delayed."""
    return {queue: attributes(kubectl, queue) for queue in (QUEUE, DEAD)}


def attributes(kubectl: Kubectl, queue: str) -> dict[str, int]:
    url = f"http://127.0.0.1:4566/000000000000/{queue}"
    asked = ("sqs", "get-queue-attributes", "--queue-url", url, "--attribute-names", "All")
    found = json.loads(kubectl("exec", "deploy/localstack", "--", "awslocal", *asked))["Attributes"]
    return {name: int(value) for name, value in found.items() if name.startswith("ApproximateNumber")}
