"""Chat completions of an OpenAI-compatible endpoint, with nothing but the standard library."""

from __future__ import annotations

import json
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from email.message import Message
from http.client import HTTPException
from typing import IO, Any

from halueval.errors import ModelError, UsageError
from halueval.schema import FailedResponse

LOOPBACK = ("localhost", "127.0.0.1", "::1")
NOT_THERE = (401, 403, 404)
LONGEST_WAIT = 60.0
LARGEST_ANSWER = 2**24
WENT_ON_FAILING = "the endpoint went on failing"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to another host."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        """Follow none."""
        del req, fp, code, msg, headers, newurl


class Endpoint:
    """A server that answers `POST {url}/chat/completions`.

    What fails on the way (no connection, time-out, 429, 5xx) is tried again after 1, 2, 4 … times `backoff` seconds,
    or as long as `Retry-After` says, a minute at most. The key is read from the environment for each request, and
    stands in no message.

    Args:
        url: base address, `https://HOST/v1`.
        model: name of the model there.
        api_key_env: name of the environment variable that holds the key; None for a server that needs none.
        timeout: seconds for one attempt.
        retries: further attempts after the first.
        backoff: seconds before the second attempt.

    Raises:
        UsageError: not an address, no such variable, or a key that would travel unencrypted.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        api_key_env: str | None = None,
        timeout: float = 60.0,
        retries: int = 4,
        backoff: float = 1.0,
    ) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise UsageError("endpoint: write the base address alone, as in https://HOST/v1; a key has `api_key_env`")
        if api_key_env is not None:
            if not re.fullmatch(r"[!-~]+", os.environ.get(api_key_env, "").strip()):
                raise UsageError(
                    f"endpoint: the environment variable {api_key_env!r} (api_key_env) is not set, or holds no key"
                )
            if parts.scheme == "http" and parts.hostname not in LOOPBACK:
                raise UsageError(f"endpoint {url}: a key would travel unencrypted; use https")
        self.url, self.model, self._variable = url.rstrip("/"), model, api_key_env
        self._timeout, self._retries, self._backoff = timeout, max(retries, 0), backoff
        self._opener = urllib.request.build_opener(_NoRedirect)

    def ask(self, prompt: str, *, max_tokens: int) -> str | FailedResponse:
        """The answer to one user message at temperature 0.

        Returns:
            The text; `FailedResponse` where this request was refused (400, 413, 422), went on failing with 429 or
            5xx, or was answered with something else than a completion.

        Raises:
            ModelError: the server cannot be reached, or knows neither the key, the model nor the address.
        """
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
            "max_tokens": max_tokens,
        }
        data = json.dumps(body).encode()
        for attempt in range(self._retries + 1):
            found, wait = self._attempt(data)
            if wait is None:
                return found if isinstance(found, str) else FailedResponse(self._clean(found))
            if attempt < self._retries:
                time.sleep(min(max(wait, self._backoff * 2**attempt), LONGEST_WAIT))
        if isinstance(found, OSError | HTTPException) and not isinstance(found, urllib.error.HTTPError):
            raise ModelError(f"endpoint {self.url}: cannot be reached: {self._clean(found)}") from None
        return FailedResponse(f"{WENT_ON_FAILING} ({self._clean(found)})")

    def _attempt(self, data: bytes) -> tuple[str | Exception, float | None]:
        """An answer, or what went wrong; and seconds to wait at least before another attempt, None for no other."""
        request = urllib.request.Request(  # noqa: S310  # the scheme is checked above
            f"{self.url}/chat/completions", data=data, headers=self._headers(), method="POST"
        )
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                return self._text(answer.read(LARGEST_ANSWER)), None
        except urllib.error.HTTPError as error:
            with error:
                said = self._clean(error.read(2**16).decode("utf-8", "replace"))
                if error.code in NOT_THERE or error.code < 400:
                    raise ModelError(f"endpoint {self.url}: HTTP {error.code}: {said or error.reason}") from None
                if error.code == 429 or error.code >= 500:
                    return error, _seconds(error.headers.get("Retry-After"))
                return ValueError(f"the endpoint refused the request (HTTP {error.code}: {said})"), None
        except ValueError as error:
            return error, None
        except (OSError, HTTPException) as error:
            return error, 0.0

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        key = self._key()
        return {**headers, "Authorization": f"Bearer {key}"} if key else headers

    def _key(self) -> str:
        return os.environ.get(self._variable, "").strip() if self._variable else ""

    def _clean(self, said: object) -> str:
        """A short single line without the key, which a server may quote."""
        line = " ".join(str(said).split())
        key = self._key()
        return (line.replace(key, "***") if key else line)[:200]

    @staticmethod
    def _text(answer: bytes) -> str:
        try:
            content: Any = json.loads(answer)["choices"][0]["message"]["content"]
        except (ValueError, KeyError, IndexError, TypeError):
            content = None
        if not isinstance(content, str):
            raise ValueError("the endpoint's answer is no chat completion")
        return content


def _seconds(header: str | None) -> float:
    """`Retry-After` in seconds; 0 where it is missing or a date."""
    try:
        return max(float(header or 0), 0.0)
    except ValueError:
        return 0.0
