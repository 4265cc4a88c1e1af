"""Query parameters, strictly: an unknown or malformed one is an error, never ignored in silence.

It lies here, in the lowest app, because the API of every app reads its parameters with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.exceptions import APIException
from rest_framework.request import Request

if TYPE_CHECKING:
    from rest_framework.views import APIView

    Base = APIView
else:
    Base = object

PAGE_PARAMETERS = frozenset({"cursor", "page_size"})


class InvalidParameter(APIException):
    """Parameters that are unknown or malformed, each with its reason in `errors`."""

    status_code = 400
    default_code = "invalid_parameter"

    def __init__(self, field: str, detail: str, code: str = "invalid") -> None:
        super().__init__(detail)
        self.errors = [{"field": field, "code": code, "detail": detail}]

    @classmethod
    def from_errors(cls, errors: list[dict[str, str]]) -> InvalidParameter:
        """One exception for several wrong parameters; `errors` must not be empty."""
        made = cls(**errors[0])
        made.errors = errors
        return made


def check_parameters(request: Request, allowed: Iterable[str]) -> None:
    """Raise `InvalidParameter` for each parameter that is not allowed or is given twice."""
    known = frozenset(allowed)
    errors = []
    for name, values in request.query_params.lists():
        if name not in known:
            detail = _("There is no parameter “%(name)s” here.") % {"name": name}
            errors.append({"field": name, "code": "unknown", "detail": detail})
        elif len(values) > 1:
            detail = _("“%(name)s” is given more than once.") % {"name": name}
            errors.append({"field": name, "code": "repeated", "detail": detail})
    if errors:
        raise InvalidParameter.from_errors(errors)


class StrictParameters(Base):
    """A view that takes the query parameters in `parameters`, and no others."""

    parameters: ClassVar[frozenset[str]] = frozenset()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        check_parameters(request, self.parameters)


class StrictFilterBackend(DjangoFilterBackend):  # type: ignore[misc]  # django-filter is not typed.
    """django-filter's backend, answering a malformed value with `InvalidParameter`."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: APIView) -> QuerySet[Any]:
        filterset = self.get_filterset(request, queryset, view)
        if filterset is None:
            return queryset
        if not filterset.is_valid():
            raise InvalidParameter.from_errors(form_errors(filterset.form))
        return filterset.qs  # type: ignore[no-any-return]


def form_errors(form: Any) -> list[dict[str, str]]:
    """A Django form's errors in the API's flat shape."""
    return [
        {
            "field": "" if field == "__all__" else field,
            "code": error["code"] or "invalid",
            "detail": error["message"],
        }
        for field, errors in form.errors.get_json_data().items()
        for error in errors
    ]
