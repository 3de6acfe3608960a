"""Runs the services of the Procfile side by side, each line with its service's name, until Ctrl-C or until one ends.

honcho does the work, and gives each service a session of its own: a Ctrl-C reaches it as one SIGTERM and nothing else.
What is set here is what `honcho start` has no option for.
"""

import multiprocessing
import os
import signal
import sys
from pathlib import Path

from honcho import manager
from honcho.environ import parse_procfile
from honcho.printer import Printer

# From the first service's end to the kill of the others. A service drains for up to 30 s, and honcho would wait for 5.
KILL_WAIT_SECONDS = 40


class Screen(Printer):
    """Prints, and when nobody is left to print to (a closed terminal, `| head`), stops the services."""

    def write(self, message):
        try:
            super().write(message)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            signal.raise_signal(signal.SIGTERM)


def main() -> int:
    multiprocessing.set_start_method("fork")
    manager.KILL_WAIT = KILL_WAIT_SECONDS
    for closing in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(closing, lambda *_: signal.raise_signal(signal.SIGTERM))

    services = manager.Manager(Screen(sys.stdout))
    procfile = Path(__file__).parents[1] / "Procfile"
    for name, command in parse_procfile(procfile.read_text()).processes.items():
        services.add_process(name, command, cwd=procfile.parent)
    services.loop()
    # Not honcho's own code: after a Ctrl-C that is 130, however well the services ended.
    return max(abs(service["returncode"]) for service in services._processes.values())


if __name__ == "__main__":
    sys.exit(main())
