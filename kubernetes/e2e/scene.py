"""What the steps share: the namespaces, the loads, and the waits for what they have set off."""

from pathlib import Path

import pods
from cluster import Failed, Kubectl, is_ready, wait_until
from count import Collector, Load, Published

SERVICES = ("localstack", "producer", "consumer")
PAIR = ("producer", "consumer")


class Scene:
    """What the steps share."""

    def __init__(self, kubectl: Kubectl, node: Kubectl, manifests: Path):
        self.kubectl, self.node, self.manifests = kubectl, node, manifests
        self.collector = Collector(kubectl)
        self.published = Published(kubectl)

    def load(self, name: str) -> Load:
        """Messages that go on until they are settled."""
        return Load(self.kubectl, self.collector, name)

    def node_shell(self, app: str) -> None:
        """A pod that reaches the processes of the node that the app's pod is on."""
        pod = self.kubectl.json("get", "pod", self.kubectl.pod(app))
        image = self.kubectl.json("get", "pod", self.kubectl.pod("localstack"))["spec"]["containers"][0]["image"]
        self.node("delete", "pod", "node-shell", "--ignore-not-found", "--wait")
        self.node.apply(pods.node_shell(pod["spec"]["nodeName"], image))
        self.node("wait", "--for", "condition=Ready", "pod/node-shell", "--timeout", "90s")

    def on_node(self, script: str, *arguments: str) -> str:
        return self.node("exec", "node-shell", "--", "bash", "-c", script, "-", *arguments)

    def close(self) -> None:
        self.published.close()

    def alone(self) -> None:
        """Waits until one consumer is there, and those that had to stop are gone."""

        def one() -> bool:
            there = self.kubectl.json("get", "pods", "--selector", "app=consumer")["items"]
            return len(there) == 1 and self.kubectl.ready("consumer")

        wait_until("one consumer is left", 120, one)

    def replaced(self, old: dict[str, str]) -> None:
        """Waits until each of these has a ready pod that is not the one it had."""

        def all_new() -> bool:
            return all(self.kubectl.ready(app) and self.kubectl.pod(app) != pod for app, pod in old.items())

        wait_until(f"{', '.join(old)} replaced and ready", 180, all_new)

    def restart_producer(self) -> None:
        """Brings a new producer, whose log is followed from its first line."""
        old = self.kubectl.pod("producer")
        self.kubectl("rollout", "restart", "deployment/producer")
        self.kubectl.rolled_out("producer")
        self.replaced({"producer": old})
        self.published.follow()

    def any_ready(self) -> bool:
        """Whether any pod of the pair is ready."""
        return any(is_ready(pod) for app in PAIR for pod in self.kubectl.pods(app))

    def select(self, app: str) -> None:
        """Makes LocalStack's Service lead to these pods."""
        self.kubectl("patch", "service", "localstack", "--patch", f'{{"spec": {{"selector": {{"app": "{app}"}}}}}}')

    def addresses(self) -> int:
        """To how many pods LocalStack's Service leads."""
        slices = self.kubectl.json("get", "endpointslices", "--selector", "kubernetes.io/service-name=localstack")
        return sum(len(part["endpoints"] or []) for part in slices["items"])


def orderly(load: Load) -> str:
    """Nothing of the load may be lost, and nothing handled twice."""
    counted = load.settle()
    if counted.lost or counted.repeated:
        raise Failed(str(counted))
    return str(counted)
