"""What can go wrong between a program and Stripe, as many times as a test asks for."""

from __future__ import annotations

from dataclasses import dataclass, field

KINDS = {
    "lag",  # answers after so many seconds
    "drip",  # sends the head of its answer byte by byte, for ever
    "refuse",  # hangs up without a word, and without acting
    "rate_limit",  # 429
    "conflict",  # 409: a request with the same key is being worked on
    "error_before",  # 500 without acting
    "error_kept",  # fails without acting, and answers 500: Stripe keeps that answer for the idempotency key
    "error_after",  # acts, fails, and answers 500, which is kept for the key too
    "bad_gateway",  # acts, but what stands between answers 502: the true answer is kept for the key
    "drop",  # acts, then hangs up
}


@dataclass
class Fault:
    """`path` is a part of the paths that it concerns, `method` empty for any."""

    kind: str
    times: int = 1
    path: str = "/v1/"
    method: str = ""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no such fault: {self.kind}")


@dataclass
class Faults:
    waiting: list[Fault] = field(default_factory=list)

    def take(self, method: str, path: str, *, kinds: set[str]) -> Fault | None:
        """The first that concerns the request, once fewer; None where nothing goes wrong."""
        for fault in self.waiting:
            is_meant = fault.path in path and fault.method in {"", method} and fault.kind in kinds
            if is_meant and fault.times > 0:
                fault.times -= 1
                return fault
        return None
