"""Applies the manifests to a namespace of its own, looks, breaks things, counts, and takes it all away again.

The cluster is the one that kubectl points to. It has to have the images, and to let this user make namespaces and, to
stop a process of a node, a privileged pod. What is shown is what each step's line says.
"""

import argparse
import sys
import time
import traceback
from pathlib import Path

import steps
from cluster import Failed, Kubectl

MANIFESTS = Path(__file__).parents[1]
NAMESPACE = "upbeat-e2e"
NODE_NAMESPACE = "upbeat-e2e-node"


def make_namespaces() -> None:
    everywhere = Kubectl("default")
    remove_namespaces()
    everywhere("create", "namespace", NAMESPACE)
    # Whatever the manifests bring has to be let in by the strictest of the three standards.
    everywhere("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    everywhere("create", "namespace", NODE_NAMESPACE)
    everywhere("label", "namespace", NODE_NAMESPACE, "pod-security.kubernetes.io/enforce=privileged")


def remove_namespaces() -> None:
    everywhere = Kubectl("default")
    everywhere("delete", "namespace", NAMESPACE, NODE_NAMESPACE, "--ignore-not-found", "--timeout=240s", timeout=260)


def show_state(kubectl: Kubectl) -> None:
    for arguments in (
        ("get", "pods", "--output", "wide"),
        ("get", "events", "--sort-by", ".lastTimestamp"),
        ("logs", "deploy/consumer", "--tail=30"),
        ("logs", "deploy/producer", "--tail=30"),
        ("logs", "deploy/localstack", "--tail=30"),
        ("describe", "horizontalpodautoscalers"),
    ):
        try:
            print(f"--- kubectl {' '.join(arguments)}\n{kubectl(*arguments)}", flush=True)
        except Failed as failed:
            print(f"--- {failed}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="leave the namespaces as they are at the end")
    parser.add_argument("--only", metavar="STEP", nargs="+", help="of the steps after the first two, only these")
    arguments = parser.parse_args()

    began = time.monotonic()
    kubectl = Kubectl(NAMESPACE)
    failed = 0
    scene = None
    try:
        make_namespaces()
        scene = steps.Scene(kubectl, Kubectl(NODE_NAMESPACE), MANIFESTS)
        for step in steps.chosen(arguments.only):
            started = time.monotonic()
            outcome = step(scene)
            name = step.__name__.replace("_", " ")
            print(f"ok   {time.monotonic() - started:4.0f} s  {name}{f': {outcome}' if outcome else ''}", flush=True)
    except BaseException as error:
        failed = 1
        print(f"FAIL {time.monotonic() - began:4.0f} s  ", end="", flush=True)
        print(error if isinstance(error, Failed) else traceback.format_exc(), flush=True)
        show_state(kubectl)
    finally:
        if scene:
            scene.close()
        if not arguments.keep:
            remove_namespaces()
    print(f"{'failed' if failed else 'all shown'} after {time.monotonic() - began:.0f} s", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
