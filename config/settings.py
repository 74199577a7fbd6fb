"""Django settings. Everything that differs between installations comes from HOLDFAST_* variables."""

from datetime import timedelta
from pathlib import Path

from config import env, logs

BASE_DIR = Path(__file__).resolve().parent.parent

DEBUG = env.flag("HOLDFAST_DEBUG")
SECRET_KEY = env.text(
    "HOLDFAST_SECRET_KEY", "only-for-checks-and-builds" if env.flag("HOLDFAST_BUILD") else None
)
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
    "axes",
    "accounts",
    "audit",
    "dashboard",
    "migrations_app",
    "worker",
]

MIDDLEWARE = [
    "accounts.middleware.RequestContext",  # first: it drops headers that only a trusted proxy may set
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "config.health.HostCheck",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "accounts.middleware.SessionLimits",
    "accounts.middleware.ProxySignIn",
    "accounts.middleware.Gate",  # last: default deny, see accounts/access.py
]

LOGGING = logs.to_stderr()

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
                "dashboard.context.frame",
            ],
            "loaders": ["django.template.loaders.filesystem.Loader"]
            if DEBUG
            else [("django.template.loaders.cached.Loader", ["django.template.loaders.filesystem.Loader"])],
        },
    }
]

DATABASES = {"default": env.database(env.text("HOLDFAST_DATABASE_URL", "postgresql:///holdfast"))}
if env.words(
    "HOLDFAST_DATABASE_OWNER_URL"
):  # `manage.py migrate --database owner`; the web and the workers never have it
    DATABASES["owner"] = env.database(env.text("HOLDFAST_DATABASE_OWNER_URL"), "HOLDFAST_DATABASE_OWNER_URL")
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
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "accounts.backends.PasswordBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "overview"

# Sessions end after so many hours in any case, and after so many minutes in which nothing was done.
HOLDFAST_SESSION_HOURS = env.number("HOLDFAST_SESSION_HOURS", 12, minimum=1)
HOLDFAST_SESSION_IDLE_MINUTES = env.number("HOLDFAST_SESSION_IDLE_MINUTES", 60, minimum=1)
SESSION_COOKIE_AGE = (
    HOLDFAST_SESSION_HOURS * 3600 + 86400
)  # accounts.middleware.SessionLimits ends them before

# Failed sign-ins: so many of one name from one address, then that pair waits.
HOLDFAST_LOCKOUT_MINUTES = env.number("HOLDFAST_LOCKOUT_MINUTES", 15, minimum=1)
AXES_FAILURE_LIMIT = env.number("HOLDFAST_LOCKOUT_FAILURES", 5, minimum=1)
AXES_COOLOFF_TIME = timedelta(minutes=HOLDFAST_LOCKOUT_MINUTES)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_CLIENT_IP_CALLABLE = "accounts.addresses.client_address"
AXES_USERNAME_CALLABLE = "accounts.throttle.counted_name"  # what is typed as a name may be a password
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_DISABLE_ACCESS_LOG = True  # the audit trail has it
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

# Proxies in front of Holdfast, whose X-Forwarded-* headers count.
HOLDFAST_TRUSTED_PROXIES = env.words("HOLDFAST_TRUSTED_PROXIES")
# A proxy that signs people in by a header. Off unless the header is named; then its addresses must be, too.
HOLDFAST_PROXY_USER_HEADER = env.text("HOLDFAST_PROXY_USER_HEADER", "")
HOLDFAST_PROXY_GROUPS_HEADER = env.text("HOLDFAST_PROXY_GROUPS_HEADER", "")
HOLDFAST_PROXY_ADDRESSES = env.words("HOLDFAST_PROXY_ADDRESSES")

# OpenID Connect. Off unless an issuer is named.
HOLDFAST_OIDC_ISSUER = env.text("HOLDFAST_OIDC_ISSUER", "")
HOLDFAST_OIDC_CLIENT_ID = env.text("HOLDFAST_OIDC_CLIENT_ID", "")
HOLDFAST_OIDC_CLIENT_SECRET = env.text("HOLDFAST_OIDC_CLIENT_SECRET", "")
HOLDFAST_OIDC_NAME = env.text("HOLDFAST_OIDC_NAME", "your identity provider")
HOLDFAST_OIDC_SCOPE = env.text("HOLDFAST_OIDC_SCOPE", "openid profile email")
HOLDFAST_OIDC_USERNAME_CLAIM = env.text("HOLDFAST_OIDC_USERNAME_CLAIM", "preferred_username")
HOLDFAST_OIDC_GROUPS_CLAIM = env.text("HOLDFAST_OIDC_GROUPS_CLAIM", "groups")
# Roles of groups that the provider or the proxy names: "sre=operator,team-a=approver@team-a-*|shared".
HOLDFAST_GROUP_ROLES = env.words("HOLDFAST_GROUP_ROLES")

# No page takes a file, and none is kept that somebody sends along.
FILE_UPLOAD_HANDLERS = ["accounts.uploads.NoFiles"]

# Transport and browser. TLS is on unless this is the demo on one's own machine, or switched off by hand.
HOLDFAST_DEMO = env.flag("HOLDFAST_DEMO")
HOLDFAST_TLS = env.flag("HOLDFAST_TLS", not HOLDFAST_DEMO)
SECURE_SSL_REDIRECT = HOLDFAST_TLS
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]  # the kubelet probes without TLS
SECURE_HSTS_SECONDS = 31_536_000 if HOLDFAST_TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HOLDFAST_TLS
SILENCED_SYSTEM_CHECKS = [
    "security.W021",  # preloading binds a whole domain, which is not ours to decide
    "axes.W002",  # accounts.views.sessions answers a lockout itself, in words
]
if HOLDFAST_TRUSTED_PROXIES:  # accounts.middleware.RequestContext drops the header of everybody else
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HOLDFAST_TLS
SESSION_COOKIE_NAME = "__Host-holdfast" if HOLDFAST_TLS else "holdfast"
CSRF_FAILURE_VIEW = "accounts.views.sessions.csrf_failed"
CSRF_COOKIE_NAME = "__Host-holdfast-csrf" if HOLDFAST_TLS else "holdfast-csrf"
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "manifest-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
}

# The audit trail: where the worker writes signed checkpoints, and the Ed25519 key that it signs with.
HOLDFAST_AUDIT_KEY_FILE = env.text("HOLDFAST_AUDIT_KEY_FILE", "")
HOLDFAST_AUDIT_CHECKPOINT_FILE = env.text("HOLDFAST_AUDIT_CHECKPOINT_FILE", "")
HOLDFAST_AUDIT_CHECKPOINT_MINUTES = env.number("HOLDFAST_AUDIT_CHECKPOINT_MINUTES", 10, minimum=1)

# The cluster. An empty kubeconfig means the service account of the pod; an empty context the current one.
HOLDFAST_CLUSTER_NAME = env.text("HOLDFAST_CLUSTER_NAME", "cluster")
HOLDFAST_KUBECONFIG = env.text("HOLDFAST_KUBECONFIG", "")
HOLDFAST_WORKER_CONTEXT = env.text("HOLDFAST_WORKER_CONTEXT", "")
HOLDFAST_WATCHER_CONTEXT = env.text("HOLDFAST_WATCHER_CONTEXT", "")
HOLDFAST_PROBER_CONTEXT = env.text("HOLDFAST_PROBER_CONTEXT", "")
HOLDFAST_MOVER_IMAGE = env.text("HOLDFAST_MOVER_IMAGE", "holdfast-mover:latest")
# Hours between scheduled validations of the cluster; 0: only on demand.
HOLDFAST_VALIDATION_HOURS = env.number("HOLDFAST_VALIDATION_HOURS", 24)
# Where the worker keeps clones of Git repositories.
HOLDFAST_DATA = env.path("HOLDFAST_DATA", BASE_DIR / ".holdfast")

# Where people are told that something waits for them: a URL that takes a JSON POST. Empty: nobody is told.
HOLDFAST_NOTIFY_URL = env.text("HOLDFAST_NOTIFY_URL", "")
HOLDFAST_URL = env.text("HOLDFAST_URL", "")

# Sign-off.
HOLDFAST_SIGN_OFF_HOURS = env.number("HOLDFAST_SIGN_OFF_HOURS", 72, minimum=1)
HOLDFAST_APPROVALS = env.numbered_patterns("HOLDFAST_APPROVALS", "*=1")
HOLDFAST_STARTER_MAY_NOT_APPROVE = env.flag("HOLDFAST_STARTER_MAY_NOT_APPROVE", True)
HOLDFAST_TESTER_MAY_NOT_APPROVE = env.flag("HOLDFAST_TESTER_MAY_NOT_APPROVE", True)
HOLDFAST_BREAK_GLASS = env.flag("HOLDFAST_BREAK_GLASS")
