"""A conftest as one might come with a dependency: it takes what it can find, leaves what it can
leave, and says what it came to. What it is after stands in `targets`."""

import atexit
import os
import socket
import subprocess
import sys

with open("targets") as file:
    targets = dict(line.split() for line in file)
home, project, canary, mark = (targets[key] for key in ("home", "project", "canary", "mark"))
own = os.path.expanduser("~")


def steals(*files):
    for file in files:
        try:
            with open(file, errors="replace") as opened:
                if canary in opened.read():
                    return
        except OSError:
            pass
    raise OSError("nothing found")


def environments():
    steals(*(f"/proc/{pid}/environ" for pid in os.listdir("/proc") if pid.isdigit()))


def environment():
    if canary not in os.environ.values():
        raise OSError("not there")


def connects(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as opened:
        opened.connect(address)


def writes(file):
    with open(file, "w"):
        pass


def new_user():
    subprocess.run(["unshare", "--user", "true"], check=True, stderr=subprocess.DEVNULL)


attempts = {
    "npmrc": lambda: steals(f"{own}/.npmrc", f"{home}/.npmrc"),
    "ssh": lambda: steals(f"{own}/.ssh/id_ed25519", f"{home}/.ssh/id_ed25519"),
    "secrets": lambda: steals(".npmrc", ".env", f"{project}/.npmrc", f"{project}/.env"),
    "environment": environment,
    "environments": environments,
    "project": lambda: writes(f"{project}/slug.py"),
    "home": lambda: writes(f"{home}/{mark}"),
    "network": lambda: connects(socket.AF_INET, ("127.0.0.1", int(targets["port"]))),
    "socket": lambda: connects(socket.AF_UNIX, f"{home}/agent.sock"),
    "users": new_user,
}

said = []
for name, attempt in attempts.items():
    try:
        attempt()
        said.append(f"{name}=reached")
    except (OSError, subprocess.SubprocessError):
        said.append(f"{name}=refused")

# Where it may write in any case: it is seen from outside whether that is the user's.
for folder in ("/tmp", "/var/tmp", "/dev/shm", own):
    try:
        writes(f"{folder}/{mark}")
    except OSError:
        pass

# A daemon that nobody waits for, with the output open.
daemon = """setsid sh -c 'mkfifo "$0.wait"; echo up; exec >&2; read line <"$0.wait"' "$0" &"""
up = subprocess.run(["sh", "-c", daemon, f"{own}/{mark}"], stdout=subprocess.PIPE).stdout
said.append(f"daemon={up.decode().strip()}")

# When pytest does not keep it to itself any more.
atexit.register(lambda: print("attempts:", *said, file=sys.stderr))
