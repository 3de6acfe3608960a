"""What is shown, in this order. A step's name is what holds when it returns; what it returns is a figure."""

import json
import re
import time
from collections.abc import Callable
from functools import partial

import pods
from cluster import Failed, wait_until
from scene import PAIR, SERVICES, Scene, orderly

OUTAGE_SECONDS = 60


def from_nothing_three_pods_are_ready_within_90_seconds(scene: Scene) -> str:
    kubectl = scene.kubectl
    began = time.monotonic()
    kubectl("apply", "--filename", str(scene.manifests))
    names = [item["metadata"]["name"] for item in kubectl.json("get", "deployments,statefulsets")["items"]]
    if sorted(names) != sorted(SERVICES):
        raise Failed(f"there should be {SERVICES} and there are {names}")
    wait_until("three pods are ready", 90, lambda: all(kubectl.ready(app) for app in SERVICES))
    ready = time.monotonic() - began
    wait_until("a message is deleted", 60, lambda: " deleted " in kubectl.logs("deploy/consumer"), every=0.5)
    if restarts := {app: kubectl.restarts(app) for app in SERVICES if kubectl.restarts(app)}:
        raise Failed(f"restarted: {restarts}")
    return f"ready after {ready:.0f} s, first message deleted after {time.monotonic() - began:.0f} s"


def the_logs_show_each_message_and_each_probe(scene: Scene) -> str:
    kubectl = scene.kubectl

    def ids(app: str, word: str) -> set[str]:
        return set(re.findall(rf"INFO {word} .*?\bid=([0-9a-f-]{{36}})", kubectl.logs(f"deploy/{app}")))

    def seen(line: re.Pattern, target: str) -> bool:
        return bool(line.search(kubectl.logs(target)))

    def both() -> set[str]:
        return ids("producer", "published") & ids("consumer", "received") & ids("consumer", "deleted")

    wait_until("three messages published, received and deleted by the same id", 60, lambda: len(both()) >= 3)
    for app in PAIR:
        for path in ("/health", "/ready"):
            line = re.compile(rf'^\d+(\.\d+){{3}} - - \[.+\] "GET {path} HTTP/1\.1" 200 -$', re.MULTILINE)
            wait_until(f"{app} logs a probe of {path}", 60, partial(seen, line, f"deploy/{app}"))
    return f"{len(both())} messages"


def health_answers_inside_the_pods(scene: Scene) -> None:
    for app in PAIR:
        answer = scene.kubectl("exec", f"deploy/{app}", "--", "curl", "-s", "http://0.0.0.0:5000/health")
        if answer.strip() != '{"status":"UP!"}':
            raise Failed(f"{app} answers {answer!r}")


def a_consumer_that_is_stopped_is_restarted_by_its_liveness_probe(scene: Scene) -> str:
    kubectl, pod = scene.kubectl, scene.kubectl.pod("consumer")
    scene.node_shell("consumer")
    scene.on_node(pods.SIGNAL, pod, "consumer", "STOP")
    took = wait_until("the stopped consumer is restarted", 180, lambda: kubectl.restarts("consumer") == 1)
    wait_until("it is ready again", 60, lambda: kubectl.ready("consumer"))
    if kubectl.pod("consumer") != pod:
        raise Failed("the pod was replaced, not its container restarted")
    events = kubectl.json("get", "events", "--field-selector", f"involvedObject.name={pod}")["items"]
    if not any("failed liveness probe" in event["message"] for event in events):
        raise Failed(f"the liveness probe was not what restarted it: {[event['message'] for event in events]}")
    wait_until("it handles messages again", 60, lambda: " deleted " in kubectl.logs(pod))
    return f"after {took:.0f} s"


def the_consumer_calls_a_collector(scene: Scene) -> None:
    """From here on all that is handled is counted."""
    kubectl = scene.kubectl
    image = kubectl.json("get", "pod", kubectl.pod("localstack"))["spec"]["containers"][0]["image"]
    for manifest in pods.collector(image):
        kubectl.apply(manifest)
    kubectl("wait", "--for", "condition=Ready", "pod/collector", "--timeout", "90s")
    kubectl("set", "env", "deployment/consumer", "HTTP=http://collector:8080/")
    kubectl.rolled_out("consumer")
    scene.alone()
    # What the log handler still took is none of what is counted.
    wait_until("the collector is called", 60, lambda: scene.collector.handled())
    scene.restart_producer()


def a_rolling_restart_under_load_loses_and_repeats_nothing(scene: Scene) -> str:
    load = scene.load("rolling")
    scene.kubectl("rollout", "restart", "deployment/consumer")
    scene.kubectl.rolled_out("consumer")
    scene.alone()
    return orderly(load)


def scaling_to_five_consumers_and_back_under_load_loses_and_repeats_nothing(scene: Scene) -> str:
    kubectl = scene.kubectl
    load = scene.load("scaling")
    kubectl("scale", "deployment/consumer", "--replicas", "5")
    wait_until("five consumers are ready", 120, lambda: kubectl.ready("consumer", 5))

    def busy() -> int:
        """How many of them have handled something."""
        names = [pod["metadata"]["name"] for pod in kubectl.pods("consumer")]
        return sum(" deleted " in kubectl.logs(name) for name in names)

    wait_until("most of the five have work", 120, lambda: busy() >= 3)
    kubectl("scale", "deployment/consumer", "--replicas", "1")
    scene.alone()
    return orderly(load)


def an_eviction_of_both_under_load_loses_and_repeats_nothing(scene: Scene) -> str:
    kubectl = scene.kubectl
    load = scene.load("eviction")
    old = {app: kubectl.pod(app) for app in PAIR}
    for pod in old.values():
        path = f"/api/v1/namespaces/{kubectl.namespace}/pods/{pod}/eviction"
        kubectl("create", "--raw", path, "--filename", "-", input=pods.eviction(pod, kubectl.namespace))
    scene.replaced(old)
    scene.published.follow()
    scene.alone()
    return orderly(load)


def a_forced_deletion_of_both_under_load_loses_nothing(scene: Scene) -> str:
    kubectl = scene.kubectl
    load = scene.load("force")
    old = {app: kubectl.pod(app) for app in PAIR}
    kubectl("delete", "pod", "--force", "--grace-period=0", *old.values())
    scene.replaced(old)
    scene.published.follow()
    return str(load.settle())


def a_minute_without_localstack_restarts_nothing_and_loses_nothing(scene: Scene) -> str:
    kubectl = scene.kubectl
    before = {app: (kubectl.pod(app), kubectl.restarts(app)) for app in PAIR}
    load = scene.load("outage")
    scene.node_shell("localstack")

    def both_unready() -> bool:
        # What was connected stays so, wherever the Service leads; and the node follows a change of it after a while.
        scene.on_node(pods.CLOSE_CONNECTIONS, kubectl.pod("localstack"))
        return not scene.any_ready()

    scene.select("nobody")
    try:
        cut = time.monotonic()
        wait_until("no address is left of LocalStack", 30, lambda: not scene.addresses())
        wait_until("both are unready", 60, both_unready)
        unready = time.monotonic() - cut
        time.sleep(max(0, OUTAGE_SECONDS - unready))
        answer = kubectl("exec", "deploy/consumer", "--", "curl", "-s", "http://127.0.0.1:5000/ready")
        if scene.any_ready() or '"status":"READY"' in answer:
            raise Failed(f"not unready all the time: {answer}")
    finally:
        scene.select("localstack")
    recovered = wait_until("both are ready again", 90, lambda: all(kubectl.ready(app) for app in PAIR))
    counted = load.settle()
    after = {app: (kubectl.pod(app), kubectl.restarts(app)) for app in PAIR}
    if after != before:
        raise Failed(f"restarted: before {before}, after {after}")
    return f"unready after {unready:.0f} s, ready {recovered:.0f} s after its end; {counted}"


def what_the_producers_said_they_published_was_handled(scene: Scene) -> str:
    """Of all producers since the collector is there, also those that were killed."""
    said = scene.published.ids()
    if len(said) < 20:
        raise Failed(f"only {len(said)} publish lines were seen")
    try:
        wait_until("all of that is handled", 60, lambda: said <= scene.collector.ids(), every=2)
    except Failed as failed:
        missing = said - scene.collector.ids()
        raise Failed(f"{failed}; missing {len(missing)} of {len(said)}: {scene.published.lines(missing)}") from failed
    return f"{len(said)} messages"


def the_pair_recovers_by_itself_when_localstacks_pod_is_deleted(scene: Scene) -> str:
    """LocalStack forgets what it held, so only what is published afterwards is counted."""
    kubectl = scene.kubectl
    before = {app: (kubectl.pod(app), kubectl.restarts(app)) for app in PAIR}
    old = kubectl.pod("localstack")
    kubectl("delete", "pod", old)
    began = time.monotonic()
    scene.replaced({"localstack": old})
    wait_until("both are ready again", 120, lambda: all(kubectl.ready(app) for app in PAIR))
    took = time.monotonic() - began
    counted = orderly(scene.load("afterwards"))
    after = {app: (kubectl.pod(app), kubectl.restarts(app)) for app in PAIR}
    if after != before:
        raise Failed(f"restarted: before {before}, after {after}")
    return f"after {took:.0f} s; then {counted}"


def shout_answers_and_keeps_its_answers_in_redis(scene: Scene) -> str:
    kubectl = scene.kubectl
    began = time.monotonic()
    kubectl("apply", "--filename", str(scene.manifests / "overlays" / "shout"))
    wait_until("shout and its Redis are ready", 90, lambda: all(kubectl.ready(app) for app in ("shout", "redis")))
    ready = time.monotonic() - began
    request = ("curl", "--silent", "--fail", "--data", '{"data": "test"}', "http://shout:5000/")
    answer = json.loads(kubectl("exec", "deploy/producer", "--", *request))
    if answer != {"data": "TSET"}:
        raise Failed(f"shout answers {answer}")
    told = json.loads(kubectl("exec", "deploy/shout", "--", "curl", "--silent", "http://127.0.0.1:5000/ready"))
    if kubectl.restarts("shout"):
        raise Failed("shout was restarted")
    return f"ready after {ready:.0f} s: {told}"


def shout_is_scaled_by_its_load_to_three_pods_which_are_replaced_without_a_failed_request_and_back(scene: Scene) -> str:
    kubectl = scene.kubectl
    image = kubectl.json("get", "pod", kubectl.pod("localstack"))["spec"]["containers"][0]["image"]
    kubectl.apply(pods.shouter(image))
    up = wait_until("three pods of shout are ready", 240, lambda: kubectl.ready("shout", 3))
    kubectl("rollout", "restart", "deployment/shout")
    kubectl.rolled_out("shout")
    failed = kubectl.logs("shouter")
    kubectl("delete", "pod", "shouter", "--wait")
    down = wait_until("one is left", 300, lambda: kubectl.ready("shout", 1))
    if failed:
        raise Failed(f"requests failed: {failed}")
    return f"three after {up:.0f} s, one {down:.0f} s after the load's end"


def chosen(only: list[str] | None) -> list[Callable[[Scene], str | None]]:
    """All steps, or the ones that set the scene and those whose names begin so."""
    if not only:
        return list(STEPS)
    return [step for step in STEPS if step in SETTING or step.__name__.startswith(tuple(only))]


SETTING = (from_nothing_three_pods_are_ready_within_90_seconds, the_consumer_calls_a_collector)
STEPS = (
    from_nothing_three_pods_are_ready_within_90_seconds,
    the_logs_show_each_message_and_each_probe,
    health_answers_inside_the_pods,
    a_consumer_that_is_stopped_is_restarted_by_its_liveness_probe,
    the_consumer_calls_a_collector,
    a_rolling_restart_under_load_loses_and_repeats_nothing,
    scaling_to_five_consumers_and_back_under_load_loses_and_repeats_nothing,
    an_eviction_of_both_under_load_loses_and_repeats_nothing,
    a_forced_deletion_of_both_under_load_loses_nothing,
    a_minute_without_localstack_restarts_nothing_and_loses_nothing,
    what_the_producers_said_they_published_was_handled,
    the_pair_recovers_by_itself_when_localstacks_pod_is_deleted,
    shout_answers_and_keeps_its_answers_in_redis,
    shout_is_scaled_by_its_load_to_three_pods_which_are_replaced_without_a_failed_request_and_back,
)
