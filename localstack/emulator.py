"""Runs LocalStack in this process, set up as this project wants it; `start` is the command for people.

emulator.py PORT FOLDER      serves on 127.0.0.1:PORT, with everything it writes below FOLDER
emulator.py --build-indexes  builds the indexes of the AWS API and of LocalStack's plugins in its Python's environment,
                             where every start finds them; without, each would take 4 s and 350 MB to build its own
"""

import ctypes
import os
import shutil
import signal
import sys
import warnings
from pathlib import Path

HOOKS = Path(__file__).with_name("ready.d")
INDEXES = Path(sys.prefix, "indexes")

# In a container LocalStack finds its folders by itself; here they are below FILESYSTEM_ROOT. Its plugins' index goes to
# the user's cache folder otherwise, unlocked: a start could read what another has half written.
os.environ |= {"OVERRIDE_IN_DOCKER": "0", "XDG_CACHE_HOME": str(INDEXES / "cache")}


def build_indexes() -> None:
    Path(INDEXES, "usr/lib/localstack").mkdir(parents=True)
    os.environ["FILESYSTEM_ROOT"] = str(INDEXES)

    from localstack.aws import spec
    from plux import PluginManager

    spec.main()
    PluginManager("localstack.runtime.components").list_names()


def serve(port: str, folder: Path) -> None:
    leave_terminal_and_end_with_parent()
    shutil.copytree(INDEXES / "usr", folder / "usr", dirs_exist_ok=True)
    shutil.copytree(HOOKS, folder / "etc/localstack/init/ready.d", dirs_exist_ok=True)
    os.environ |= {
        "FILESYSTEM_ROOT": str(folder),
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "SERVICES": "sns,sqs",
        "EAGER_SERVICE_LOADING": "1",
        # A queue's URL has the host and port that the caller used.
        "SQS_ENDPOINT_STRATEGY": "dynamic",
        # No calls home, no certificate from afar, no DNS server.
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "DNS_ADDRESS": "0",
    }
    listen_on_loopback_or_end()
    run_on_python_3_12()

    from localstack.runtime.main import main

    main()


def leave_terminal_and_end_with_parent() -> None:
    """A Ctrl-C passes by, since LocalStack is to stop last; on Linux it ends even if `start` is killed outright."""
    os.setsid()
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def listen_on_loopback_or_end() -> None:
    """LocalStack itself listens on every interface, whatever GATEWAY_LISTEN says, and lives on if the port is taken."""
    from twisted.internet import endpoints

    class Endpoint(endpoints.TCP4ServerEndpoint):
        def __init__(self, reactor, port):
            super().__init__(reactor, port, interface="127.0.0.1")

        def listen(self, factory):
            return super().listen(factory).addErrback(end)

    def end(failure):
        print(failure.getErrorMessage(), flush=True)
        os._exit(1)

    endpoints.TCP4ServerEndpoint = Endpoint


def run_on_python_3_12() -> None:
    """LocalStack 4.14's SNS takes one name from where only Python 3.13 has it; the rest of it is content with 3.12."""
    if not hasattr(warnings, "deprecated"):
        from typing_extensions import deprecated

        warnings.deprecated = deprecated


if __name__ == "__main__":
    if sys.argv[1:] == ["--build-indexes"]:
        build_indexes()
    else:
        serve(sys.argv[1], Path(sys.argv[2]).resolve())
