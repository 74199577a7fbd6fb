"""Django settings. Everything that differs between installations comes from HOLDFAST_* variables."""

from pathlib import Path

from config import env

BASE_DIR = Path(__file__).resolve().parent.parent

DEBUG = env.flag("HOLDFAST_DEBUG")
SECRET_KEY = env.text("HOLDFAST_SECRET_KEY", "only-for-checks-and-builds" if env.flag("HOLDFAST_BUILD") else None)
ALLOWED_HOSTS = env.words("HOLDFAST_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.words("HOLDFAST_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "accounts",
    "audit",
    "dashboard",
    "migrations_app",
    "worker",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
AUTH_USER_MODEL = "accounts.User"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": False,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "loaders": ["django.template.loaders.filesystem.Loader"]
            if DEBUG
            else [("django.template.loaders.cached.Loader", ["django.template.loaders.filesystem.Loader"])],
        },
    }
]

DATABASES = {"default": env.database(env.text("HOLDFAST_DATABASE_URL", "postgresql:///holdfast"))}
if env.words("HOLDFAST_DATABASE_OWNER_URL"):  # `manage.py migrate --database owner`; the web and the workers never have it
    DATABASES["owner"] = env.database(env.text("HOLDFAST_DATABASE_OWNER_URL"))
HOLDFAST_DATABASE_APP_ROLE = env.text("HOLDFAST_DATABASE_APP_ROLE", "holdfast_app")
REDIS_URL = env.text("HOLDFAST_REDIS_URL", "redis://127.0.0.1:6379/0")
HOLDFAST_REDIS_PREFIX = env.text("HOLDFAST_REDIS_PREFIX", "holdfast:")

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = env.path("HOLDFAST_STATIC_ROOT", BASE_DIR / "staticfiles")
STATICFILES_DIRS = [BASE_DIR / "static"]

PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "overview"

# The cluster. An empty kubeconfig means the service account of the pod; an empty context the current one.
HOLDFAST_CLUSTER_NAME = env.text("HOLDFAST_CLUSTER_NAME", "cluster")
HOLDFAST_KUBECONFIG = env.text("HOLDFAST_KUBECONFIG", "")
HOLDFAST_WORKER_CONTEXT = env.text("HOLDFAST_WORKER_CONTEXT", "")
HOLDFAST_WATCHER_CONTEXT = env.text("HOLDFAST_WATCHER_CONTEXT", "")
HOLDFAST_PROBER_CONTEXT = env.text("HOLDFAST_PROBER_CONTEXT", "")
HOLDFAST_MOVER_IMAGE = env.text("HOLDFAST_MOVER_IMAGE", "holdfast-mover:latest")
# Where the worker keeps clones of Git repositories.
HOLDFAST_DATA = env.path("HOLDFAST_DATA", BASE_DIR / ".holdfast")

# Sign-off.
HOLDFAST_SIGN_OFF_HOURS = env.number("HOLDFAST_SIGN_OFF_HOURS", 72, minimum=1)
HOLDFAST_APPROVALS = env.numbered_patterns("HOLDFAST_APPROVALS", "*=1")
HOLDFAST_STARTER_MAY_NOT_APPROVE = env.flag("HOLDFAST_STARTER_MAY_NOT_APPROVE", True)
HOLDFAST_TESTER_MAY_NOT_APPROVE = env.flag("HOLDFAST_TESTER_MAY_NOT_APPROVE", True)
HOLDFAST_BREAK_GLASS = env.flag("HOLDFAST_BREAK_GLASS")
