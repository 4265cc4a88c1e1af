"""Settings, read from the environment, top to bottom; `.env.example` lists every variable.

A value that is missing or makes no sense stops the start with a message instead of
running on a guess.
"""

import base64
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.urls import reverse_lazy
from django.utils.functional import Promise, SimpleLazyObject
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _
from environs import Env
from redis.backoff import NoBackoff
from redis.retry import Retry
from whitenoise.compress import Compressor

BASE_DIR = Path(__file__).resolve().parent.parent

env = Env()

DEBUG = env.bool("DEBUG", False)
# Plain http is for one's own machine: cookies lose `Secure` and HSTS is off.
SECURE = env.bool("SECURE", True)

SECRET_KEY = env.str("SECRET_KEY", "")
if not SECRET_KEY:
    raise ImproperlyConfigured(
        "SECRET_KEY is not set. Put 50 or more random characters into the environment; "
        "on your own machine `make run` and `make manage` do it for you."
    )


def signing_key(name: str) -> bytes:
    """The 32 bytes of a key that the environment has in base64, or none."""
    try:
        key = base64.b64decode(env.str(name, ""), validate=True)
    except ValueError:
        key = b"?"
    if key and len(key) != 32:
        raise ImproperlyConfigured(f"{name} must be 32 bytes in base64: head -c 32 /dev/urandom | base64")
    return key


# Signs the codes on tickets (Ed25519). Without it the key follows from SECRET_KEY.
TICKET_SIGNING_KEY = signing_key("TICKET_SIGNING_KEY")

SITE_NAME = env.str("SITE_NAME", "Holdfast")
# Links in mails and payment notices are built from this, never from a request's Host header.
SITE_URL = env.str("SITE_URL", "http://127.0.0.1:8000").rstrip("/")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", [urlsplit(SITE_URL).hostname or "127.0.0.1"])
CSRF_TRUSTED_ORIGINS = [SITE_URL]


# --- Applications ---------------------------------------------------------------------

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "django.forms",
    "allauth",
    "allauth.account",
    "csp",
    "django_filters",
    "django_htmx",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "rest_framework",
    "ticketing",
    "events",
    "search",
    "bookings",
    "bookings.sandbox",
    "bookings.door",
    "bookings.outbox",
]

MIDDLEWARE = [
    "ticketing.security_headers.SecurityHeadersMiddleware",
    "ticketing.security_headers.PolicyMiddleware",
    "ticketing.middleware.ClientAddressMiddleware",
    "ticketing.middleware.ApiHeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    # What is above asks the database for nothing, and works without it.
    "ticketing.middleware.DatabaseAwayMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "ticketing.urls"
WSGI_APPLICATION = "ticketing.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "ticketing.context.site",
            ],
        },
    },
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"


# --- Database -------------------------------------------------------------------------

# Statement, lock and idle timeouts are set on the role, where PgBouncer keeps them too.
DATABASES = {
    "default": {
        **env.dj_db_url("DATABASE_URL", conn_max_age=60, conn_health_checks=True),
        "ENGINE": "ticketing.postgresql",
        "DISABLE_SERVER_SIDE_CURSORS": True,
    }
}
DATABASES["default"].setdefault("OPTIONS", {}).update(
    connect_timeout=4,
    keepalives_idle=5,
    keepalives_interval=2,
    keepalives_count=3,
    # The hold's statement takes longer to plan than to run: its plan is kept from the first time on.
    # PgBouncer keeps plans from 1.21 on.
    prepare_threshold=0 if env.bool("PREPARED_STATEMENTS", True) else None,
)
# A request that takes so long makes us ask whether the database is there at all; where it says nothing for
# so long, or a request takes so long, that is ended: see ticketing/database_away.py. Together less than
# the two seconds within which buyers are told.
REQUEST_SUSPICIOUS_SECONDS = 0.3
DATABASE_SILENT_SECONDS = 1.0
REQUEST_PATIENCE_SECONDS = 8.0
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"


# --- Cache, locks, broker -------------------------------------------------------------


# One server serves all three, each from a numbered database of its own.
CACHE_DB, LOCKS_DB, BROKER_DB = 0, 1, 2


def same_server(url: str, *, database: int) -> str:
    """The URL of another numbered database on the same cache server."""
    if url.startswith("unix:"):
        return f"{url.partition('?')[0]}?db={database}"
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def broker_url(url: str, *, database: int) -> str:
    """The URL of that database as Celery writes it, which names sockets in its own way."""
    url = same_server(url, database=database)
    return url.replace("unix://", "redis+socket://").replace("?db=", "?virtual_host=")


REDIS_URL = env.str("REDIS_URL")
REDIS_LOCKS_URL = env.str("REDIS_LOCKS_URL", same_server(REDIS_URL, database=LOCKS_DB))

# A dead cache must cost milliseconds: no retries, and 50 ms for each step.
CACHE_TIMEOUTS = {
    "socket_timeout": 0.05,
    "socket_connect_timeout": 0.05,
    "retry": Retry(NoBackoff(), 0),
    "max_connections": 256,
}
CACHES = {
    "default": {
        "BACKEND": "ticketing.cache.SharedOrOwnCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "holdfast",
        "OPTIONS": {
            "SERIALIZER": "django_redis.serializers.json.JSONSerializer",
            "CONNECTION_POOL_KWARGS": CACHE_TIMEOUTS,
        },
    },
    # Used as a raw client only, and never told to swallow an error: see events/locks.py.
    "locks": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_LOCKS_URL,
        "OPTIONS": {"CONNECTION_POOL_KWARGS": CACHE_TIMEOUTS},
    },
}
# Sessions outlive the cache: signing in and paying work without it.
SESSION_ENGINE = "django.contrib.sessions.backends.db"

CELERY_BROKER_URL = env.str("CELERY_BROKER_URL", broker_url(REDIS_URL, database=BROKER_DB))
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_TIME_LIMIT = 300
CELERY_TASK_SOFT_TIME_LIMIT = 240
CELERY_TASK_DEFAULT_QUEUE = "holdfast"
# A pile of mails, or a mail server that hangs, must not keep the workers from the money.
CELERY_TASK_ROUTES = {"outbox.*": {"queue": "holdfast-mails"}}
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_TIMEOUT = 0.5
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_PUBLISH_RETRY_POLICY = {
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.05,
    "interval_max": 0.1,
}
CELERY_BROKER_TRANSPORT_OPTIONS = {
    **CELERY_TASK_PUBLISH_RETRY_POLICY,
    # Without a `socket_timeout`: a worker that gives up on saying that a task is done loses a slot for ever.
    "socket_connect_timeout": 0.25,
    "socket_keepalive": True,
    "visibility_timeout": 600,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
}
# A message that waited longer than its period is stale: the next one does its work.
CELERY_BEAT_SCHEDULE = {
    task: {"task": task, "schedule": seconds, "options": {"expires": seconds}}
    for task, seconds in [
        ("bookings.sweep_expired_holds", 30.0),
        ("bookings.apply_notices", 5.0),
        ("bookings.finish_payments", 10.0),
        ("bookings.finish_refunds", 10.0),
        ("bookings.run_cancellations", 10.0),
        ("bookings.reconcile_payments", 60.0),
        ("bookings.reconcile_with_gateways", 900.0),
        ("events.publish_waiting_events", 5.0),
        ("sandbox.deliver_notices", 2.0),
        ("outbox.send_mails", 10.0),
        ("outbox.queue_reminders", 1800.0),
    ]
}


# --- Accounts -------------------------------------------------------------------------

AUTH_USER_MODEL = "bookings.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_REDIRECT_URL = "bookings:list"
LOGIN_URL = "account_login"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_CONFIRM_EMAIL_ON_GET = False
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_DEFAULT_HTTP_PROTOCOL = urlsplit(SITE_URL).scheme
ACCOUNT_LOGOUT_ON_PASSWORD_CHANGE = True
ACCOUNT_ADAPTER = "bookings.accounts.AccountAdapter"
# Whoever is locked out because others guess comes in by mail, however long they go on.
ACCOUNT_LOGIN_ON_PASSWORD_RESET = True
PASSWORD_RESET_TIMEOUT = 3600


# --- Money ----------------------------------------------------------------------------

# The payment page for development and demonstrations; off unless asked for.
SANDBOX_GATEWAY = env.bool("SANDBOX_GATEWAY", False)
SANDBOX_WEBHOOK_SECRET = env.str("SANDBOX_WEBHOOK_SECRET", "") or f"sandbox:{SECRET_KEY}"
# docs/gateways.md says which permissions a restricted key needs.
STRIPE_SECRET_KEY = env.str("STRIPE_SECRET_KEY", "")
# More than one, separated by commas, while one takes over from another.
STRIPE_WEBHOOK_SECRET = env.str("STRIPE_WEBHOOK_SECRET", "")
STRIPE_API_BASE = env.str("STRIPE_API_BASE", "") or "https://api.stripe.com"
# Where its payment page is: at Stripe's, unless the account has a domain of its own for it.
STRIPE_CHECKOUT_ORIGIN = env.str("STRIPE_CHECKOUT_ORIGIN", "") or "https://checkout.stripe.com"

# What was begun with a gateway is finished with it, also when new payments are made with another.
PAYMENT_GATEWAYS = {}
if SANDBOX_GATEWAY:
    PAYMENT_GATEWAYS["sandbox"] = "bookings.sandbox.gateway.SandboxGateway"
if STRIPE_SECRET_KEY:
    PAYMENT_GATEWAYS["stripe"] = "bookings.gateways.stripe.gateway.StripeGateway"
PAYMENT_GATEWAY = env.str("PAYMENT_GATEWAY", "") or ("stripe" if STRIPE_SECRET_KEY else "sandbox")


# --- Limits ---------------------------------------------------------------------------

HOLD_SECONDS = 600
# What one network address may hold of one event at a time, for buyers who gave no name.
HOLD_TICKETS_PER_ADDRESS = env.int("HOLD_TICKETS_PER_ADDRESS", 100)
API_READS_PER_MINUTE = env.int("API_READS_PER_MINUTE", 1200)
API_WRITES_PER_MINUTE = env.int("API_WRITES_PER_MINUTE", 300)
# How many proxies in front of us may be believed when they name the caller's address.
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", 0)
DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000


# --- API ------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "ticketing.api.authentication.TokenAuthentication",
        "ticketing.api.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["ticketing.api.parsers.StrictJSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "ticketing.api.negotiation.UsualNegotiation",
    "DEFAULT_METADATA_CLASS": "ticketing.api.metadata.Methods",
    "DEFAULT_PAGINATION_CLASS": "ticketing.api.pagination.CursorPagination",
    "DEFAULT_THROTTLE_CLASSES": ["ticketing.api.limits.CallerThrottle"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "ticketing.api.errors.problem_response",
    "URL_FORMAT_OVERRIDE": None,
    "PAGE_SIZE": 20,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Holdfast",
    "DESCRIPTION": "Find events, hold tickets for ten minutes, pay, and walk in.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "EventStatus": "events.models.Event.Status",
        "TicketStatus": "events.models.Ticket.Status",
        "BookingStatus": "bookings.models.Booking.Status",
        "PaymentStatus": "bookings.models.Payment.Status",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "ticketing.api.openapi.describe_what_all_share",
    ],
}


# --- Mail -----------------------------------------------------------------------------

DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", "Holdfast <tickets@example.org>")
EMAIL_FILE_PATH = env.str("EMAIL_FILE_PATH", "")
if EMAIL_FILE_PATH:
    EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
else:
    _email = env.dj_email_url("EMAIL_URL", "smtp://localhost:25")
    EMAIL_HOST = _email["EMAIL_HOST"]
    EMAIL_PORT = _email["EMAIL_PORT"]
    EMAIL_HOST_USER = _email["EMAIL_HOST_USER"]
    EMAIL_HOST_PASSWORD = _email["EMAIL_HOST_PASSWORD"]
    EMAIL_USE_TLS = _email["EMAIL_USE_TLS"]
    EMAIL_USE_SSL = _email["EMAIL_USE_SSL"]
EMAIL_TIMEOUT = 10


# --- Language and time ----------------------------------------------------------------

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True


# --- Static files ---------------------------------------------------------------------

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = env.path("STATIC_ROOT", BASE_DIR / ".local" / "static")
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "ticketing.storage.HashedStaticFiles"},
}


# Only what is asked for by its hashed name is served; maps for debuggers are not worth compressing.
WHITENOISE_KEEP_ONLY_HASHED_FILES = True
WHITENOISE_ALLOW_ALL_ORIGINS = False
WHITENOISE_SKIP_COMPRESS_EXTENSIONS = (*Compressor.SKIP_COMPRESS_EXTENSIONS, "map")


# --- Security -------------------------------------------------------------------------

# Of the site's own pages; what else there is has others, see ticketing/security_headers.py.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "frame-src": [NONE],
        "base-uri": [NONE],
        # The button that begins a payment is a form, and its answer leads to the payment page.
        "form-action": [SELF, STRIPE_CHECKOUT_ORIGIN] if STRIPE_SECRET_KEY else [SELF],
        "frame-ancestors": [NONE],
    },
}
if not SECURE:
    # Whoever asked for plain http on their own machine need not be warned of it at each check.
    SILENCED_SYSTEM_CHECKS = ["security.W004", "security.W008", "security.W012", "security.W016"]
SECURE_SSL_REDIRECT = SECURE
SECURE_HSTS_SECONDS = 31_536_000 if SECURE else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE
SECURE_HSTS_PRELOAD = SECURE
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("BEHIND_TLS_PROXY", False) else None
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE
# A browser takes these names from this very host over TLS alone, and from no neighbour of it.
SESSION_COOKIE_NAME = "__Host-session" if SECURE else "session"
CSRF_COOKIE_NAME = "__Host-csrftoken" if SECURE else "csrftoken"
# One cookie less: with the session's own there is nothing to forge.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
SESSION_COOKIE_AGE = 14 * 24 * 3600
CSRF_COOKIE_HTTPONLY = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CSRF_FAILURE_VIEW = "ticketing.error_views.csrf_failure"


# --- Logging --------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "line"},
        "nowhere": {"class": "logging.NullHandler"},
    },
    "root": {"handlers": ["stderr"], "level": env.str("LOG_LEVEL", "INFO")},
    "loggers": {
        # It tells every request, and below that who is paying.
        "stripe": {"level": "WARNING"},
        # These tell every step of embedding a font, and every letter that it has not.
        "fontTools": {"level": "WARNING"},
        "fpdf": {"level": "ERROR"},
        # A refusal is an answer, and not worth a warning: in an on-sale there are hundreds a second.
        "django.request": {"level": "ERROR"},
        # Anyone can send a wrong Host header; it is answered with 400, and worth no trace.
        "django.security.DisallowedHost": {"handlers": ["nowhere"], "propagate": False},
    },
}


# --- Admin ----------------------------------------------------------------------------


def admin_link(title: Promise, icon: str, name: str, model: str) -> dict[str, object]:
    """An entry of the admin's sidebar, for those who may see the model."""
    permission = "{}.view_{}".format(*model.split("."))
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{name}"),
        "permission": lambda request: request.user.has_perm(permission),
    }


UNFOLD = {
    "SITE_TITLE": SITE_NAME,
    "SITE_HEADER": SITE_NAME,
    "SITE_SYMBOL": "confirmation_number",
    "SIDEBAR": {
        "show_search": False,
        "navigation": [
            {
                "title": _("Programme"),
                "items": [
                    admin_link(_("Events"), "theater_comedy", "events_event_changelist", "events.event"),
                    admin_link(_("Venues and seats"), "stadium", "events_venue_changelist", "events.venue"),
                    admin_link(_("Categories"), "label", "events_category_changelist", "events.category"),
                    admin_link(_("Performers"), "mic", "events_performer_changelist", "events.performer"),
                    admin_link(
                        _("Tickets"), "confirmation_number", "events_ticket_changelist", "events.ticket"
                    ),
                    admin_link(
                        _("Publications"), "publish", "events_publishjob_changelist", "events.publishjob"
                    ),
                ],
            },
            {
                "title": _("Box office"),
                "separator": True,
                "items": [
                    admin_link(
                        _("Bookings"), "shopping_bag", "bookings_booking_changelist", "bookings.booking"
                    ),
                    admin_link(_("Payments"), "payments", "bookings_payment_changelist", "bookings.payment"),
                    admin_link(
                        _("Payment notices"),
                        "mail",
                        "bookings_paymentnotice_changelist",
                        "bookings.paymentnotice",
                    ),
                    admin_link(
                        _("Refunds"), "currency_exchange", "bookings_refund_changelist", "bookings.refund"
                    ),
                    admin_link(
                        _("Books"), "menu_book", "bookings_paymententry_changelist", "bookings.paymententry"
                    ),
                    admin_link(
                        _("Needs a person"), "front_hand", "bookings_needs_a_person", "bookings.payment"
                    )
                    # Counted once for each page, and shown where there is something.
                    | {"badge": SimpleLazyObject(lambda: import_string("bookings.attention.count_cases")())},
                    admin_link(_("Mails"), "outgoing_mail", "outbox_mail_changelist", "outbox.mail"),
                    {
                        "title": _("Door"),
                        "icon": "qr_code_scanner",
                        "link": reverse_lazy("door:list"),
                        "permission": lambda request: request.user.has_perm("door.check_in"),
                    },
                    admin_link(_("Scans"), "door_open", "door_scan_changelist", "door.scan"),
                    admin_link(_("Audit"), "fact_check", "bookings_booking_audit", "bookings.booking"),
                ],
            },
            {
                "title": _("People"),
                "separator": True,
                "items": [
                    admin_link(_("Accounts"), "person", "bookings_user_changelist", "bookings.user"),
                    admin_link(_("API keys"), "key", "bookings_apikey_changelist", "bookings.apikey"),
                ],
            },
        ],
    },
}
