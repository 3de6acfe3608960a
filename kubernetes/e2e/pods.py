"""The pods that a test needs beside the services: what counts, what publishes, what reaches a node's processes."""

import json
from pathlib import Path

RESTRICTED = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "runAsGroup": 65532,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONFINED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}

# What a load publishes: a line every so often, until it is told to stop; then it says how many they were.
LOAD = """
{{
  until [[ -e /dev/shm/stop ]]; do echo '{{"load": "{name}", "n": '$((++n))'}}'; sleep 0.05; done
  echo "lines=$n" >&2
}} | producer --stdin --listen 127.0.0.1:5000 --retry-for forever
"""
STOP_LOAD = ("touch", "/dev/shm/stop")  # noqa: S108

# Signals the process of one name in one pod, found among all of the node's.
SIGNAL = """
for process in /proc/[0-9]*; do
  [[ $(cat "$process/comm" 2>/dev/null) == "$2" ]] || continue
  grep --quiet --null-data --line-regexp "HOSTNAME=$1" "$process/environ" 2>/dev/null || continue
  kill -"$3" "${process#/proc/}" && exit 0
done
exit 1
"""

# Closes the connections to the LocalStack of one pod, there: a Service that leads elsewhere leaves those that are open.
# Not its own, by which its SNS hands to its SQS what it has confirmed already.
CLOSE_CONNECTIONS = """
for process in /proc/[0-9]*; do
  grep --quiet --null-data --line-regexp "HOSTNAME=$1" "$process/environ" 2>/dev/null || continue
  nsenter --target "${process#/proc/}" --net \
    ss --tcp --kill state established '( sport = :4566 and not dst 127.0.0.0/8 )' && exit 0
done
exit 1
"""


def pod(name: str, image: str, command: list[str], env: list[dict], **spec: object) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "securityContext": RESTRICTED,
            "containers": [
                {"name": name, "image": image, "command": command, "env": env, "securityContext": CONFINED},
            ],
            **spec,
        },
    }


def collector(image: str) -> list[dict]:
    """Counts what the consumer handles, at http://collector:8080."""
    program = Path(__file__).with_name("collector.py").read_text()
    counting = pod("collector", image, ["python3", "-uc", program], [])
    counting["spec"]["containers"][0]["readinessProbe"] = {
        "httpGet": {"path": "/", "port": 8080},
        "periodSeconds": 1,
        "timeoutSeconds": 5,
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "collector"},
        "spec": {"selector": {"app": "collector"}, "ports": [{"port": 8080}]},
    }
    return [counting, service]


def load(name: str, producer: dict) -> dict:
    """Publishes about twenty messages a second, set up as the producer is; succeeds when SNS has taken every one."""
    container = producer["spec"]["containers"][0]
    aws = [variable for variable in container["env"] if variable["name"].startswith(("AWS_", "TOPIC"))]
    return pod(name, container["image"], ["bash", "-c", LOAD.format(name=name)], aws)


def shouter(image: str) -> dict:
    """Has shout work on new texts, four at a time, until it is deleted. Its log has those that failed."""
    program = """
import threading, urllib.request
def ask(me):
    n = 0
    while True:
        n += 1
        body = '{"data": "%d %d %s"}' % (me, n, 'na\u00efve caf\u00e9 ' * 10000)
        try:
            request = urllib.request.Request('http://shout:5000/', body.encode(), method='POST')
            urllib.request.urlopen(request, timeout=30).read()
        except OSError as error:
            print('failed:', error, flush=True)
for me in range(4):
    threading.Thread(target=ask, args=(me,)).start()
"""
    return pod("shouter", image, ["python3", "-uc", program], [])


def node_shell(node: str, image: str) -> dict:
    """Reaches all processes of a node."""
    shell = pod("node-shell", image, ["sleep", "infinity"], [], hostPID=True, nodeName=node)
    shell["spec"]["securityContext"] = {"runAsUser": 0, "runAsNonRoot": False}
    shell["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    return shell


def eviction(name: str, namespace: str) -> str:
    meta = {"name": name, "namespace": namespace}
    return json.dumps({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": meta})
