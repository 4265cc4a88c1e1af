"""Reading a form as Stripe does, and refusing what the library's own types do not know."""

from __future__ import annotations

import re
import typing
from typing import Any, get_args, get_origin
from urllib.parse import parse_qsl

from stripe import RequestOptions
from stripe.params import (
    PaymentIntentCancelParams,
    PaymentIntentCaptureParams,
    PaymentIntentListParams,
    PaymentIntentRetrieveParams,
    RefundCreateParams,
    RefundListParams,
)
from stripe.params.checkout import (
    SessionCreateParams,
    SessionExpireParams,
    SessionListParams,
    SessionRetrieveParams,
)
from typing_extensions import is_typeddict

from tests.gateways.strict_stripe.account import Refusal

# What each request may say. These are the library's types, so that they change with its version.
KNOWN: dict[str, Any] = {
    "create_session": SessionCreateParams,
    "retrieve_session": SessionRetrieveParams,
    "expire_session": SessionExpireParams,
    "list_sessions": SessionListParams,
    "retrieve_intent": PaymentIntentRetrieveParams,
    "capture_intent": PaymentIntentCaptureParams,
    "cancel_intent": PaymentIntentCancelParams,
    "list_intents": PaymentIntentListParams,
    "create_refund": RefundCreateParams,
    "list_refunds": RefundListParams,
}

# Names in the options that every type inherits, and that its own module does not import.
ELSEWHERE = {"StripeContext": object, "Mapping": dict}


def parse(form: str) -> dict[str, Any]:
    """`a[b][0]=c` as `{"a": {"b": ["c"]}}`."""
    tree: dict[str, Any] = {}
    for name, value in parse_qsl(form, keep_blank_values=True, strict_parsing=bool(form)):
        *path, last = re.findall(r"[^\[\]]+", name)
        node = tree
        for step in path:
            node = node.setdefault(step, {})
        node[last] = value
    return _with_lists(tree)


def _with_lists(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    values = {key: _with_lists(value) for key, value in node.items()}
    if values and all(key.isdigit() for key in values):
        return [values[key] for key in sorted(values, key=int)]
    return values


def check(action: str, params: dict[str, Any]) -> None:
    """Raises `Refusal` for a parameter that this version of the API does not know, or for one that lacks."""
    _check(params, KNOWN[action], "")


def _check(value: Any, hint: Any, path: str) -> None:
    if is_typeddict(hint):
        hints = typing.get_type_hints(hint, localns=ELSEWHERE)
        for name in hint.__required_keys__ - value.keys():
            raise Refusal(400, "parameter_missing", f"Missing required param: {path}{name}.", param=name)
        for name, inner in value.items():
            if name not in hints or name in RequestOptions.__annotations__:
                raise Refusal(
                    400, "parameter_unknown", f"Received unknown parameter: {path}{name}", param=name
                )
            _check(inner, hints[name], f"{path}{name}.")
    elif isinstance(value, list):
        for inner, kind in ((inner, kind) for inner in value for kind in _kinds(hint)):
            _check(inner, kind, path)
    elif isinstance(value, dict):
        for kind in _kinds(hint):
            _check(value, kind, path)


def _kinds(hint: Any) -> list[Any]:
    """The objects that a hint such as `NotRequired[List[X]]` or `'Literal[""]|X'` speaks of."""
    if get_origin(hint) is None:
        return [hint] if is_typeddict(hint) else []
    return [kind for inner in get_args(hint) for kind in _kinds(inner)]
