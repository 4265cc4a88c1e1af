"""Start the stand-in; it says where it listens in one line, and runs until it is stopped."""

from __future__ import annotations

import argparse

from tests.gateways.strict_stripe.notices import Post
from tests.gateways.strict_stripe.server import StrictStripe


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.gateways.strict_stripe", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--api-key", default="sk_test_strict", help="the only key that is let in")
    parser.add_argument("--webhook-url", default="", help="where notices go; without it they are kept")
    parser.add_argument("--webhook-secret", default="whsec_strict", help="what notices are signed with")
    told = parser.parse_args()
    post = Post(url=told.webhook_url, secret=told.webhook_secret)
    server = StrictStripe(told.port, api_key=told.api_key, post=post)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
