"""kubectl, for what the steps do with a cluster: everything in one namespace, every wait with an end."""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path


class Failed(Exception):
    """What was to be shown did not show."""


class Kubectl:
    """Runs kubectl in one namespace."""

    def __init__(self, namespace: str):
        self.namespace = namespace

    def __call__(self, *arguments: str, input: str | None = None, timeout: float = 120) -> str:
        command = ["kubectl", "--namespace", self.namespace, *arguments]
        try:
            done = subprocess.run(command, input=input, capture_output=True, text=True, timeout=timeout)
        except subprocess.TimeoutExpired as late:
            raise Failed(f"{' '.join(command)} took more than {timeout:.0f} s") from late
        if done.returncode:
            raise Failed(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def json(self, *arguments: str) -> dict:
        return json.loads(self(*arguments, "--output", "json"))

    def apply(self, manifest: dict) -> None:
        self("apply", "--filename", "-", input=json.dumps(manifest))

    def pods(self, app: str) -> list[dict]:
        """The pods of that label that nobody has asked to stop."""
        found = self.json("get", "pods", "--selector", f"app={app}")["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def pod(self, app: str) -> str:
        """The name of the only such pod."""
        names = [pod["metadata"]["name"] for pod in self.pods(app)]
        if len(names) != 1:
            raise Failed(f"{app} should have one pod and has {names}")
        return names[0]

    def restarts(self, app: str) -> int:
        return sum(
            status["restartCount"] for pod in self.pods(app) for status in pod["status"].get("containerStatuses", [])
        )

    def ready(self, app: str, replicas: int = 1) -> bool:
        """Whether there are so many pods, all of them ready."""
        pods = self.pods(app)
        return len(pods) == replicas and all(is_ready(pod) for pod in pods)

    def logs(self, target: str, *options: str) -> str:
        return self("logs", target, *options)

    def rolled_out(self, deployment: str) -> None:
        self("rollout", "status", f"deployment/{deployment}", "--timeout", "240s", timeout=260)

    def follow(self, pod: str, file: Path) -> subprocess.Popen:
        """Writes the pod's log to the file for as long as there is one."""
        with file.open("wb") as output:
            command = ["kubectl", "--namespace", self.namespace, "logs", "--follow", "--pod-running-timeout=60s", pod]
            return subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL)


def is_ready(pod: dict) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def wait_until(what: str, seconds: float, true: Callable[[], object], every: float = 1) -> float:
    """Waits until it holds; gives how long that took. A kubectl that fails meanwhile is asked again."""
    began = time.monotonic()
    while True:
        reason = ""
        try:
            if true():
                return time.monotonic() - began
        except Failed as failed:
            reason = f" ({failed})"
        if time.monotonic() - began > seconds:
            raise Failed(f"waited {seconds:.0f} s in vain: {what}{reason}")
        time.sleep(every)
