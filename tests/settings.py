"""The product's settings, on the test run's own PostgreSQL and Redis. Loading them starts neither."""

import os
import sys
from pathlib import Path

from tests.support import services

_PLACE = Path(os.environ[services.PLACE]) if services.PLACE in os.environ else services.plan()
# The programs of the virtual environment (kubectl) are found however pytest was started.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
os.environ.setdefault("HOLDFAST_TLS", "0")  # the test client speaks plain HTTP
services.settle_environment(_PLACE, services.process_number())

from config.settings import *  # noqa: E402, F403 - the environment comes first

# A slow hash protects passwords of people; those of tests need none.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
