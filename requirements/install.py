"""Puts the locked dependencies into a virtual environment; does nothing when they are there already.

    python3 requirements/install.py VENV LOCK

Written for any Python 3, so that an old one can be told in one sentence that it is too old. With nothing to do it needs neither the
network nor the right to write.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys

NEWEST, OLDEST = 14, 11
HERE = os.path.dirname(os.path.abspath(__file__))


def fail(sentence):
    sys.exit("holdfast: " + sentence)


def right_python():
    """This Python when it is new enough, else the newest that is on the PATH."""
    if sys.version_info >= (3, OLDEST):
        return sys.executable
    for minor in range(NEWEST, OLDEST - 1, -1):
        found = shutil.which("python3.%d" % minor)
        if found:
            return found
    version = "%d.%d" % sys.version_info[:2]
    return fail(
        "Python 3.11 or newer is needed, and python3 is %s: install it, or name one with `make PYTHON=...`."
        % version
    )


def digest(lock):
    with open(lock, "rb") as content:
        return hashlib.sha256(content.read()).hexdigest()


def read(path):
    try:
        with open(path) as content:
            return content.read()
    except OSError:
        return ""


def works(python):
    return (
        os.path.exists(python)
        and subprocess.call([python, "-c", "import pip"], stderr=subprocess.DEVNULL) == 0
    )


def make_environment(venv):
    maker = right_python()
    shutil.rmtree(venv, ignore_errors=True)
    made = subprocess.run([maker, "-m", "venv", venv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if made.returncode == 0:
        return
    shutil.rmtree(venv, ignore_errors=True)
    if (
        shutil.which("uv")
        and subprocess.call(["uv", "venv", "--quiet", "--seed", "--python", maker, venv]) == 0
    ):
        return
    if b"ensurepip" in made.stdout:
        fail(
            "this Python cannot make virtual environments: install its venv package (Debian: apt install python3-venv)."
        )
    fail("no virtual environment in %s: %s" % (venv, made.stdout.decode(errors="replace").strip()))


def find_uv(venv):
    """uv installs the lock ten times faster than pip; it is optional."""
    found = shutil.which("uv")
    if found:
        return found
    pip = [
        os.path.join(venv, "bin", "python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    wanted = ["--require-hashes", "-r", os.path.join(HERE, "bootstrap.txt")]
    subprocess.call(pip + wanted, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return os.path.join(venv, "bin", "uv")


def uv_environment():
    """uv trusts certificates of its own, and fails behind a proxy that only the system trusts; the name of the option has changed."""
    return dict({"UV_SYSTEM_CERTS": "1", "UV_NATIVE_TLS": "1"}, **os.environ)


def install(venv, lock):
    python = os.path.join(venv, "bin", "python")
    uv = find_uv(venv)
    if os.path.exists(uv):
        with_uv = [uv, "pip", "sync", "--quiet", "--require-hashes", "--python", python, lock]
        ended = subprocess.run(with_uv, stderr=subprocess.PIPE, env=uv_environment())
        if ended.returncode == 0:
            return
        why = " ".join(ended.stderr.decode(errors="replace").split())[:300]
        print("uv could not install the dependencies, now with pip (%s) ..." % why, flush=True)
    with_pip = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
        "-r",
        lock,
    ]
    if subprocess.call(with_pip) != 0:
        fail(
            "the dependencies could not be installed: see pip's message above; with a network, `make` again continues."
        )


def main(venv, lock):
    stamp, wanted = os.path.join(venv, ".holdfast-lock"), digest(lock)
    python = os.path.join(venv, "bin", "python")
    if read(stamp) == wanted and works(python):
        return
    parent = os.path.dirname(os.path.abspath(venv))
    if not os.access(venv if os.path.isdir(venv) else parent, os.W_OK):
        fail("%s cannot be written: run as its owner, or use another place with `make VENV=...`." % venv)
    with open(lock) as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # two doors opened at once install one after the other
        if read(stamp) == wanted and works(python):
            return
        print("Installing the dependencies into %s (once, up to a minute) ..." % venv, flush=True)
        if not works(python):
            make_environment(venv)
        install(venv, lock)
        with open(stamp, "w") as done:
            done.write(wanted)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
