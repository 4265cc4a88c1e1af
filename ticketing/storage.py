"""How static files get the names that say what is in them."""

from __future__ import annotations

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStaticFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # Not typed.
    """Hashes and compresses, also where one of our own modules imports another.

    Django can do that for every script there is, or none; of other packages' scripts some name files
    that they do not bring along.
    """

    _module_imports = CompressedManifestStaticFilesStorage._js_module_import_aggregation_patterns[1]
    patterns = (*CompressedManifestStaticFilesStorage.patterns, ("js/*.js", _module_imports))
